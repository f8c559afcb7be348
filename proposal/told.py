"""What `setup` has found, in words that fit the terminal."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from common.rejects import ordered_reasons
from proposal.applied import as_text
from proposal.model import Proof, Proposal, Question, SourceProof, SourceProposal
from run.logs import one_line

SALES = "transactions"
_REASONS = 5
"""How many reasons of a source are shown."""
_NARROW = 60
"""Below so many characters, what was seen stands below a setting instead of beside it."""


def proposed(proposal: Proposal, width: int) -> list[str]:
    """Each source with its settings and what speaks for them; and what nothing is made of."""
    lines: list[str] = []
    for source in proposal.sources.values():
        lines += [*filled(f"{source.name}  {source.path}", width), *_settings(source, width)]
        for text in source.unknown:
            lines += filled(f"not known: {text}", width, "  ")
        lines.append("")
    if proposal.general:
        rows = [(name, _shown(value), "") for name, value in proposal.general.items()]
        lines += ["of all sources", *_table(rows, width), ""]
    for path, why in proposal.unused.items():
        lines += filled(f"not used: {path}: {why.removeprefix(f'{path}: ')}", width)
    return lines


def proven(proposal: Proposal, proof: Proof, width: int) -> list[str]:
    """What would load with it, what would not, and why."""
    lines: list[str] = []
    for problem in [*proposal.problems, *(p for p in proof.problems if p not in proposal.problems)]:
        lines += filled(f"problem: {problem}", width)
    for name, found in proof.sources.items():
        lines += [line for text in _of_source(name, found) for line in filled(text, width)]
    for text in proof.refused:
        lines += filled(f"a run would be refused: {text}", width)
    return lines


def asked(question: Question, width: int) -> list[str]:
    """A question and its numbered answers."""
    source = f"{question.source}: " if question.source else ""
    lines = filled(f"{source}{question.text}", width)
    for number, choice in enumerate(question.choices, 1):
        lines += filled(f"{number}) {choice.text}", width, "  ")
    return lines


def changes(before: Mapping[str, Any], after: Mapping[str, Any], width: int) -> list[str]:
    """Which settings of a file would be others; both are `star.toml` as values."""
    old, new = dict(_flat(before)), dict(_flat(after))
    lines: list[str] = []
    for name in dict.fromkeys([*old, *new]):
        if old.get(name) != new.get(name):
            signs = (("-", old), ("+", new))
            for sign, values in signs:
                if name in values:
                    lines += filled(f"{sign} {name} = {as_text(values[name])}", width, "  ")
    return lines


def _flat(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and (not above or name == "columns" or above == "sources."):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}".removeprefix("sources."), value


# --- the parts ------------------------------------------------------------------------------------


def _settings(source: SourceProposal, width: int) -> list[str]:
    """A line for each setting: its name, its value, and what speaks for it."""
    seen = dict(source.evidence)
    rows = [
        (name, _shown(value), seen.pop(name, ""))
        for name, value in source.settings.items()
        if name != "columns"
    ]
    for ours, theirs in source.settings.get("columns", {}).items():
        rows.append((ours, _column(theirs), seen.pop(ours, "")))
    rows += [(name, "", text) for name, text in seen.items()]
    return _table(rows, width)


def _shown(value: Any) -> str:
    """A setting, for people: `a, b` of a list, `order_id of orders` of a join."""
    if isinstance(value, Mapping):
        if value.keys() == {"source", "key"}:
            return f"{value['source']}, by {value['key']}"
        return "; ".join(f"{name}: {_shown(inner)}" for name, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_shown(inner) for inner in value)
    return {"": "blank", "\t": "tab", " ": "space"}.get(text := as_text(value), text)


def _column(rule: Any) -> str:
    """What makes a column, for people: `Belegnr + Position`, `sku or product_id`, `always 1`."""
    if isinstance(rule, Mapping):
        if "value" in rule:
            return f"always {rule['value']}" if rule["value"] else "left empty"
        return " or ".join(map(str, rule.get("any", [])))
    if isinstance(rule, Sequence) and not isinstance(rule, str):
        return " + ".join(_column(part) for part in rule)
    return str(rule)


def _of_source(name: str, found: SourceProof) -> Iterator[str]:
    """What became of the rows of a source."""
    net = f"; net amount {_amounts(found.net)}" if name == SALES else ""
    rows = f"{found.accepted:,} of {found.read:,}"
    yield f"with these {rows} {'sales' if name == SALES else name} would load{net}"
    reasons = ordered_reasons(found.rejected)
    for reason in reasons[:_REASONS]:
        example = f", such as {found.examples[reason]}" if reason in found.examples else ""
        yield f"  {found.rejected[reason]:,} refused: {reason}{example}"
    if more := sum(found.rejected[reason] for reason in reasons[_REASONS:]):
        yield f"  {more:,} refused for {len(reasons) - _REASONS} other reasons"
    if found.skipped:
        yield f"  {found.skipped:,} are left out: they are no sales, or were cancelled"
    if found.duplicates:
        yield f"  {found.duplicates:,} are there twice; one counts"
    for attribute, rows_left in found.issues.items():
        yield f"  {rows_left:,} have an unusable {attribute}, which is left empty"
    for column, sales in found.strangers.items():
        if sales:
            yield f"  {sales:,} name a {column} that its source does not have"
    for column, sales in found.nameless.items():
        if sales:
            yield f"  {sales:,} name no {column}"
    yield from (f"  note: {warning}" for warning in found.warnings)


def _amounts(net: Mapping[str, Decimal]) -> str:
    """Amounts by currency, with two decimals unless there are more."""
    texts = []
    for currency, amount in sorted(net.items()):
        exact = amount.normalize()
        decimals = max(2, -int(exact.as_tuple().exponent))
        texts.append(f"{exact:,.{decimals}f} {currency}".strip())
    return " and ".join(texts) or "0.00"


# --- lines ----------------------------------------------------------------------------------------


def filled(text: str, width: int, indent: str = "") -> list[str]:
    """A text in lines of at most `width` characters; those after the first stand further in."""
    plain = one_line(text)
    begins = indent + plain[: len(plain) - len(plain.lstrip())]
    return _folded(plain.strip(), width, begins, begins + "  ")


def _folded(text: str, width: int, first: str, other: str) -> list[str]:
    from rich.cells import cell_len  # noqa: PLC0415  # who prints nothing need not wait for it

    lines = textwrap.wrap(
        text, max(width, 20), initial_indent=first, subsequent_indent=other, break_on_hyphens=False
    )
    if all(cell_len(line) <= width for line in lines) or width < 2 * len(other) + 2:
        return lines
    return _folded(text, width - 1, first, other)  # some signs are two cells wide


def _table(rows: Iterable[tuple[str, str, str]], width: int) -> list[str]:
    """Rows of three cells below each other, which fold where they have no room."""
    from rich.console import Console  # noqa: PLC0415  # 70 ms, and only this needs it
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    grid = Table.grid(padding=(0, 2, 0, 0))
    for share in (None, 3, 4):
        grid.add_column(overflow="fold", ratio=share)
    for name, value, seen in rows:
        cells = [Text("  " + one_line(name)), Text(one_line(value)), Text(one_line(seen))]
        grid.add_row(*cells[: 2 if width < _NARROW else 3])
        if width < _NARROW and seen:
            grid.add_row("", Text(one_line(seen)))
    page = io.StringIO()
    console = Console(
        file=page, width=width, color_system=None, highlight=False, force_jupyter=False
    )
    console.print(grid)
    return [line.rstrip() for line in page.getvalue().splitlines() if line.strip()]
