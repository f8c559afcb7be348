"""Plain HTML for the cells of a notebook, without any library."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from html import escape
from typing import Any

_STYLE = """
.star-etl{--good:#1a7f37;--look:#8a5700;--bad:#c4232c;--bar:#0969da;--line:rgba(128,128,128,.35);
font-size:13px;line-height:1.5;max-width:84em}
body[data-jp-theme-light=false] .star-etl,.vscode-dark .star-etl,.vscode-high-contrast .star-etl,
html[theme=dark] .star-etl,html[data-theme=dark] .star-etl{--good:#56d364;--look:#e3b341;
--bad:#ff8f87;--bar:#79b8ff}
.star-etl table{border-collapse:collapse;table-layout:auto;margin:.5em 0;font-size:inherit;border:0}
.star-etl table :is(th,td){padding:.15em 1.4em .15em 0;text-align:left;font-weight:400;border:0;
background:none;vertical-align:top;white-space:nowrap;font-variant-numeric:tabular-nums}
.star-etl table thead :is(th,td){border-bottom:1px solid var(--line)}
.star-etl table .r{text-align:right}.star-etl table .f{white-space:normal;overflow-wrap:anywhere}
.star-etl .good{color:var(--good)}.star-etl .look{color:var(--look)}.star-etl .bad{color:var(--bad)}
.star-etl .dim{opacity:.75}.star-etl .strong,.star-etl .verdict>div:first-child .good,
.star-etl .verdict>div:first-child .bad{font-weight:600}
.star-etl table tr,.star-etl table tbody tr:nth-child(odd){background:none}
.star-etl .beside{display:flex;flex-wrap:wrap;gap:0 3em}
.star-etl .charts{flex:1 1 25em;max-width:34em}
.star-etl figure{margin:.5em 0 1em}.star-etl figure table{width:100%;margin:0}
.star-etl caption{caption-side:top;text-align:left;padding:0 0 .2em;color:inherit;opacity:.75}
.star-etl figure table :is(th,td){padding:.05em 0;vertical-align:middle}
.star-etl figure table{table-layout:fixed}
.star-etl figure table th{width:11.2em;overflow:hidden;text-overflow:ellipsis}
.star-etl figure table td.bar{padding:0 .8em}.star-etl figure table td.r{width:6.5em}
.star-etl .bar span{display:block;height:.7em;min-width:1px;border-radius:1px;
background:var(--bar)}.star-etl .bar .lost{background:var(--look)}
.star-etl .bar .whole{background:#8a94a0}
.star-etl .next{display:flex;gap:1em;border-top:1px solid var(--line);margin-top:.6em;
padding-top:.4em}
""".replace("\n", "")


class Displayed(dict[str, Any]):
    """A dict that a notebook shows as HTML, and whose repr is one line. A copy is a plain dict."""

    def __init__(
        self, values: Mapping[str, Any], line: str, html: Callable[[Mapping[str, Any]], str]
    ) -> None:
        """`html` makes what is shown, of the values as they are then."""
        super().__init__(values)
        self._line, self._html = line, html

    def __repr__(self) -> str:
        return f"<{self._line}: {', '.join(self)}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)

    def _repr_html_(self) -> str:
        return self._html(self)


def framed(inner: str) -> str:
    """HTML with the styles that it needs, which change nothing else of the page it stands in."""
    return f'<div class="star-etl"><style>{_STYLE}</style>{inner}</div>'


def table(
    titles: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    right: Collection[int] = (),
    folded: Collection[int] = (),
) -> str:
    """A table of plain cells, each escaped; the first of a row names it. Those of the columns in
    `right` are numbers, those in `folded` long texts.
    """
    kinds = ["r" if n in right else "f" if n in folded else "" for n in range(len(titles))]
    sides = [f' class="{kind}"' if kind else "" for kind in kinds]
    columns = zip(titles, sides, strict=True)
    head = "".join(f'<th scope="col"{side}>{escape(title)}</th>' for title, side in columns)
    body = "".join(f"<tr>{_cells(row, sides)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cells(row: Sequence[object], sides: Sequence[str]) -> str:
    first, *others = (escape(str(cell)) for cell in row)
    cells = (f"<td{side}>{cell}</td>" for cell, side in zip(others, sides[1:], strict=True))
    return f'<th scope="row">{first}</th>{"".join(cells)}'


def frames_html(frames: Mapping[str, Any]) -> str:
    """What was read of each source, by name: how many rows, and which columns they have."""
    rows = [
        (name, f"{len(frame):,}", ", ".join(map(str, frame.columns)))
        for name, frame in frames.items()
        if hasattr(frame, "columns")
    ]
    return framed(table(("source", "rows", "columns"), rows, right=(1,), folded=(2,)))
