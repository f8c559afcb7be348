"""Reject files as people left them: which encoding and delimiter they have, and their records."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from common.rejects import REJECT_COLUMNS

_LONGEST_CELL = 1 << 28
_HEAD = 1 << 20
_HEADER_END = re.compile(r'_reason"?(.)"?_detail"?\1"?_line"?\1"?_file(?:"?\1"?_raw)?"?\r?(?:\n|$)')


@dataclass(frozen=True)
class Form:
    """How a reject file is written."""

    encoding: str
    delimiter: str


class UnreadableError(Exception):
    """Why a file cannot be gone through."""


def form_of(path: Path, encoding: str) -> Form:
    """How a reject file is written: in UTF-8, or else in the encoding that is set for its source,
    with the delimiter that its header has.

    Raises `UnreadableError` where it is none, OSError where it cannot be read.
    """
    for candidate in dict.fromkeys(("utf-8", encoding)):
        with suppress(UnicodeError), path.open(encoding=candidate, newline="\n") as file:
            header = _HEADER_END.search(file.read(_HEAD))
            while file.read(_HEAD):
                pass
            if header:
                return Form(candidate, header[1])
    tried = " or ".join(dict.fromkeys(("UTF-8", encoding.upper())))
    raise UnreadableError(
        f"it is no reject file in {tried}: its header must end with {', '.join(REJECT_COLUMNS)}"
    )


@contextmanager
def records(path: Path, form: Form) -> Iterator[Iterator[tuple[str, list[str]]]]:
    """Each record of a CSV file, as it is written and as its cells; the header is the first.

    Raises `UnreadableError` for a record with more or fewer cells than the header.
    """
    csv.field_size_limit(_LONGEST_CELL)
    with path.open(encoding=form.encoding, newline="\n") as file:
        yield _parsed(file, form.delimiter)


def _parsed(file: IO[str], delimiter: str) -> Iterator[tuple[str, list[str]]]:
    lines: list[str] = []

    def taken() -> Iterator[str]:
        for line in file:
            lines.append(line)
            yield line.removeprefix("\ufeff")

    cells = 0
    for row in csv.reader(taken(), delimiter=delimiter, strict=True):
        text = "".join(lines)
        lines.clear()
        cells = cells or len(row)
        if len(row) != cells:
            raise UnreadableError(f"a row has {len(row)} cells, and the header {cells}")
        yield text, row
