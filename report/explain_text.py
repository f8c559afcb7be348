"""What is known of a fact, for people: where it came from, or why it is not in the star."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from rich.text import Text
from sqlalchemy import Boolean, Column, Date, Numeric, Table

from common.changes import ABSENCE, FLAG, SKIPPED
from common.star_model import (
    DELETED_FLAG,
    INFERRED_FLAG,
    UNKNOWN_KEY,
    Role,
    Star,
    attributes,
    business_key,
    columns_of,
)
from report.formulas import derivations
from report.screen import Column as ScreenColumn
from report.screen import Piece, Screen, Shown
from run.explain import Explanation
from run.explain_input import InputRow
from run.original import Original
from run.reject_search import Refused
from warehouse.runs import PastRun
from warehouse.whereabouts import Member, Overwritten

_MOST = 10
"""So many changes, and refusals, are shown."""
_INDENT = 12


def render(found: Explanation, star: Star, screen: Screen) -> str:
    """The whole text."""
    return screen.render([*_Text(found, star, screen).lines()])


class _Text:
    """The lines of one explanation."""

    def __init__(self, found: Explanation, star: Star, screen: Screen) -> None:
        self.found, self.star, self.screen = found, star, screen
        self.key = found.key

    def lines(self) -> Iterator[Shown]:
        """All lines: the verdict first."""
        state = self.found.state
        if state == "in_star":
            yield from self._in_star()
        elif state == "removed":
            yield from self._removed()
        elif state == "refused":
            yield from self._refused()
        elif state == "in_input":
            yield from self._in_input()
        else:
            yield from self._nowhere()
        for problem in self.found.problems:
            yield self._sentence(("!", "look"), f" not looked through: {problem}")

    # --- in the star ---------------------------------------------------------------------------

    def _in_star(self) -> Iterator[Shown]:
        fact = self.found.star.fact or {}
        yield self._verdict("good", f"{self.key} is in {self.star.fact.name}")
        yield from self._members()
        yield from self._measures(fact)
        yield from self._loaded()
        yield from self._original()
        yield from self._since()

    def _members(self) -> Iterator[Shown]:
        yield Text("")
        for member in self.found.star.members:
            label = str(member.table.info.get("member", member.table.name)).replace("_", " ")
            yield self._labelled(label, *self._member(member))

    def _member(self, member: Member) -> list[Piece]:
        if member.row is None:
            return [("is not in the star any more", "bad")]
        key = member.row[next(iter(member.table.primary_key.columns)).name]
        if key == UNKNOWN_KEY:
            return ["Unknown ", ("(the source names none)", "dim")]
        flags = [
            text
            for name, text in ((INFERRED_FLAG, "inferred"), (DELETED_FLAG, "deleted"))
            if member.row.get(name)
        ]
        shown: list[Piece] = [(_first_name(member), "strong")]
        if business_key(member.table).name != _column_of_key(member.table):
            shown.append((f" key {key}", "dim"))
        if flags:
            shown.append((f" ! {', '.join(flags)}", "look"))
        told = ", ".join(_attributes(member))
        return [*shown, f"  {told}"] if told else shown

    def _measures(self, fact: Mapping[str, Any]) -> Iterator[Shown]:
        made = derivations(self.star.fact, fact)
        rows: list[list[Piece]] = []
        for column in columns_of(self.star.fact, Role.MEASURE, Role.ATTRIBUTE):
            value = fact.get(column.name)
            if value is None:
                continue
            how = f"= {self._formula(made[column.name], column)}" if column.name in made else ""
            rows.append([(_words(column.name), "dim"), _shown(value, column), how])
        titles = [ScreenColumn(), ScreenColumn(), ScreenColumn(right=False, drop=1)]
        yield Text("")
        yield from self.screen.table(titles, rows, indent=3)

    def _formula(self, parts: Sequence[str | Decimal], column: Column[Any]) -> str:
        signs = {"x": self.screen.sign("times"), "-": self.screen.sign("minus"), "+": "+"}
        del column
        return " ".join(signs[part] if isinstance(part, str) else _number(part) for part in parts)

    def _loaded(self) -> Iterator[Shown]:
        star = self.found.star
        run_id = str((star.fact or {}).get("run_id", ""))
        yield Text("")
        yield self._labelled("loaded", *_run_pieces(run_id, star.run))
        if self.found.file is not None:
            line = (
                "a line that has no room"
                if self.found.line is None
                else (f"line {self.found.line:,}")
            )
            yield self._labelled("from", (self.found.file, "strong"), f", {line}")
        else:
            yield self._labelled("from", ("the star does not know file and line of it", "dim"))

    def _original(self) -> Iterator[Shown]:
        original = self.found.original
        if original is None:
            return
        sign, words = _file_state(original)
        yield self._labelled("", (self.screen.sign(sign), sign), f" {words}")
        for row in original.rows:
            yield self._labelled("row", _cells(row))

    def _since(self) -> Iterator[Shown]:
        changes = [c for c in self.found.star.changes if c.table != self.star.fact.name]
        own = [c for c in self.found.star.changes if c.table == self.star.fact.name]
        yield from self._changes("changed", own)
        yield from self._changes("since", changes)
        for refusal in self.found.refusals[:_MOST]:
            yield self._labelled("since", ("a row with this key was refused: ", "look"),
                                 *_refusal(refusal))  # fmt: skip

    def _changes(self, label: str, changes: Sequence[Overwritten]) -> Iterator[Shown]:
        for change in changes[:_MOST]:
            yield self._labelled(label, *self._change(change))
            label = ""
        if len(changes) > _MOST:
            yield self._labelled("", (f"and {len(changes) - _MOST:,} earlier changes", "dim"))

    def _change(self, change: Overwritten) -> list[Piece]:
        when = _moment(change.at) if change.at is not None else f"run {change.run_id}"
        whom = "" if change.table == self.star.fact.name else f"{change.key} "
        if change.attribute is None:
            return [(f"{when}  ", "dim"), f"{whom}removed ({_why(change.after)})"]
        if change.before is None and change.after is None:
            values = "changed"
        else:
            table = self.star.fact.metadata.tables.get(change.table)
            column = None if table is None else table.columns.get(change.attribute)
            before, after = (
                self.screen.sign("none") if text is None else _plain(text, column)
                for text in (change.before, change.after)
            )
            values = f"{before} {self.screen.sign('to')} {after}"
        return [(f"{when}  ", "dim"), f"{whom}{_words(change.attribute)} {values}"]

    # --- not in the star -----------------------------------------------------------------------

    def _removed(self) -> Iterator[Shown]:
        removal = self.found.star.removal
        if removal is None:
            return
        yield self._verdict("look", f"{self.key} was removed from {self.star.fact.name}")
        yield Text("")
        yield self._labelled("why", _why(removal.after))
        yield self._labelled("when", *_run_pieces(removal.run_id, None, removal.at))
        if removal.before:
            yield self._labelled("it was", _document(removal.before, self.star.fact))
        for refusal in self.found.refusals[:_MOST]:
            yield self._labelled("refused", *_refusal(refusal))
        own = [c for c in self.found.star.changes if c.attribute is not None]
        yield from self._changes("before", own)

    def _refused(self) -> Iterator[Shown]:
        first, *others = self.found.refusals
        yield self._verdict("bad", f"{self.key} was refused: {first.reason}")
        yield Text("")
        if first.detail:
            yield self._labelled("detail", first.detail)
        yield self._labelled("from", (first.file, "strong"), _line(first.line))
        yield self._labelled("run", *_run_pieces(first.run_id, None))
        if first.raw:
            yield self._labelled("record", first.raw)
            yield self._labelled("", ("it is no row; this key is a word of it", "dim"))
        else:
            yield self._labelled("row", _cells(first.row))
        yield self._labelled("in", str(first.path))
        for other in others[: _MOST - 1]:
            yield self._labelled("and", *_refusal(other))
        if len(others) >= _MOST:
            yield self._labelled("", ("and by earlier runs", "dim"))
        if self.found.star.removal is not None:
            yield self._labelled("removed", *self._change(self.found.star.removal))
        yield Text("")
        yield self._labelled(
            "next", f"correct it there, then: python main.py replay {first.run_id}"
        )

    def _in_input(self) -> Iterator[Shown]:
        rows = self.found.input.rows if self.found.input else []
        last = rows[-1]
        counting = next((row for row in reversed(rows) if row.outcome != "duplicate"), last)
        sign, words = _OUTCOMES[counting.outcome]
        reason = f": {counting.reason}" if counting.reason else ""
        yield self._verdict(sign, f"{self.key} is not in {self.star.fact.name}: {words}{reason}")
        for row in rows[-_MOST:]:
            yield Text("")
            yield from self._input_row(row)
        if len(rows) > _MOST:
            yield self._labelled("", (f"and {len(rows) - _MOST:,} rows before these", "dim"))

    def _input_row(self, row: InputRow) -> Iterator[Shown]:
        yield self._labelled("in", (row.file, "strong"), _line(row.line))
        _, words = _OUTCOMES[row.outcome]
        told = ": ".join(filter(None, [words, row.reason, row.detail]))
        yield self._labelled("", told)
        if row.wins is not None:
            wins = row.wins
            yield self._labelled("", f"the row that counts is {wins.file}{_line(wins.line)}")
        yield self._labelled("record" if row.raw else "row", row.raw or _cells(row.row))

    def _nowhere(self) -> Iterator[Shown]:
        yield self._verdict("bad", f"nobody knows {self.key}")
        yield Text("")
        looked = self.found.input
        kept = " and what it keeps of removed rows" if self.found.star.has_changes else ""
        yield self._labelled("looked in", f"{self.star.fact.name}{kept}, the reject files of all "
                             "runs" + ("" if looked is None else
                             f", and {looked.records:,} records of the input"))  # fmt: skip
        if self.found.near:
            yield self._labelled("like it", (", ".join(self.found.near), "strong"))
        for run_id, count in self.found.star.uncounted:
            yield self._labelled(
                "perhaps", f"run {run_id} removed {count:,} rows, too many to keep their keys"
            )
        if looked is not None and looked.is_part:
            name = f"{self.star.sales.name.upper()}__WATERMARK"
            yield self._labelled("", f"only rows from {name} on were read, as the next run does")

    # --- lines ---------------------------------------------------------------------------------

    def _verdict(self, sign: str, words: str) -> Text:
        return self.screen.line(
            " ", (self.screen.sign(sign), sign), " ", (words, "strong"), indent=3
        )

    def _labelled(self, label: str, *pieces: Piece) -> Text:
        width = min(_INDENT, self.screen.width // 3)
        return self.screen.line("   ", (label.ljust(width - 4), "dim"), " ", *pieces, indent=width)

    def _sentence(self, *pieces: Piece) -> Text:
        return self.screen.line("   ", *pieces, indent=5)


_OUTCOMES = {
    "loaded": ("good", "the next run loads it"),
    "refused": ("bad", "the next run refuses it"),
    "skipped": ("look", "SKIP_WHEN leaves it out"),
    "deleted": ("look", "its row is flagged as deleted"),
    "duplicate": ("look", "it says the same as a later row"),
}
_STATES = {
    "same": ("good", "the file is as it was read"),
    "unknown": ("look", "nobody noted how the file was; the row is on that line now"),
    "changed": ("look", "the file has changed since; the row is on that line still"),
    "gone": ("look", "the file is not there any more"),
    "database": ("look", "the line is the number of the row in the answer to the query"),
    "unreadable": ("look", "the file cannot be read now"),
}
_REASONS = {
    ABSENCE: "the input did not have it any more",
    FLAG: "its row was flagged as deleted",
    SKIPPED: "SKIP_WHEN left its row out",
}


def _file_state(original: Original) -> tuple[str, str]:
    if original.state in ("same", "unknown", "changed") and not original.rows:
        return "look", "the file has changed since: that line is another row now"
    sign, words = _STATES[original.state]
    return sign, f"{words}: {original.problem}" if original.problem else words


def _why(word: str | None) -> str:
    return _REASONS.get(word or "", word or "a run removed it")


def _run_pieces(run_id: str, run: PastRun | None, at: datetime | None = None) -> list[Piece]:
    at = run.started_at if run is not None else at
    when = "" if at is None else f", {_moment(at)}"
    version = f", version {run.code_version}" if run is not None and run.code_version else ""
    return [f"run {run_id}{when}", (version, "dim")]


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _refusal(refusal: Refused) -> list[Piece]:
    detail = f" ({refusal.detail})" if refusal.detail else ""
    return [f"{refusal.reason}{detail}, {refusal.file}{_line(refusal.line)}, run {refusal.run_id}"]


def _line(line: int | None) -> str:
    return "" if line is None else f", line {line:,}"


def _first_name(member: Member) -> str:
    """A member as people know it: its business key, or the day of a calendar."""
    days = [c.name for c in attributes(member.table) if isinstance(c.type, Date)]
    is_calendar = bool(columns_of(member.table, Role.SMART_KEY))
    value = (member.row or {}).get(days[0]) if is_calendar and days else member.name
    return str(member.name if value is None else value)


def _column_of_key(table: Table) -> str:
    return next(iter(table.primary_key.columns)).name


def _attributes(member: Member) -> Iterator[str]:
    is_calendar = bool(columns_of(member.table, Role.SMART_KEY))
    first = _first_name(member)
    for column in attributes(member.table):
        value = (member.row or {}).get(column.name)
        is_flag = isinstance(column.type, Boolean)
        if value in (None, "", False) or column.name in (INFERRED_FLAG, DELETED_FLAG):
            continue
        shown = _shown(value, column)
        if shown == first:
            continue
        if is_calendar:
            if isinstance(value, str) and not first.startswith(shown):
                yield shown
        else:
            yield _words(column.name) if is_flag else f"{_words(column.name)} {shown}"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _shown(value: Any, column: Column[Any]) -> str:
    if isinstance(value, Decimal):
        places = 2 if column.info.get("is_amount") else 0
        return _number(value, places)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(column.type, Numeric) and isinstance(value, int | float):
        return _number(Decimal(str(value)))
    return str(value)


def _number(value: Decimal, places: int = 0) -> str:
    """A number with groups of thousands, and with the decimals that it has."""
    exponent = value.normalize().as_tuple().exponent
    own = -exponent if isinstance(exponent, int) and exponent < 0 else 0
    if own == 1:
        own = 2
    return f"{value:,.{max(places, own)}f}"


def _plain(text: str, column: Column[Any] | None) -> str:
    """A value of a column: a number without the zeros that fill it up, any other text as it is, and
    the member without a key as people know it.
    """
    if column is not None and isinstance(column.type, Numeric) and "." in text:
        return text.rstrip("0").rstrip(".")
    if not text and column is not None and column.info.get("role") is Role.DIMENSION_KEY:
        return "Unknown"
    return repr(text) if text.strip() != text or not text else text


def _cells(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in row.items() if value not in (None, ""))


def _document(text: str, table: Table) -> str:
    """A row of a table that was kept as JSON."""
    try:
        kept = json.loads(text)
    except ValueError:
        return text
    columns = table.columns
    known = {name: str(value) for name, value in kept.items() if value is not None}
    return _cells({name: _plain(text, columns.get(name)) for name, text in known.items()})
