"""The pictures of the documents: they are there, with words beside them; a command makes them."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from support.absent import not_here
from support.application import ROOT
from tools import pictures
from tools.chromium import chromium

SHOWN = [
    (path, alt, target)
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"))
    for alt, target in re.findall(r"!\[([^\]]*)\]\(([^)\s]+)\)", path.read_text(encoding="utf-8"))
]
"""Each picture of a page, and the words that stand for it."""
MOST = 250 * 1024


def test_every_picture_is_there_and_has_words_that_stand_for_it() -> None:
    assert len(SHOWN) >= 3
    for page, alt, target in SHOWN:
        assert (page.parent / target).is_file(), f"{page.name}: {target}"
        assert len(alt.split()) >= 8, f"{page.name}: {target} needs words that say what it shows"


def test_every_picture_is_shown_and_can_be_made_again() -> None:
    there = {path.name for path in pictures.FOLDER.iterdir()}
    shown = {Path(target).name for _, _, target in SHOWN if "pictures/" in target}
    assert there == shown
    assert there == pictures.PICTURES


def test_a_picture_asks_for_nothing_and_loads_quickly() -> None:
    for path in pictures.FOLDER.iterdir():
        content = path.read_bytes()
        assert len(content) <= MOST, path.name
        if path.suffix == ".svg":
            text = content.decode()
            assert not re.search(r"@import|@font-face|href=|url\((?!#)|<script", text)
            assert "<title>" in text


def test_what_names_this_machine_is_in_no_picture(tmp_path: Path) -> None:
    for name in (str(ROOT), str(tmp_path)):
        with pytest.raises(pictures.PictureError, match="a picture would show"):
            pictures.console(f"into {name}/warehouse.duckdb\n", "make run")
    pictures.console("into duckdb:///data/warehouse.duckdb\n", "make run")
    for path in pictures.FOLDER.glob("*.svg"):
        pictures.reject_what_identifies("\n".join(pictures.text_of(path.read_text("utf-8"))))


def test_without_a_browser_it_is_said_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert pictures.main(["notebook.png"], tmp_path) == 1
    assert "apt install chromium" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("names", [g for g in pictures.MADE_BY if g[0].endswith(".png")])
def test_the_browser_takes_the_pictures(
    names: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the page and the notebook as they are today."""
    if not chromium():
        not_here("browser")
    assert pictures.main(names, tmp_path) == 0, capsys.readouterr().err
    for name in names:
        content = (tmp_path / name).read_bytes()
        assert content.startswith(b"\x89PNG")
        width, height = struct.unpack(">II", content[16:24])
        assert 600 < width <= pictures.WINDOW
        assert height > 100
        assert len(content) <= MOST


def test_a_part_that_a_page_lacks_is_told(tmp_path: Path) -> None:
    if not chromium():
        not_here("browser")
    (tmp_path / "page.html").write_text("<!doctype html><p>Nothing else.")
    with pytest.raises(pictures.PictureError, match=r"page\.html has no body, or no #business"):
        pictures.shot(tmp_path / "page.html", pictures.WINDOW, "body", "#business")


def test_a_name_that_is_no_picture_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pictures.main(["consol.svg"], tmp_path) == 1
    assert (
        "consol.svg is none of the pictures: business.png, console.svg" in capsys.readouterr().err
    )
