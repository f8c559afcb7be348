"""What is laid out for a screen as HTML: the same lines and tables, in the same words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from itertools import pairwise

from rich.table import Table
from rich.text import Text

from report.screen import STYLES, Screen, Shown

PAPER = Screen(100, folds=False)
"""What is laid out for HTML: each line and each table whole."""
_GAP = re.compile(r" {2,}")


def as_html(shown: Sequence[Shown]) -> str:
    """Lines and tables of `report.screen` as HTML, with its styles as classes."""
    return "".join(_table(each) if isinstance(each, Table) else _lines(each) for each in shown)


def _lines(text: Text) -> str:
    """A line, and what is continued below it; nothing for a blank one, which is a gap."""
    return "".join(f"<div>{_styled(line)}</div>" for line in text.split("\n") if line.plain.strip())


def _table(table: Table) -> str:
    titles = [_text(column.header) for column in table.columns]
    sides = [' class="r"' if column.justify == "right" else "" for column in table.columns]
    head = ""
    if any(title.plain.strip() for title in titles):
        cells = (
            f'<th scope="col"{side}>{_styled(title)}</th>' if title.plain.strip() else "<td></td>"
            for title, side in zip(titles, sides, strict=True)
        )  # fmt: skip
        head = f"<thead><tr>{''.join(cells)}</tr></thead>"
    rows = zip(*([_text(cell) for cell in column.cells] for column in table.columns), strict=True)
    body = "".join(f"<tr>{_row(row, sides)}</tr>" for row in rows)
    return f"<table>{head}<tbody>{body}</tbody></table>"


def _row(cells: Sequence[Text], sides: Sequence[str]) -> str:
    first = f'<th scope="row">{_styled(cells[0])}</th>'
    others = zip(cells[1:], sides[1:], strict=True)
    return first + "".join(f"<td{side}>{_styled(cell)}</td>" for cell, side in others)


def _text(given: object) -> Text:
    return given if isinstance(given, Text) else Text(str(given))


def _styled(line: Text) -> str:
    """A line without what only places it on a screen."""
    ends = {0, len(line)} | {end for span in line.spans for end in (span.start, span.end)}
    places = sorted(end for end in ends if end <= len(line))
    found = []
    for start, end in pairwise(places):
        text = escape(_GAP.sub(" \u2002", line.plain[start:end]))
        styles = {str(s.style) for s in line.spans if s.start <= start and end <= s.end}
        styles |= {str(line.style)}
        kinds = " ".join(sorted(styles & STYLES.keys()))
        found.append(f'<span class="{kinds}">{text}</span>' if kinds else text)
    return "".join(found).strip()
