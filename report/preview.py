"""What a run would change, or has changed, for whoever asked to see it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from decimal import Decimal, InvalidOperation
from itertools import groupby

import sqlalchemy as sa

from common.changes import ABSENCE, FLAG, SKIPPED, Alike, Change, Changes, MonthEffect, TableChanges
from common.star_model import Role, Star, columns_of, target_of
from report.screen import Column, Piece, Screen, Shown

_INDENT = 3
_LONGEST = 32
"""Of a value more is not shown."""
_KEYS, _CHANGES = 4, 8
"""So many keys, and changes of a row, are shown on a line."""
_BELOW = _INDENT + 2
_SALES = 5
"""Of so many sales it is shown what changes."""
_MONTHS = 12
_NEW = 8
_WHY = {FLAG: "flagged", SKIPPED: "skipped", ABSENCE: "absent"}
_KINDS = {"healed": "filled in", "flagged": "gone", "rekeyed": "other key"}


def preview(
    changes: Changes | None, star: Star, screen: Screen, *, is_whole: bool = True
) -> list[Shown]:
    """All that there is to see of the changes of a run, table by table, and of its net sales. It
    ends with where more is, unless it is only a part of what is shown.
    """
    found = changes or Changes()
    lines: list[Shown] = []
    for table in (*star.dimensions, star.fact):
        of_table = found.tables.get(table.name)
        if of_table is not None and (of_table.rows or of_table.attributes):
            lines += [screen.line("")] if lines else []
            lines += _Table(table, star, screen).lines(of_table)
    if not lines:
        return [screen.line(" nothing changes")]
    lines += _months(found.months, screen)
    return [*lines, *(_rest(found, screen) if is_whole else ())]


class _Table:
    """The changes of one table."""

    def __init__(self, table: sa.Table, star: Star, screen: Screen) -> None:
        self._table, self._screen = table, screen
        self._is_fact = table is star.fact
        self._called = _called(table, star)

    def lines(self, found: TableChanges) -> Iterator[Shown]:
        """First how many, then in which attributes, then the first rows."""
        counts = "   ".join(self._counts(found))
        yield self._screen.line(f" {self._called}   ", (counts, "strong"), indent=_INDENT)
        yield from self._attributes(found)
        yield from self._examples(found)
        if found.first_new:
            keys = ", ".join(found.first_new[:_NEW])
            new = found.new + found.inferred
            more = f" {self._screen.sign('more')}" if new > _NEW else ""
            yield self._screen.line(
                " " * _INDENT, ("new  ", "dim"), f"{keys}{more}", indent=_INDENT + 5
            )

    def _counts(self, found: TableChanges) -> Iterator[str]:
        changed = "restated" if self._is_fact else "changed"
        for count, words in (
            (found.new, "new"),
            (found.inferred, "new from sales only"),
            (found.changed, changed),
            (found.healed, "filled in"),
            (found.flagged, "gone"),
        ):
            if count:
                yield f"{count:,} {words}"
        for why, count in found.removed.items():
            yield f"{count:,} removed ({_WHY.get(why, why)})"

    def _attributes(self, found: TableChanges) -> list[Shown]:
        """In how many rows each attribute changes, and how, if many change alike."""
        rows = []
        for name, count in sorted(found.attributes.items(), key=lambda item: -item[1]):
            alike = [each for each in found.alike if each.attribute == name][:2]
            rows.append((name, f"{count:,}", "; ".join(self._alike(each, count) for each in alike)))
        columns = [Column(), Column(), Column(right=False, drop=1)]
        return self._screen.table(columns, rows, indent=_INDENT)

    def _alike(self, each: Alike, count: int) -> str:
        told = self._overwritten(each)
        many = f"{each.rows:,} {self._screen.sign('times')} "
        return told if each.rows == count else many + told

    def _examples(self, found: TableChanges) -> Iterator[Shown]:
        """What becomes of the first rows: a line for those that change alike."""
        by_row = [list(group) for _, group in groupby(found.examples, lambda change: change.key)]
        by_row = by_row[:_SALES] if self._is_fact else by_row
        keys: dict[str, list[str]] = {}
        for changes in by_row:
            keys.setdefault(self._told(changes), []).append(_short(changes[0].key, self._screen))
        for told, rows in keys.items():
            more = f", {self._screen.sign('more')} {len(rows) - _KEYS} more"
            named = ", ".join(rows[:_KEYS]) + (more if len(rows) > _KEYS else "")
            yield self._screen.line(" " * _INDENT, (named, "strong"), f"  {told}", indent=_BELOW)
        left = found.touched - len(by_row)
        if left > 0:
            more = f"{self._screen.sign('more')} {left:,} more"
            yield self._screen.line(" " * _INDENT, (more, "dim"))

    def _told(self, changes: Sequence[Change]) -> str:
        """All that becomes of a row."""
        first = changes[0]
        if first.attribute is None:
            return f"removed ({_WHY.get(first.after or '', '')}): {self._removed(first)}"
        kind = _KINDS.get(first.kind)
        told = [f"{each.attribute} {self._overwritten(each)}" for each in changes[:_CHANGES]]
        more = [self._screen.sign("more")] if len(changes) > _CHANGES else []
        return (f"{kind}: " if kind else "") + ", ".join([*told, *more])

    def _overwritten(self, change: Change | Alike) -> str:
        name = change.attribute or ""
        before, after = (self._value(name, value) for value in (change.before, change.after))
        return f"{before} {self._screen.sign('to')} {after}"

    def _removed(self, change: Change) -> str:
        """What the row was: its members, and its amounts."""
        try:
            was = json.loads(change.before or "{}")
        except ValueError:
            was = {}
        keys = columns_of(self._table, Role.DIMENSION_KEY)
        members = [self._value(key.name, was.get(key.name)) for key in keys]
        net = self._table.c.net_amount.name
        return ", ".join([*members, f"net {self._value(net, was.get(net))}"])

    def _value(self, name: str, value: str | None) -> str:
        if value is None:
            return "(empty)"
        column = self._table.columns.get(name)
        if column is None:
            return _short(value, self._screen)
        if column.info.get("role") is Role.DIMENSION_KEY:
            if columns_of(target_of(column), Role.SMART_KEY):
                return f"{value[:-4]}-{value[-4:-2]}-{value[-2:]}"
            return _short(value, self._screen) or "Unknown"
        if isinstance(column.type, sa.Numeric):
            return _number(value)
        return _short(value, self._screen)


def _called(table: sa.Table, star: Star) -> str:
    """What people call the rows of a table."""
    if table is star.fact:
        return table.name.removeprefix("fact_")
    for source in star.members:
        if source.feeds is table:
            return source.name.replace("_", " ")
    return f"{table.info['member']}s"


def _short(value: str, screen: Screen) -> str:
    more = screen.sign("more")
    return value if len(value) <= _LONGEST else value[: _LONGEST - len(more)] + more


def _number(text: str) -> str:
    """A number without the zeros behind it."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        return text
    shown = f"{value:,f}"
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


def _months(months: Sequence[MonthEffect], screen: Screen) -> list[Shown]:
    """What the net sales of the months were, and are then."""
    if not months:
        return []
    has_currencies = any(effect.currency for effect in months)
    rows: list[Sequence[Piece]] = []
    for effect in months[-_MONTHS:]:
        amounts = [_amount(amount) for amount in (effect.before, effect.after)]
        sign = "" if effect.difference < 0 else "+"
        row = [effect.month, *amounts, f"{sign}{_amount(effect.difference)}"]
        rows.append([*row[:1], effect.currency, *row[1:]] if has_currencies else row)
    titles = ["net sales", *(["currency"] if has_currencies else [])]
    columns = [Column(titles[0])]
    columns += [Column(title, right=False) for title in titles[1:]]
    columns += [Column("before", drop=2), Column("after", drop=1), Column("difference")]
    shown = [screen.line(""), *screen.table(columns, rows, indent=1)]
    if len(months) > _MONTHS:
        more = f" {screen.sign('more')} and {len(months) - _MONTHS:,} months before"
        shown.append(screen.line((more, "dim")))
    return shown


def _amount(amount: Decimal | None) -> str:
    return "" if amount is None else f"{amount:,.2f}"


def _rest(changes: Changes, screen: Screen) -> list[Shown]:
    """Where all of it is, or how to get it."""
    place = changes.file or "python main.py --dry-run --changes changes.csv"
    return [screen.line(""), screen.line((" all of it  ", "dim"), place, indent=_INDENT)]
