"""Where text for people goes: how wide it is, and which signs and colours it can show.

What is shown is made of lines and tables that fit the width: a column that has no room is left out,
the least important first, and on a narrow screen a row becomes lines of its own. Where nobody says
how wide it is (a mail of cron, a file, `grep`), each line stays whole, however long it is, and each
table has all its columns. Colours never say anything alone: a sign or a word says it too.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO, TypeAlias

from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.theme import Theme

from run.logs import one_line
from run.terminal import WITHOUT_COLOURS

Piece: TypeAlias = str | tuple[str, str] | Text
"""A text, a text and its style (a name of `STYLES`), or what `line` returned."""
Shown: TypeAlias = Text | Table

STYLES = {
    "good": "green",
    "look": "yellow",
    "bad": "bold red",
    "dim": "dim",
    "strong": "bold",
    "bar": "cyan",
}
"""good: as it should be; look: worth a look; bad: failed; dim: of less interest."""
WITHOUT_TERMINAL = 100
"""How wide the text is laid out where nobody says; a line may be longer there."""
NARROW = 60
"""On less than this, each row of a table becomes lines."""
_LEAST, _MOST = 24, 1000
_UNLIMITED = 1_000_000
"""No line is longer."""
_USUAL = 80
_DIGITS = 9
"""Of a width; what has more is none."""
_GAP = 3
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
    """A screen, so many characters wide. One that does not fold takes longer lines, too: they are
    neither continued below nor cut.
    """

    width: int = 80
    colours: bool = False
    encoding: str = "utf-8"
    folds: bool = True

    @classmethod
    def of(cls, stream: TextIO, environment: Mapping[str, str] | None = None) -> Screen:
        """The screen that a stream is shown on: NO_COLOR, COLUMNS and TERM are heard."""
        env = os.environ if environment is None else environment
        is_terminal = stream.isatty()
        given = env.get("COLUMNS", "")
        width = int(given) if given.isdecimal() and len(given) < _DIGITS else 0
        folds = bool(width) or is_terminal
        width = width or (_columns(stream) if is_terminal else WITHOUT_TERMINAL)
        can_colour = env.get("TERM", "") not in WITHOUT_COLOURS
        colours = is_terminal and can_colour and not env.get("NO_COLOR")
        encoding = getattr(stream, "encoding", None) or "utf-8"
        return cls(min(max(width, _LEAST), _MOST), colours, encoding, folds)

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
        if text.cell_len <= self.width or not indent or not self.folds:
            return text
        first = text.wrap(self._console(), self.width)[0]
        after = len(first.plain.rstrip())
        after += len(text.plain[after:]) - len(text.plain[after:].lstrip())
        if after == len(text.plain):
            return first
        _, rest = text.divide([after])
        room = max(self.width - indent, _LEAST // 2)
        below = (Text(" " * indent) + line for line in rest.wrap(self._console(), room))
        return Text("\n").join([first, *below])

    def ends(self, line: Text, right: Piece, *, indent: int = 0) -> list[Shown]:
        """A line with something at its right edge, which stands below it where it has no room."""
        end = _joined([right])
        room = self.width - line.cell_len - end.cell_len
        if "\n" in line.plain or room < _GAP:
            return [line, self.line(" " * indent, end, indent=indent)]
        return [Text.assemble(line, " " * room, end)]

    def flow(
        self, first: Piece, pieces: Iterable[Piece], *, gap: int = 2, indent: int = 1
    ) -> list[Shown]:
        """Pieces beside each other behind the first, which may be blank, and on lines below it
        where they have no room. Each stays whole, if the width allows it.
        """
        lines = [_joined([" " * indent, first])]
        start = lines[0].cell_len
        for piece in pieces:
            text, line = _joined([piece]), lines[-1]
            if start + text.cell_len > self.width:
                start = min(start, indent + 2)
                lines.append(Text(" " * start))
            elif line.cell_len > start and line.cell_len + gap + text.cell_len > self.width:
                lines.append(Text(" " * start))
            elif line.cell_len > start:
                line.append(" " * gap)
            lines[-1].append_text(text)
        return [self.line(line, indent=start) for line in lines]

    def table(
        self,
        columns: Sequence[Column],
        rows: Sequence[Sequence[Piece]],
        *,
        indent: int = 1,
        flowing: bool = False,
    ) -> list[Shown]:
        """A table; its first column names the row. Columns without a title in any row are blank.

        Where it has no room, each row becomes lines of a label and a value, or, `flowing`, as many
        of these beside each other as there is room for.
        """
        if not rows:
            return []
        cells = [[_joined([cell]) for cell in row] for row in rows]
        chosen = list(range(len(columns)))
        table = _table(columns, cells, chosen, indent)
        if not self.folds:
            return [table]
        while self._is_too_wide(table):
            spare = [number for number in chosen if columns[number].drop]
            if not spare:
                break
            chosen.remove(max(spare, key=lambda number: columns[number].drop))
            table = _table(columns, cells, chosen, indent)
        if not self._is_too_wide(table):
            return [table]
        if flowing:
            return [line for row in cells for line in self._flowing(columns, row, indent)]
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

    def _flowing(self, columns: Sequence[Column], row: Sequence[Text], indent: int) -> list[Shown]:
        """A row as its first cell and, below it, the others with their labels."""
        first, *others = row
        labelled = [
            Text.assemble((f"{column.title} " if column.title else "", "dim"), cell)
            for column, cell in zip(columns[1:], others, strict=True)
            if cell.plain.strip() not in ("", self.sign("none"))
        ]
        head = self.line(" " * indent, first, indent=indent + 2)
        return [head, *self.flow("", labelled, indent=indent + 2)]

    def _is_too_wide(self, table: Table) -> bool:
        console = self._console()
        wide = console.options.update(width=10_000, max_width=10_000)
        return console.measure(table, options=wide).maximum > self.width

    def _console(self, file: TextIO | None = None) -> Console:
        return Console(
            file=file or io.StringIO(),
            width=self.width if self.folds else _UNLIMITED,
            force_terminal=self.colours,
            color_system="standard" if self.colours else None,
            legacy_windows=False,
            force_jupyter=False,
            highlight=False,
            markup=False,
            emoji=False,
            theme=Theme(STYLES),
            _environ={},
        )


def _columns(stream: TextIO) -> int:
    """How wide a terminal is; 80 where it does not tell."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or _USUAL
    except (OSError, ValueError):  # it has no descriptor, or is closed
        return _USUAL


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
