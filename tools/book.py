"""docs/ as one book: the order of its pages, what each answers, and what comes before and after it.

The order is that of the rows in docs/README.md; what stands in these rows is what the pages say of
themselves. `make docs` writes all the rest from that.
"""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "docs"
ANSWERS = "**This page answers:**"
"""With this the first paragraph of every page begins; then come its questions."""
TURN = "<!-- generated: turn -->"

_ROW = re.compile(r"^\| \[[^\]]*\]\(([\w-]+\.md)\) \|.*\|$", re.MULTILINE)
_TITLE = re.compile(r"\A# (.+)\n\n")


def order() -> list[str]:
    """The pages as they are to be read.

    Raises `LookupError`, which says what to do, where docs/README.md and the folder differ.
    """
    listed: list[str] = _ROW.findall(_text("README.md"))
    there = {path.name for path in FOLDER.glob("*.md")} - {"README.md"}
    for name in sorted(there - set(listed)):
        raise LookupError(
            f"docs/{name} is not in the book yet: write the row `| []({name}) | |` where it "
            "belongs in docs/README.md, then run `make docs`"
        )
    for name in listed:
        if name not in there or listed.count(name) > 1:
            raise LookupError(
                f"docs/README.md: the row of {name} is of no page, or of one too often"
            )
    return listed


def title(name: str) -> str:
    """What a page of docs/ is called."""
    return _beginning(name)[0]


def answers(name: str) -> str:
    """The questions that a page answers, in one line.

    Raises `LookupError`, which says what to write, where a page does not begin with them.
    """
    said = " ".join(_beginning(name)[1].removeprefix(ANSWERS).split())
    if not _beginning(name)[1].startswith(ANSWERS) or not said.endswith("?") or "](" in said:
        raise LookupError(
            f"docs/{name} has to say below its title what it answers, in questions without links: "
            f"`{ANSWERS} How …? What …?`"
        )
    return said


def _beginning(name: str) -> tuple[str, str]:
    """A page's title, and its first paragraph."""
    text = _text(name)
    found = _TITLE.match(text)
    if not found:
        raise LookupError(f"docs/{name} has to begin with a title and a blank line: `# …`")
    return found[1], text[found.end() :].partition("\n\n")[0]


def _text(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def contents() -> str:
    """All pages as a table for the README."""
    rows = [f"| [{title(name)}](docs/{name}) | {answers(name)} |" for name in order()]
    return "\n".join(["| Page | Answers |", "|---|---|", *rows])


def index(text: str) -> str:
    """docs/README.md, with the titles and questions of the pages in its rows."""
    return _ROW.sub(lambda row: f"| [{title(row[1])}]({row[1]}) | {answers(row[1])} |", text)


def turn(name: str) -> str:
    """What stands at the end of a page: links to those before and after it."""
    pages = order()
    at = pages.index(name)
    before = f"[{title(pages[at - 1])}]({pages[at - 1]})" if at else "[README](../README.md)"
    after = [f"[{title(page)}]({page}) →" for page in pages[at + 1 : at + 2]]
    return f"---\n\n{' · '.join([f'← {before}', '[all pages](README.md)', *after])}"


def bound(text: str) -> str:
    """A page with a place for its `turn` at its end, if it has none yet."""
    return text if TURN in text else f"{text.rstrip()}\n\n{TURN}\n<!-- end -->\n"
