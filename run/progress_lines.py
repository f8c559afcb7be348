"""How progress looks on a terminal: one line a phase, at most as wide as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from run.meter import Meter, counted, lasted, pace, percent

_BAR, _SHORT_BAR = 20, 10
_WIDE = 100
"""From so many characters on there is room for the whole bar."""


def lines(meters: Sequence[Meter], width: int, encoding: str) -> Text:
    """The phases as lines of at most `width` characters: those that are done, the one that is under
    way, and the names of those to come.
    """
    signs = _Signs.for_encoding(encoding)
    begun = [meter for meter in meters if meter.status != "ahead"]
    name = max(len(meter.name) for meter in meters) if meters else 0
    shown = [_line(meter, name, width, signs) for meter in begun]
    if ahead := [meter.name for meter in meters if meter.status == "ahead"]:
        shown.append(Text(f"   {f' {signs.between} '.join(ahead)}", "dim"))
    for line in shown:
        line.truncate(width)
    return Text("\n", no_wrap=True).join(shown)


@dataclass(frozen=True)
class _Signs:
    done: str = "✔"
    now: str = "▸"
    failed: str = "✘"
    between: str = "\u00b7"
    parts: str = " ▏▎▍▌▋▊▉█"

    @classmethod
    def for_encoding(cls, encoding: str) -> _Signs:
        """The signs, or what stands for them where the encoding lacks them."""
        signs = cls()
        try:
            f"{signs.done}{signs.now}{signs.failed}{signs.between}{signs.parts}".encode(encoding)
        except (UnicodeError, LookupError):
            return cls("+", ">", "x", "-", " #")
        return signs

    def bar(self, share: float, width: int) -> str:
        """So much of a bar."""
        steps = len(self.parts) - 1
        full, part = divmod(round(share * width * steps), steps)
        bar = self.parts[-1] * full + (self.parts[part] if part else "")
        return bar.ljust(width)


Part = tuple[str, int]
"""A text, and its rank: what has a lower one gets its room first."""


def _line(meter: Meter, name: int, width: int, signs: _Signs) -> Text:
    sign, style = {
        "now": (signs.now, "bold cyan"),
        "done": (signs.done, "green"),
        "failed": (signs.failed, "bold red"),
    }[meter.status]
    line = Text(" ").append(sign, style).append(f" {meter.name:<{name}}")
    bar = _BAR if width >= _WIDE else _SHORT_BAR
    parts = _under_way(meter, signs, bar) if meter.status == "now" else _over(meter, signs, bar)
    room, chosen = width - len(line), set[str]()
    for text, _ in sorted(parts, key=lambda part: part[1]):
        if text and len(text) + 2 <= room:
            room -= len(text) + 2
            chosen.add(text)
    for text in (text for text, _ in parts if text in chosen):
        line.append(f"  {text}", style if text.strip(signs.parts) == "" else "")
    return line


def _under_way(meter: Meter, signs: _Signs, bar: int) -> list[Part]:
    share = meter.share
    is_over = share == 1  # what comes after the last row has its time too
    rate, left = pace(meter)
    return [
        (" " * bar if share is None else signs.bar(share, bar), 4),
        ("     " if share is None else percent(share), 1),
        (_column(counted(meter)), 3),
        ("finishing" if is_over else rate, 2),
        (left or lasted(meter.elapsed), 0),
        (meter.what, 5),
    ]


def _over(meter: Meter, signs: _Signs, bar: int) -> list[Part]:
    is_full = meter.status == "done"
    return [
        (signs.bar(1, bar) if is_full else " " * bar, 3),
        ("     ", 2),
        (_column(f"{meter.rows:,} rows" if meter.rows else ""), 1),
        (lasted(meter.elapsed), 0),
    ]


def _column(rows: str) -> str:
    """A count of rows, so that the numbers of all lines stand below each other."""
    number, _, of = rows.partition(" ")
    return f"{number:>10} {of}" if rows else ""
