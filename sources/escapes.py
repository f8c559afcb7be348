"""Text files with an escape character: `\\"`, `\\,`, or a backslash before a line break.

What is escaped is hidden while the file is copied: a pair such as `\\,` becomes one character that
no file has (a Unicode noncharacter). So a record is found and parsed as in any CSV file, wherever
the file is cut, and then each of these characters becomes the one that it stands for. A pair whose
second character needs no escape, such as `\\N`, stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from errors import SourceError
from sources.batches import Layout, Lines, RefusedRecord, TextBatch

_FIRST, _LAST = 0xFDD2, 0xFDEF  # U+FDD1 is taken, see `undecodable`
_ANY = f"[{chr(_FIRST)}-{chr(_LAST)}]"
_ANY_BYTES = re.compile(rb"\xef\xb7[\x92-\xaf]")
_NEED_ESCAPE = "\n,;|\t:\"'"


@dataclass(frozen=True)
class Escapes:
    """The escape character of a file. `signs`: its quote and delimiter, where these are set."""

    escape: str
    signs: str = ""

    @staticmethod
    def of(layout: Layout, delimiter: str | None) -> Escapes | None:
        """What the settings say; None without an escape character. A quote that escapes a quote is
        doubled, as in any file.
        """
        if layout.escape in ("", layout.quote):
            return None
        return Escapes(layout.escape, layout.quote + (delimiter or ""))

    @cached_property
    def _hidden(self) -> dict[str, str]:
        """What can be escaped, and what stands for it."""
        signs = dict.fromkeys(self.escape + _NEED_ESCAPE + self.signs)
        return {sign: chr(_FIRST + number) for number, sign in enumerate(signs)}

    def hidden(self, chunks: Iterator[bytes], label: str) -> Iterator[bytes]:
        """The chunks of a text, with what is escaped hidden. Raises `SourceError`."""
        escape = self.escape.encode()
        pair = re.compile(re.escape(escape) + b"(.)", re.DOTALL)
        known = {sign.encode(): mark.encode() for sign, mark in self._hidden.items()}
        held = b""
        for chunk in chunks:
            if _ANY_BYTES.search(chunk):
                raise SourceError(
                    f"{label}: it has characters from U+FDD2 to U+FDEF, which no text has; with "
                    "an escape character such a file is not read"
                )
            data = held + chunk
            is_open = (len(data) - len(data.rstrip(escape))) % 2
            held, data = data[len(data) - is_open :], data[: len(data) - is_open]
            if data:
                yield pair.sub(lambda found: known.get(found[1], found[0]), data)
        if held:
            yield held

    def shown(self, text: str) -> str:
        """The text that is meant, without escapes."""
        return text.translate({ord(mark): sign for sign, mark in self._hidden.items()})

    def breaks(self, data: bytes, lines: int) -> int:
        """How many line breaks are hidden in the first so many lines of what `hidden` gave."""
        end = -1
        for _ in range(lines):
            end = data.find(b"\n", end + 1)
            if end < 0:
                return data.count(self._hidden["\n"].encode())
        return data.count(self._hidden["\n"].encode(), 0, end + 1)

    def restored(self, batch: TextBatch) -> tuple[TextBatch, int]:
        """A batch as it is meant, its lines counted as in the file, and how many more lines its
        records have there.
        """
        breaks = np.zeros(len(batch.lines), np.int64)
        columns = []
        for column in batch.rows.columns:
            texts = column.cast(pa.string())
            if pc.any(pc.match_substring_regex(texts, _ANY)).as_py():
                counts = pc.fill_null(pc.count_substring(texts, self._hidden["\n"]), 0)
                breaks += counts.to_numpy().astype(np.int64)
                column = self._column(texts, is_encoded=pa.types.is_dictionary(column.type))  # noqa: PLW2901
            columns.append(column)
        rows = pa.table(columns, batch.rows.column_names)
        lines, refused, more = self._moved(batch, breaks)
        return replace(batch, rows=rows, lines=lines, refused=refused), more

    def _column(self, texts: pa.ChunkedArray, *, is_encoded: bool) -> pa.ChunkedArray:
        for sign, mark in self._hidden.items():
            texts = pc.replace_substring(texts, mark, sign)
        return texts.dictionary_encode() if is_encoded else texts

    def _moved(self, batch: TextBatch, breaks: Lines) -> tuple[Lines, list[RefusedRecord], int]:
        """The lines of the rows, and the refused records, where the file has them."""
        own = [record.raw.count(self._hidden["\n"]) for record in batch.refused]
        both = np.concatenate([breaks, np.array(own, np.int64)])
        lines = np.concatenate([batch.lines, [record.line for record in batch.refused]])
        order = np.argsort(lines, kind="stable")
        moved = np.empty(len(lines), np.int64)
        moved[order] = lines[order] + np.cumsum(both[order]) - both[order]
        written = {ord(mark): self.escape + sign for sign, mark in self._hidden.items()}
        refused = [
            replace(
                record,
                line=int(line),
                detail=record.detail.translate(written),
                raw=record.raw.translate(written),
            )
            for record, line in zip(batch.refused, moved[len(breaks) :], strict=True)
        ]
        return moved[: len(breaks)], refused, int(both.sum())
