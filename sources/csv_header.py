"""The header of a CSV file: which line it is, and the delimiter."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from errors import SourceError
from sources.batches import MAX_RECORD_BYTES, ReadOptions
from sources.csv_lines import Dialect
from sources.headers import LINES, Header, Row, find_header, lines_needed
from sources.undecodable import is_marked, utf_16

_DELIMITERS = ",;|\t"
_SEPARATOR_LINE = re.compile(rb'"?sep=([ -~\t])"?', re.IGNORECASE)
"""A first line such as `sep=;`, which gives Excel the delimiter."""


def read_header(label: str, text: Iterator[bytes], options: ReadOptions) -> Header:
    """The header of the file whose text begins with these chunks; see `headers`.

    A name may be quoted and go over several lines. Raises `SourceError`.
    """
    lines = FirstLines(label, text)
    begin = lines.skip_blank()
    near = lines.ahead(lines_needed(options) + LINES)
    if b"\0" in near[0] and not is_marked(near[0]):
        raise SourceError(
            f"{label}, line {begin}: the header holds NUL characters, it is not "
            f"{options.encoding} text; set {options.source.upper()}__ENCODING, "
            f"such as {utf_16(near[0])}"
        )
    separator = _SEPARATOR_LINE.fullmatch(near[0])
    declared = options.delimiter
    if separator and len(near) > 1:
        begin, near = begin + 1, near[1:]
        declared = declared or separator[1].decode()
    texts = [line.decode(errors="replace") for line in near]
    count = min(lines_needed(options), len(texts))
    rows = [_row(texts, place, begin, declared, options) for place in range(count)]
    header = find_header(label, rows, options)
    if header.row.is_broken and header.has_line:
        raise SourceError(
            f"{label}, line {header.row.number}: the header is not a well-formed CSV line; "
            "correct its quotes in the file"
        )
    return replace(header, near=texts[:LINES])


def _row(
    texts: Sequence[str], place: int, begin: int, declared: str | None, options: ReadOptions
) -> Row:
    """The record that begins in a line."""
    text, last = texts[place], place
    delimiter = declared or _delimiter(text, options)
    quote = options.layout.quote
    dialect = Dialect("", delimiter, (), {}, quote=quote)
    fields = dialect.fields(text) if text else []
    while (
        fields is None and _is_open(text, quote) and last - place < LINES and last + 1 < len(texts)
    ):
        last += 1
        text = f"{text}\n{texts[last]}"
        fields = dialect.fields(text)
    cells = [text] if fields is None else fields
    return Row(begin + place, begin + last, cells, delimiter, text, fields is None)


class FirstLines:
    """The first lines of a file, out of the chunks of its text."""

    def __init__(self, label: str, chunks: Iterator[bytes]) -> None:
        self._label, self._chunks = label, chunks
        self._number, self._rest = 1, b""

    def skip_blank(self) -> int:
        """The number of the first line that is not blank. Raises `SourceError` without any."""
        while self._rest or self._more():
            while b"\n" not in self._rest and self._more():
                if len(self._rest) > MAX_RECORD_BYTES:
                    raise SourceError(
                        f"{self._label}, line {self._number}: the line exceeds the limit of "
                        f"{MAX_RECORD_BYTES} bytes"
                    )
            line, _, rest = self._rest.partition(b"\n")
            if line.strip():
                return self._number
            self._number, self._rest = self._number + 1, rest
        raise SourceError(
            f"{self._label}: the file is empty; a source needs at least a header line"
        )

    def ahead(self, count: int) -> list[bytes]:
        """The next lines, at most `count`; fewer where these are very long."""
        while self._rest.count(b"\n") < count and len(self._rest) <= MAX_RECORD_BYTES:
            if not self._more():
                break
        return self._rest.removesuffix(b"\n").split(b"\n")[:count]

    def _more(self) -> bool:
        chunk = next(self._chunks, b"")
        self._rest += chunk
        return bool(chunk)


def _delimiter(text: str, options: ReadOptions) -> str:
    """The delimiter of a line: one by which it has as many fields as `HEADER` has names, or else
    the one that occurs most often, outside of quotes.
    """
    names, quote = options.layout.header, options.layout.quote
    for delimiter in _DELIMITERS if len(names) > 1 else "":
        fields = Dialect("", delimiter, (), {}, quote=quote).fields(text)
        if fields is not None and len(fields) == len(names):
            return delimiter
    unquoted = re.sub(f"{quote}[^{quote}]*{quote}", "", text) if quote else text
    return max(_DELIMITERS, key=unquoted.count)


def _is_open(text: str, quote: str) -> bool:
    """Whether a quoted name may continue in the next line."""
    return bool(quote) and text.count(quote) % 2 == 1
