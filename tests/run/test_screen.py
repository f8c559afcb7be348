"""`Screen`: what is shown fits, whatever is in it, and says the same with less of everything."""

from __future__ import annotations

import io
import re
import unicodedata

import pytest
from rich.cells import cell_len

from report.screen import WITHOUT_TERMINAL, Column, Screen, Shown

WIDTHS = (24, 30, 40, 60, 80, 120)
TEXTS = {
    "long words": "x" * 300,
    "words": "word and word " * 30,
    "CJK": "\u65e5\u672c\u8a9e\u306e\u9867\u5ba2\u540d" * 12,
    "one wide word among others": "ab \u65e5\u672c " * 30,
    "combining marks": "e\u0301\u0301\u0323n\u0303 " * 60,
    "emoji": "\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea \U0001f44d\U0001f3fd " * 12,
    "controls": "a\x1b[31mred\x07\x00\t\r\n\x85\u2028\u202eb\x9b1mc " * 12,
    "right to left": "\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627 " * 20,
}  # fmt: skip
COLUMNS = (Column("name"), Column("rows", drop=1), Column("why", right=False, drop=2))


class Stream(io.StringIO):
    """A stream that is a terminal, or none, of an encoding."""

    def __init__(self, *, is_terminal: bool, encoding: str | None = "utf-8") -> None:
        super().__init__()
        self._is_terminal, self._encoding = is_terminal, encoding

    def isatty(self) -> bool:
        return self._is_terminal

    @property
    def encoding(self) -> str | None:  # type: ignore[override]
        return self._encoding


def shown(screen: Screen, text: str) -> dict[str, list[Shown]]:
    """A text in all that a screen can make of it."""
    rows = [(text[:15], text[:7], text), ("a", "1", "b")]
    return {
        "line": [screen.line(text)],
        "indented line": [screen.line(" ! ", text, indent=3)],
        "line with an end": screen.ends(screen.line(f" {text[:12]}"), text[:12]),
        "long line with an end": screen.ends(screen.line(text, indent=3), ("end", "dim")),
        "flow": screen.flow("first ", [text[:9], text, text[:7], text[:6]]),
        "table": screen.table(COLUMNS, rows),
        "flowing table": screen.table((Column("name"), *COLUMNS[1:]), rows, flowing=True),
        "table that drops nothing": screen.table((Column("n"), Column("x")), [(text, text)]),
    }


@pytest.mark.parametrize("colours", [False, True])
@pytest.mark.parametrize("name", TEXTS)
def test_nothing_is_wider_than_the_terminal_nor_controls_it(name: str, colours: bool) -> None:
    for width in WIDTHS:
        screen = Screen(width, colours)
        for kind, lines in shown(screen, TEXTS[name]).items():
            text = re.sub(r"\x1b\[[0-9;]*m", "", screen.render(lines))
            assert max(map(cell_len, text.split("\n"))) <= width, (kind, width)
            controls = {c for c in text if unicodedata.category(c) in ("Cc", "Zl", "Zp")}
            assert controls <= {"\n"}, kind
            assert "\u202e" not in text, kind


@pytest.mark.parametrize("name", ["words", "CJK", "one wide word among others"])
def test_a_line_goes_on_below_indented(name: str) -> None:
    """A wide character takes two columns, so that a text of half the letters is as long."""
    screen = Screen(40)
    lines = screen.render([screen.line(" ! ", TEXTS[name], indent=3)]).split("\n")
    assert len(lines) > 1
    assert all(re.match(r"   \S", line) for line in lines[1:])
    assert re.sub(r"\s", "", "".join(lines)) == "!" + re.sub(r"\s", "", TEXTS[name])


@pytest.mark.parametrize("begins", ["abcdef", "\u65e5\u672c\u8a9e"])
def test_an_end_stands_at_the_right_edge_or_below(begins: str) -> None:
    def lines(width: int) -> list[str]:
        screen = Screen(width)
        return screen.render(screen.ends(screen.line(begins), "run 1", indent=3)).split("\n")

    (line,) = lines(30)
    assert (line.endswith("run 1"), cell_len(line)) == (True, 30)
    assert lines(24)[0].endswith("run 1")
    long = Screen(24)
    assert long.render(long.ends(long.line(begins * 4), "run 1", indent=3)).split("\n") == [
        begins * 4 if cell_len(begins * 4) <= 24 else "", "   run 1",
    ]  # fmt: skip


def test_columns_drop_the_least_important_first() -> None:
    rows = [("customers", "12,345", "a reason of many words")]

    def titles(width: int) -> list[str]:
        screen = Screen(width)
        return screen.render(screen.table(COLUMNS, rows)).split("\n")[0].split()

    assert titles(60) == ["name", "rows", "why"]
    assert titles(30) == ["name", "rows"]
    assert Screen(60).has_room(COLUMNS, rows)
    assert not Screen(30).has_room(COLUMNS, rows)


def test_a_row_without_room_becomes_lines() -> None:
    columns = (Column("name"), Column("read"), Column("rejected"), Column("new"))
    rows = [("customers of the shop", "1,000,000", "·", "12"), ("sales", "7", "1", "")]
    screen = Screen(30)
    assert screen.render(screen.table(columns, rows)).split("\n") == [
        " customers of the shop", "   read: 1,000,000", "   new: 12",
        " sales", "   read: 7", "   rejected: 1",
    ]  # fmt: skip
    assert screen.render(screen.table(columns, rows, flowing=True)).split("\n") == [
        " customers of the shop", "   read 1,000,000  new 12", " sales", "   read 7  rejected 1",
    ]  # fmt: skip


def test_a_table_of_nothing_is_nothing() -> None:
    assert Screen().table(COLUMNS, []) == []


def test_numbers_stand_below_each_other_behind_wide_characters() -> None:
    rows = [("\u65e5\u672c\u8a9e", "1"), ("abc", "1,000")]
    screen = Screen(40)
    first, second = screen.render(screen.table((Column(), Column()), rows)).split("\n")
    assert cell_len(first) == cell_len(second)


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "cp437", "no-such-encoding"])
def test_a_sign_that_the_encoding_lacks_is_another_one(encoding: str) -> None:
    screen = Screen(encoding=encoding)
    meanings = ("good", "look", "bad", "now", "none", "to", "times", "minus", "more", "full")
    known = "ascii" if encoding.startswith("no") else encoding
    signs = {screen.sign(meaning) for meaning in meanings}
    assert "".join(signs).encode(known)
    told = [screen.sign(meaning) for meaning in ("good", "look", "bad")]
    assert len(set(told)) == 3
    assert (screen.sign("good"), Screen().sign("good")) == ("+", "\u2714")


@pytest.mark.parametrize(
    ("environment", "is_terminal", "colours"),
    [
        ({"TERM": "xterm-256color"}, True, True),
        ({"TERM": "xterm", "NO_COLOR": ""}, True, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, True, False),
        ({"TERM": "dumb"}, True, False),
        ({"TERM": "unknown"}, True, False),
        ({}, True, False),
        ({"TERM": "xterm"}, False, False),
        ({"TERM": "xterm", "FORCE_COLOR": "1"}, False, False),
    ],
)
def test_colours_are_for_terminals_that_have_them(
    environment: dict[str, str], is_terminal: bool, colours: bool
) -> None:
    screen = Screen.of(Stream(is_terminal=is_terminal), environment)
    text = screen.render([screen.line(("bad", "bad"), (" good", "good"))])
    assert ("\x1b[" in text) == screen.colours == colours
    assert re.sub(r"\x1b\[[0-9;]*m", "", text) == "bad good"


@pytest.mark.parametrize(
    ("columns", "is_terminal", "width"),
    [
        ("", False, WITHOUT_TERMINAL),
        ("", True, 80),
        ("132", True, 132),
        ("60", False, 60),
        ("0", True, 80),
        ("-5", True, 80),
        ("wide", True, 80),
        ("3", True, 24),
        ("99999999", True, 1000),
        ("9" * 5000, True, 80),
    ],
)
def test_the_width_is_that_of_columns_or_of_the_terminal(
    columns: str, is_terminal: bool, width: int
) -> None:
    """Here the terminal has no descriptor, so that it does not tell."""
    environment = {"COLUMNS": columns} if columns else {}
    screen = Screen.of(Stream(is_terminal=is_terminal), environment)
    assert screen.width == width


def test_without_a_terminal_each_line_is_whole_and_each_table_has_its_columns() -> None:
    """Unless COLUMNS says how wide it is."""
    screen = Screen.of(Stream(is_terminal=False), {})
    text = "word " * 200 + "end"
    rows = [("name", "1", text)]
    assert screen.render([screen.line(" ! ", text, indent=3)]) == f" ! {text}"
    assert screen.render(screen.table(COLUMNS, rows)).split("\n")[1].endswith(text)
    for folding in (
        Screen.of(Stream(is_terminal=False), {"COLUMNS": "100"}),
        Screen.of(Stream(is_terminal=True), {}),
    ):
        assert "\n" in folding.render([folding.line(" ! ", text, indent=3)])


def test_a_stream_that_tells_no_encoding_is_taken_for_utf_8() -> None:
    assert Screen.of(Stream(is_terminal=False, encoding=None), {}).sign("good") == "\u2714"
