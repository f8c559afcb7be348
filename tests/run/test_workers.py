"""Whoever does the work of a run, star, surrogate keys, accounts and reject files are the same."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from cleaning import strangers
from run import repeats
from support.hands import Couriers, Repeating, employ
from support.retailer import Retailer
from support.star import Star, dropping
from support.tables import Row

SALES = 150


@pytest.fixture(scope="module")
def processes() -> Iterator[Executor]:
    """Two processes that know nothing of this one."""
    with ProcessPoolExecutor(2, multiprocessing.get_context("forkserver")) as executor:
        yield executor


def fill(shop: Retailer) -> None:
    """Much of all that may be wrong with sources, spread over many batches."""
    shop.customers = [
        {"customer_id": f"C{n % 20}", "first_name": f"F{n}" if n != 22 else "F2"} for n in range(23)
    ]
    shop.customers.append({"customer_id": "", "first_name": "Nobody"})
    shop.products = [{"product_id": f"P{n % 9}", "name": f"N{n % 9}"} for n in range(11)]
    shop.sales = [sale(number) for number in range(SALES)]


def sale(number: int) -> Row:
    """Of the later sales some repeat an earlier one, with the same content or another."""
    twin = number - 70 if number >= 100 and number % 5 == 0 else number
    row = {
        "transaction_id": f"T{twin}" if twin % 31 else "",
        "transaction_date": f"{2021 + twin % 4}-03-{1 + twin % 28:02}",
        "customer_id": f"C{twin % 23}" if twin % 11 else "",
        "product_id": f"P{twin % 10}",
        "quantity": "many" if twin % 17 == 16 else str(1 + twin % 3),
        "unit_price": "2.50",
        "sales_rep_id": f"rep_{twin % 6}" if twin % 7 else "",
        "is_deleted": "yes" if twin % 29 == 28 else "",
    }
    if number >= 100 and number % 10 == 0:
        row["quantity"] = "7"
    return row


def nights(shop: Retailer, star: Star, **settings: object) -> list[dict[str, Any]]:
    """What two nights leave in a star: first load, then whole tables from which some is gone."""
    own = replace(shop, star=star)
    fill(own)
    told = [own.publish(BATCH_ROWS=7, **settings)]
    found = [told_of(own, told[0])]
    own.sales = [row for row in own.sales if row["transaction_id"]]  # else nothing may be absent
    own.customers = [row for row in own.customers[2:] if row["customer_id"]]
    del own.sales[3:9]
    for number in range(40, 50):
        own.sales[number]["unit_price"] = "3"
        own.sales[number]["customer_id"] = f"X{number % 3}"
    whole = {"TRANSACTIONS__EXTRACT": "full", "CUSTOMERS__EXTRACT": "full"}
    told.append(own.publish(BATCH_ROWS=7, MAX_DELETE_RATE=1, **whole, **settings))
    return [*found, told_of(own, told[1])]


def told_of(shop: Retailer, results: Row) -> dict[str, Any]:
    """Star, accounts, warnings and reject files after a night."""
    folder = Path(results["rejects_dir"])
    facts = {**results["fact_loading_results"], "processing_time": 0}
    return {
        "star": shop.star.content(with_runs=False),
        "cleaned": results["transformation_results"],
        "members": results["dimension_loading_results"],
        "facts": facts,
        "accounts": results["validation_results"]["reconciliation"],
        "warnings": [text.replace(results["run_id"], "") for text in results["warnings"]],
        "rejects": {path.name: path.read_bytes() for path in sorted(folder.iterdir())},
    }


@pytest.fixture
def stars(star: Star, tmp_path: Path) -> Iterator[Callable[[], Star]]:
    """Makes empty warehouses of the same engine."""
    made = 0
    with ExitStack() as stack:

        def another() -> Star:
            nonlocal made
            made += 1
            if not star.schema:
                return Star(f"duckdb:///{tmp_path / f'another{made}.duckdb'}")
            return stack.enter_context(dropping(Star(star.url, f"{star.schema}_{made}")))

        yield another


@pytest.mark.parametrize("policy", ["infer", "reject"])
def test_whoever_does_the_work_the_outcome_is_the_same(
    policy: str,
    shop: Retailer,
    stars: Callable[[], Star],
    processes: Executor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def by(count: int, anywhere: Executor | None = None) -> list[dict[str, Any]]:
        employ(monkeypatch, count, anywhere)
        return nights(shop, stars(), ORPHAN_POLICY=policy)

    wanted = by(1)
    for night in wanted:
        sales = night["cleaned"]["fact_sales"]
        assert sales["duplicates"] > 0
        assert sales["rejected"]["conflicting_duplicate"] > 0
        assert ("unknown_customer" in sales["rejected"]) == (policy == "reject")
        assert any("it may be no key" in text for text in night["warnings"])
    assert wanted[1]["facts"]["records_deleted"]["by_absence"] > 0
    with Repeating(2) as repeating:
        for outcome in (by(4), by(2, processes), by(2, repeating)):
            assert outcome == wanted


def test_the_sizes_of_the_parts_change_nothing(
    duckdb_shop: Retailer, stars: Callable[[], Star], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the hashes that are sorted, judged and written at a time; and what is looked up by
    hash.
    """
    wanted = nights(duckdb_shop, stars())
    monkeypatch.setattr(repeats, "_SORTED", 20)
    monkeypatch.setattr(repeats, "_JUDGED", 2)
    monkeypatch.setattr(repeats, "_CLAIMED", 1)
    monkeypatch.setattr(strangers, "_FEW", 0)
    assert nights(duckdb_shop, stars()) == wanted


def test_what_is_sent_is_small_and_has_no_password(
    shop: Retailer, postgresql_star: Star, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither that of the warehouse nor that of a source."""
    fill(shop)
    url = sa.make_url(postgresql_star.url)
    password = url.password or "open-sesame"
    source = url.set(password=password).render_as_string(hide_password=False)
    settings: Row = {
        "PRODUCTS__PATH": source,
        "PRODUCTS__QUERY": "SELECT 'P1' AS product_id, 'Lamp' AS name",
        "ORPHAN_POLICY": "reject",
        "BATCH_ROWS": 7,
    }
    if shop.star.schema:
        settings["WAREHOUSE_URL"] = source
    with Couriers(2) as couriers:
        employ(monkeypatch, 2, couriers)
        shop.publish(**settings)
    assert len(couriers.sent) > SALES // 7
    assert max(map(len, couriers.sent)) < 60_000
    assert max(map(len, couriers.returned)) < 10_000
    assert password.encode() in bytes(ForkingPickler.dumps(shop.config(**settings)))
    assert not [sent for sent in couriers.sent if password.encode() in sent]
