"""docs/ reads like one book: every page is in it, says what it answers, and leads to the next."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tools import book, generate_docs


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of docs/, to which a page may be added."""
    folder = tmp_path / "docs"
    shutil.copytree(book.FOLDER, folder, ignore=shutil.ignore_patterns("pictures"))
    monkeypatch.setattr(book, "FOLDER", folder)
    return folder


def test_a_reader_who_always_turns_to_the_next_page_sees_all_of_them() -> None:
    pages = {path.name for path in book.FOLDER.glob("*.md")} - {"README.md"}
    here = re.findall(
        r"^\| \[[^\]]+\]\(([\w-]+\.md)\) ", (book.FOLDER / "README.md").read_text(), re.M
    )
    name, seen = here[0], list[str]()
    while name and name not in seen:
        seen.append(name)
        last = (book.FOLDER / name).read_text("utf-8").rpartition(f"\n{book.TURN}\n---\n\n")[2]
        assert last.endswith("\n<!-- end -->\n"), f"{name}: something stands below its last line"
        name = "".join(re.findall(r"\[[^\]]+\]\(([\w-]+\.md)\) →", last))
    assert seen == here
    assert set(seen) == pages


def test_every_page_says_first_what_it_answers() -> None:
    for path in book.FOLDER.glob("*.md"):
        first = path.read_text("utf-8").split("\n\n")[1]
        assert first.startswith(book.ANSWERS), path.name
        assert first.endswith("?"), path.name


def test_a_new_page_is_asked_for_its_place_and_for_what_it_answers(copy: Path) -> None:
    (copy / "new.md").write_text("# A new page\n\nIt says this and that.\n")
    with pytest.raises(LookupError, match=r"docs/new\.md is not in the book yet: write the row"):
        generate_docs.documents()
    start = copy / "README.md"
    start.write_text(start.read_text("utf-8") + "\n| [](new.md) | |\n")
    with pytest.raises(LookupError, match=r"docs/new\.md has to say below its title what it answ"):
        generate_docs.documents()
    (copy / "new.md").write_text(f"# A new page\n\n{book.ANSWERS} What is\nnew?\n")
    made = generate_docs.documents()
    assert made[start].endswith("\n| [A new page](new.md) | What is new? |\n")
    assert made[copy / "new.md"].endswith(" · [all pages](README.md)\n<!-- end -->\n")
    assert "[A new page](new.md) →" in made[copy / "architecture.md"]
    assert "| [A new page](docs/new.md) | What is new? |" in made[generate_docs.ROOT / "README.md"]


def test_a_row_without_its_page_is_told(copy: Path) -> None:
    (copy / "citus.md").unlink()
    with pytest.raises(LookupError, match=r"the row of citus\.md is of no page"):
        book.order()
