"""What files alone cannot tell is asked, or said: nothing of it is decided in silence."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from config import load_config
from proposal.model import Proposal
from proposal.proof import prove
from proposal.propose import propose
from proposal.words import is_one_of
from support.shop_exports import orders_of
from support.shops import CUSTOMERS, Line, lines, write

Row = dict[str, Any]


def plain(line: Line) -> Row:
    """A line with names that say all."""
    return {
        "order_id": line.order,
        "line_number": line.number,
        "order_date": line.day,
        "customer_id": line.customer,
        "product_id": line.product,
        "quantity": line.quantity,
        "unit_price": line.price,
    }


def proposed(folder: Path, rows: list[Row], **more: list[Row]) -> Proposal:
    write(folder / "sales.csv", rows)
    for name, others in more.items():
        write(folder / f"{name}.csv", others)
    config = load_config(None, {"WORK_DIR": str(folder / "work"), "LOG_FILE": "etl.log"})
    return propose([str(path) for path in sorted(folder.glob("*.csv"))], config, prove)


def said(proposal: Proposal) -> str:
    """All that is asked, and all that is said not to be known."""
    texts = [*proposal.problems, *(question.text for question in proposal.questions)]
    return "\n".join(texts + [t for s in proposal.sources.values() for t in s.unknown])


def other_price(**of: Callable[[Line], Any]) -> list[Row]:
    """The lines with other columns in place of the price."""
    rows = []
    for line in lines():
        row = plain(line)
        del row["unit_price"]
        rows.append(row | {name.replace("_", " "): make(line) for name, make in of.items()})
    return rows


@pytest.mark.parametrize(
    ("rows", "word"),
    [
        ([plain(i) | {"status": "ABC"[i.order % 3]} for i in lines()], "status"),
        (other_price(unit_price_cents=lambda i: int(i.price * 100)), "cents"),
        ([plain(i) | {"refund amount": i.price if i.order % 9 == 0 else 0} for i in lines()],
         "refund amount"),
        ([plain(i) | {"discount": i.order % 4 * 5} for i in lines()], "discount"),
        (other_price(price_net=lambda i: i.price, price_gross=lambda i: round(i.price * 119) / 100),
         "price gross"),
        (other_price(price=lambda i: f"{i.quantity},1{i.product[2:]}"), "numbers such as"),
        (other_price(amount=lambda i: round(i.gross ** 2 / 7, 2)), "amount"),
        ([plain(i) | {"quantity": -i.quantity if i.order == 1003 else i.quantity}
          for i in lines(orders=1500)], "below 0"),
    ],
    ids=["codes", "cents", "refunds", "rate or money", "with tax", "thousands", "price or total",
         "few returns"],
)  # fmt: skip
def test_what_rows_cannot_tell_is_told(rows: list[Row], word: str, tmp_path: Path) -> None:
    text = said(proposed(tmp_path / "in", rows))
    assert word in text, text


def test_a_discount_of_the_order_on_each_line_is_not_counted_several_times(tmp_path: Path) -> None:
    rows = [
        plain(line) | {"cart discount": Decimal("3.00") if order % 2 else Decimal(order % 5)}
        for order, its in orders_of(lines())
        for line in its
    ]
    proposal = proposed(tmp_path / "in", rows)
    assert "cart discount" in said(proposal)
    assert "discount_amount" not in proposal.sources["transactions"].settings.get("columns", {})


def test_a_total_of_the_order_is_no_amount_of_its_lines(tmp_path: Path) -> None:
    totals = {o: sum((i.gross for i in its), Decimal(0)) for o, its in orders_of(lines())}
    proposal = proposed(tmp_path / "in", other_price(total=lambda i: totals[i.order]))
    assert proposal.problems


def test_ids_that_lost_their_zeros_are_noticed(tmp_path: Path) -> None:
    rows = [plain(line) | {"customer_id": int(line.customer[1:])} for line in lines()]
    people = [{"customer_id": c[1:], "first_name": "Ada", "city": "London"} for c in CUSTOMERS]
    assert "customer_id" in said(proposed(tmp_path / "in", rows, customers=people))


def test_each_answer_of_a_question_is_a_proposal_of_its_own(tmp_path: Path) -> None:
    rows = [plain(i) | {"discount": (i.order + i.quantity) % 4 * 5} for i in lines()]
    proposal = proposed(tmp_path / "in", rows)
    (question,) = proposal.questions
    assert len({str(choice.settings) for choice in question.choices}) == len(question.choices)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Venda cancelada", "none"),
        ("Order cancelled by buyer", "none"),
        ("Storniert (Kunde)", "none"),
        ("Partially refunded", "unclear"),
        ("Not cancelled", "unclear"),
        ("Refund pending", "unclear"),
        ("Entregue", "good"),
        ("Platform's order status", ""),
    ],
)
def test_a_status_is_known_by_its_words(text: str, kind: str) -> None:
    assert [known for known in ("none", "unclear", "good") if is_one_of(text, known)] == [
        *filter(None, [kind])
    ]
