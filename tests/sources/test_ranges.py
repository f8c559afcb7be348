"""However a file is cut into ranges, its records are those that one reader of the whole file finds:
rows, lines, refused records, columns, and whether its encoding fits.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import SourceError
from schema import STAR
from sources import csv_files, csv_lines, fixed_width, json_files, ranges
from sources.batches import Layout, ReadOptions
from sources.places import find_places
from sources.ranges import Range
from sources.read_files import ReadFile
from sources.source_files import place_file
from support.examples import examples

HEADER = "id,note,amount"
FIELDS = [
    "plain",
    '"two\nlines"',
    '"three\n\nlines, ""quoted"""',
    '"in it\n7,what looks whole,8\nso"',
    '"never closed',
    'a stray " quote',
    '"abc"def',
    "",
    "ü€",
    '"ü\r\nü"',
    "one, two",
    "x" * 90,
    '"' + "y\n" * 50 + '"',
]
LINES = ["", "too,many,fields,here", "too few", '"', '""', "7,whole,8", "\ufeff", "\0"]
OBJECTS = [
    '{"id": 1}', '{"id": 2, "more": "ü"}', '{"id": "}{"}', '{"id": 3', "]", '{"a": {"b": []}}',
]  # fmt: skip
ORDERS = [
    '{"id": 1, "lines": [{"a": 1}, {"b": 2}]}', '{"lines": []}', '{"x": 1, "lines": [7, {"c": 3}]}',
    '{"lines": 5}', '{"id": 3', '{"id": 4, "lines": null}', '{"y": {"z": "}{"}, "lines": [null]}',
]  # fmt: skip
ENDS = ["\n", "\r\n", "\r"]
PLAIN = Layout()
LAYOUTS = [
    Layout(quote=""),
    Layout(quote="'"),
    Layout(escape="\\"),
    Layout(quote="", escape="\\"),
    Layout(header=("id", "note", "amount")),
    Layout(header_row=2),
]
ESCAPED = [
    "one\\\ntwo", "\\\\", "a\\,b", "\\N", '"a \\"b\\" c"', '"a\\\nb"', "\\",
    'a\\"b', "it's", "'it''s'", "'two\nlines'", "'never closed",
]  # fmt: skip

Found = dict[str, Any]


@pytest.fixture(autouse=True)
def _small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is looked at beyond a range, and what is too long, is small, as the files are."""
    for module in (ranges, csv_files, csv_lines, json_files, fixed_width):
        monkeypatch.setattr(module, "MAX_RECORD_BYTES", 85)
    monkeypatch.setattr(ranges, "_BEYOND", 3)
    monkeypatch.setattr(ranges, "_CHUNK", 7)
    monkeypatch.setattr(csv_files, "_BEYOND", 1)
    monkeypatch.setattr(json_files, "_WINDOW", 16)
    monkeypatch.setattr(json_files, "_FEW", 2)


def read(
    path: Path, encoding: str, cuts: Sequence[int] | None, folder: Path, layout: Layout
) -> Found:
    """What is found in a file that is cut at `cuts`, or read as one range."""
    (place,) = find_places(str(path), "X").places
    options = ReadOptions("transactions", encoding, None, 10_000, layout=layout)
    opened = place_file(place, options, "X", folder)
    file = ReadFile(STAR.sales, STAR.sales, replace(opened, is_mapped=True, is_open=True), folder)
    (whole,) = file.opened.pieces
    assert isinstance(whole, Range)
    if cuts is not None:
        inside = [cut for cut in sorted(set(cuts)) if whole.begin < cut < whole.stop]
        ends = [whole.begin, *inside, whole.stop]
        file.opened.pieces = iter(
            [
                replace(whole, begin=begin, stop=stop, is_exact=begin == whole.begin)
                for begin, stop in pairwise(ends)
            ]
        )
    else:
        file.opened.pieces = iter([whole])
    for part, task in file.tasks(count(), set()):
        again = None if part is None else file.take(part, task())
        while again is not None:
            again = file.take(again[0], again[1]())
    try:
        file.finish()
    except SourceError as error:
        return {"error": str(error)}
    return {
        "records": sum(batch.records for batch in file.batches),
        "rows": list(_rows(file)),
        "refused": sorted(
            (row for batch in file.batches for row in _listed(batch.no_rows())),
            key=lambda row: (row["_line"], row["_raw"]),
        ),
        "columns": file.opened.columns,
    }


def _rows(file: ReadFile) -> Iterator[tuple[Any, ...]]:
    for batch in file.batches:
        for row in batch.originals().to_pylist():
            yield tuple((name, row.get(name)) for name in (*file.opened.columns, "_line"))


def _listed(table: Any) -> list[Any]:
    return [] if table is None else table.to_pylist()


def same_however_cut(
    content: bytes,
    encoding: str,
    suffix: str,
    several: list[list[int]],
    layout: Layout = PLAIN,
) -> Found:
    """What one reader finds; the same must be found at every single cut, and at `several`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / f"sales.{suffix}"
        path.write_bytes(content)
        try:
            expected = read(path, encoding, None, folder, layout)
        except (SourceError, ValueError):  # no header, or nothing below it
            return {}
        every = range(len(content) + 1)
        for cuts in (*([cut] for cut in every), every, *several):
            assert read(path, encoding, cuts, folder, layout) == expected, (cuts, content)
        return expected


def csv_file(draw: st.DrawFn, more: Sequence[str] = ()) -> str:
    lines, fields = [HEADER], [*FIELDS, *more]
    for number in range(draw(st.integers(1, 8))):
        if draw(st.integers(0, 5)):
            lines.append(f"{number},{draw(st.sampled_from(fields))},{number * 7}")
        else:
            lines.append(draw(st.sampled_from(LINES)))
    return joined(draw, lines)


def json_file(draw: st.DrawFn, first: str, several: Sequence[str]) -> str:
    lines = [first]
    for _ in range(draw(st.integers(1, 6))):
        objects = draw(st.lists(st.sampled_from(several), max_size=5))
        lines.append(draw(st.sampled_from(["", ",", " , "])).join(objects))
    return joined(draw, lines)


def joined(draw: st.DrawFn, lines: list[str]) -> str:
    end = draw(st.sampled_from(ENDS))
    last = draw(st.sampled_from(["", end]))
    return end.join(lines) + last


@st.composite
def files(draw: st.DrawFn, suffix: str) -> tuple[bytes, str, str, list[list[int]]]:
    if suffix == "csv":
        text = csv_file(draw)
    elif suffix == "jsonl":
        text = json_file(draw, '{"id": 0}', OBJECTS)
    else:
        text = json_file(draw, '{"lines": [{}]}', ORDERS)
    encoding = draw(st.sampled_from(["utf-8", "utf-8", "utf-8-sig", "cp1252", "utf-16"]))
    content = text.encode(encoding, "ignore")
    if draw(st.integers(0, 3)) == 0 and encoding != "utf-16":
        place = draw(st.integers(len(HEADER) + 4, max(len(content), len(HEADER) + 4)))
        odd = draw(st.sampled_from([b"\xff", b"\x81", b"\xc3"]))
        content = content[:place] + odd + content[place:]
    cuts = st.lists(st.integers(0, len(content)), max_size=6)
    return content, encoding, suffix, draw(st.lists(cuts, max_size=3))


@examples(3)
@given(files("csv"))
def test_a_csv_file_is_the_same_however_it_is_cut(file: Any) -> None:
    same_however_cut(*file)


@st.composite
def dialects(draw: st.DrawFn) -> tuple[bytes, Layout, list[list[int]]]:
    content = csv_file(draw, ESCAPED).encode(draw(st.sampled_from(["utf-8", "utf-8", "utf-8-sig"])))
    cuts = st.lists(st.integers(0, len(content)), max_size=6)
    return content, draw(st.sampled_from(LAYOUTS)), draw(st.lists(cuts, max_size=3))


@examples(3)
@given(dialects())
def test_a_csv_file_of_any_dialect_is_the_same_however_it_is_cut(file: Any) -> None:
    content, layout, several = file
    same_however_cut(content, "utf-8", "csv", several, layout)


def test_a_line_that_is_too_long_has_its_number_below_escaped_breaks() -> None:
    content = b"id,note,amount\n0,one\\\ntwo,0\n1,three,7\n2," + b"x" * 90 + b",42\n"
    found = same_however_cut(content, "utf-8", "csv", [], Layout(escape="\\"))
    assert "line 5: a line exceeds the limit" in found["error"]


@examples(1)
@given(files("csv"))
def test_a_file_of_fixed_width_is_the_same_however_it_is_cut(file: Any) -> None:
    content, encoding, _, several = file
    same_however_cut(content, encoding, "txt", several, Layout(widths=(2, 5, 60)))


@examples(0.5)
@given(files("jsonl"))
def test_a_file_of_json_lines_is_the_same_however_it_is_cut(file: Any) -> None:
    same_however_cut(*file)


@examples(0.5)
@given(files("ndjson"))
def test_lists_in_json_lines_are_the_same_however_the_file_is_cut(file: Any) -> None:
    content, encoding, suffix, several = file
    same_however_cut(content, encoding, suffix, several, Layout(explode="lines"))


def test_elements_have_the_line_of_their_record() -> None:
    content = "\n".join(ORDERS).encode()
    found = same_however_cut(content, "utf-8", "jsonl", [], Layout(explode="lines"))
    assert [row[-1][1] for row in found["rows"]] == [1, 1, 3, 3, 7]
    assert [row["_line"] for row in found["refused"]] == [4, 5]
    names = ["id", "lines.a", "lines.b", "x", "lines", "lines.c", "y"]
    assert (found["columns"], found["records"]) == (names, 9)


def test_what_looks_like_a_record_inside_a_field_is_none() -> None:
    inside = '1,"a\n2,whole by itself,3\n4,and this,5\nb",6\n7,c,8\n'
    found = same_however_cut(f"{HEADER}\n{inside}".encode(), "utf-8", "csv", [])
    assert [row[-1] for row in found["rows"]] == [("_line", 3), ("_line", 4), ("_line", 6)]
    assert [row["_line"] for row in found["refused"]] == [2, 5]
