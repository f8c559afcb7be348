"""Where text for people goes: how wide it is, and which signs and colours it can show.

What is shown is made of lines and tables that fit the width: a column that has no room is left out,
the least important first, and on a narrow screen a row becomes lines of its own. Colours never say
anything alone: a sign or a word says it too.
"""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO, TypeAlias

from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.theme import Theme

from run.logs import one_line

Piece: TypeAlias = str | tuple[str, str] | Text
"""A text, a text and its style (a name of `STYLES`), or what `line` returned."""
Shown: TypeAlias = Text | Table

STYLES = {"good": "green", "look": "yellow", "bad": "bold red", "dim": "dim", "strong": "bold"}
"""good: as it should be; look: worth a look; bad: failed; dim: of less interest."""
WITHOUT_TERMINAL = 100
"""How wide the text is where nobody says."""
NARROW = 60
"""On less than this, each row of a table becomes lines."""
_LEAST = 24
_SIGNS = {
    "good": ("✔", "+"),
    "look": ("!",),
    "bad": ("✘", "x"),
    "now": ("▸", ">"),
    "none": ("·", "-"),
    "to": ("→", "->"),
    "times": ("\u00d7", "x"),
    "minus": ("\u2212", "-"),
    "more": ("…", "..."),
    "full": ("█", "#"),
}
"""By meaning, the sign; and what stands for it where the encoding lacks it."""


@dataclass(frozen=True)
class Column:
    """A column of a table. Of those with `drop`, the one with the highest is left out first."""

    title: str = ""
    right: bool = True
    drop: int = 0


@dataclass(frozen=True)
class Screen:
    """A screen, so many characters wide."""

    width: int = 80
    colours: bool = False
    encoding: str = "utf-8"

    @classmethod
    def of(cls, stream: TextIO, environment: Mapping[str, str] | None = None) -> Screen:
        """The screen that a stream is shown on: NO_COLOR, COLUMNS and TERM are heard."""
        env = os.environ if environment is None else environment
        is_terminal = stream.isatty()
        width = shutil.get_terminal_size((80, 24)).columns if is_terminal else 0
        given = env.get("COLUMNS", "")
        width = width or (int(given) if given.isdecimal() else 0) or WITHOUT_TERMINAL
        colours = is_terminal and not env.get("NO_COLOR") and env.get("TERM") != "dumb"
        return cls(max(width, _LEAST), colours, getattr(stream, "encoding", None) or "utf-8")

    def sign(self, meaning: str) -> str:
        """A sign, or what stands for it here."""
        for sign in _SIGNS[meaning]:
            try:
                sign.encode(self.encoding)
            except (UnicodeError, LookupError):
                continue
            return sign
        return _SIGNS[meaning][-1]

    def line(self, *pieces: Piece, indent: int = 0) -> Text:
        """A line; one that is too long goes on below, `indent` further in."""
        text = _joined(pieces)
        text.no_wrap = False
        if len(text) <= self.width or not indent:
            return text
        first, *rest = text.wrap(self._console(), self.width)
        if not rest:
            return first
        below = text[len(first.plain.rstrip()) :]  # a word that is cut goes on as it is
        below = below[len(below) - len(below.plain.lstrip()) :]
        lines = below.wrap(self._console(), max(self.width - indent, _LEAST // 2))
        return Text("\n").join([first, *(Text(" " * indent) + each for each in lines)])

    def table(
        self, columns: Sequence[Column], rows: Sequence[Sequence[Piece]], *, indent: int = 1
    ) -> list[Shown]:
        """A table; its first column names the row. Columns without a title in any row are blank."""
        if not rows:
            return []
        cells = [[_joined([cell]) for cell in row] for row in rows]
        chosen = list(range(len(columns)))
        while (table := _table(columns, cells, chosen, indent)) and self._is_too_wide(table):
            spare = [number for number in chosen if columns[number].drop]
            if not spare:
                break
            chosen.remove(max(spare, key=lambda number: columns[number].drop))
        if not self._is_too_wide(table):
            return [table]
        return [*self._as_lines(columns, cells, indent)]

    def has_room(
        self, columns: Sequence[Column], rows: Sequence[Sequence[Piece]], *, indent: int = 1
    ) -> bool:
        """Whether a table has room with all its columns."""
        cells = [[_joined([cell]) for cell in row] for row in rows]
        return not self._is_too_wide(_table(columns, cells, range(len(columns)), indent))

    def render(self, shown: Sequence[Shown]) -> str:
        """All of it as text, with control codes only where there are colours."""
        printed = io.StringIO()
        console = self._console(printed)
        for each in shown:
            console.print(each, end="" if isinstance(each, Table) else "\n")
        return "\n".join(line.rstrip() for line in printed.getvalue().splitlines())

    def _as_lines(
        self, columns: Sequence[Column], cells: Sequence[Sequence[Text]], indent: int
    ) -> Iterator[Text]:
        """A table that has no room as lines of a label and a value."""
        none = self.sign("none")
        for first, *others in cells:
            yield self.line(" " * indent, first, indent=indent + 2)
            for column, cell in zip(columns[1:], others, strict=True):
                if cell.plain.strip() not in ("", none):
                    label = f"{column.title}: " if column.title else ""
                    inner = indent + 2
                    yield self.line(" " * inner, (label, "dim"), cell, indent=inner + 2)

    def _is_too_wide(self, table: Table) -> bool:
        console = self._console()
        wide = console.options.update(width=10_000, max_width=10_000)
        return console.measure(table, options=wide).maximum > self.width

    def _console(self, file: TextIO | None = None) -> Console:
        return Console(
            file=file or io.StringIO(),
            width=self.width,
            force_terminal=self.colours,
            color_system="standard" if self.colours else None,
            legacy_windows=False,
            highlight=False,
            markup=False,
            emoji=False,
            theme=Theme(STYLES),
            _environ={},
        )


def _joined(pieces: Sequence[Piece]) -> Text:
    """Pieces as one text, in which nothing controls the terminal."""
    text = Text()
    for piece in pieces:
        if isinstance(piece, Text):
            text.append_text(piece)
        elif isinstance(piece, str):
            text.append(one_line(piece))
        else:
            text.append(one_line(piece[0]), style=piece[1])
    return text


def _table(
    columns: Sequence[Column], cells: Sequence[Sequence[Text]], chosen: Sequence[int], indent: int
) -> Table:
    has_titles = any(columns[number].title for number in chosen)
    table = Table(box=None, show_header=has_titles, pad_edge=False, padding=(0, 2, 0, 0))
    for place, number in enumerate(chosen):
        column = columns[number]
        title = Text(column.title, "dim")
        if place == 0:
            title = Text(" " * indent) + title
        table.add_column(title, justify="right" if column.right and place else "left", no_wrap=True)
    for row in cells:
        first = Text(" " * indent) + row[chosen[0]]
        table.add_row(first, *(row[number] for number in chosen[1:]))
    return table
