"""Reject files: every refused row with its reason, on disk before anything is published.

They are opened in spreadsheets, so no cell of theirs is a formula; and loaded again, so what
keeps a cell from being one comes off exactly.
"""

from __future__ import annotations

import codecs
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from errors import RejectFileError
from files import open_private, private_folder

WHY = ("_reason", "_detail", "_line", "_file", "_raw")
"""The columns that follow the source's own ones. `_raw` is the text of a record that is no row."""

_BEGINS_FORMULA = r"^([=+\-@\t\r\n'])"  # the apostrophe too, so that ours can be told from theirs
_BEGINS_CELL = r"([,;|\t\r\n]'*)([=+\-@])"  # where a spreadsheet splits at another delimiter
_NUMBER = r"^[+-]?[0-9]+([.,][0-9]+)*([eE][+-]?[0-9]+)?$"
_DISARMED = r"^'([=+\-@\t\r\n'])"
_DISARMED_INSIDE = r"([,;|\t\r\n]'*)'([=+\-@])"


class RejectFiles:
    """`<REJECTS_DIR>/<run_id>/<source>.csv`, made when the first row of a source is refused."""

    def __init__(self, folder: Path, formats: Mapping[str, tuple[str, str]] | None = None) -> None:
        """`formats`: delimiter and encoding of a source, so that its settings fit its rejects."""
        self.folder = folder
        self._formats = formats or {}
        self._files: dict[str, BinaryIO] = {}
        self._lock = threading.Lock()

    def write(self, source: str, columns: list[str], rows: pa.Table) -> None:
        """Append `rows`, which have `WHY` and any of the source's own `columns`, as text.

        Raises `RejectFileError` when the rows cannot be written.
        """
        own = [c for c in columns if c not in WHY]
        texts = [
            disarmed(rows[name].cast(pa.string()))
            if name in rows.column_names
            else pa.nulls(len(rows), pa.string())
            for name in (*own, *WHY)
        ]
        whole = pa.table(texts, disarmed(pa.array([*own, *WHY], pa.string())).to_pylist())
        with self._lock:
            try:
                is_new = source not in self._files
                file = self._files.get(source) or self._open(source)
                file.write(self._encoded(source, whole, is_new=is_new))
            except OSError as error:
                raise self._failed(source, error) from error

    def mark(self) -> dict[str, int]:
        """How long each file is, for `rewind`."""
        return {source: file.tell() for source, file in self._files.items()}

    def rewind(self, mark: dict[str, int]) -> None:
        """Take back what was written since `mark`."""
        for source, file in list(self._files.items()):
            try:
                if source in mark:
                    file.flush()
                    file.truncate(mark[source])
                    file.seek(mark[source])
                else:
                    self._files.pop(source).close()
                    self.path(source).unlink()
            except OSError as error:
                raise self._failed(source, error) from error

    def sync(self) -> None:
        """Bring all that was written to disk. Raises `RejectFileError` when it cannot be."""
        for source, file in self._files.items():
            try:
                file.flush()
                os.fsync(file.fileno())
            except OSError as error:
                raise self._failed(source, error) from error

    def close(self) -> None:
        """Close all files. What `sync` has not brought to disk may be missing."""
        files, self._files = self._files, {}
        for source, file in files.items():
            try:
                file.close()
            except OSError as error:
                raise self._failed(source, error) from error

    def _encoded(self, source: str, rows: pa.Table, *, is_new: bool) -> bytes:
        delimiter, encoding = self._formats.get(source, (",", "utf-8"))
        sink = pa.BufferOutputStream()
        options = pa_csv.WriteOptions(include_header=is_new, delimiter=delimiter)
        pa_csv.write_csv(rows, sink, options)
        data: bytes = sink.getvalue().to_pybytes()
        if codecs.lookup(encoding).name == "utf-8":
            return data
        text = data.decode().encode(encoding, "backslashreplace")
        mark = b"" if is_new else "".encode(encoding)  # a byte-order mark only at the beginning
        return text.removeprefix(mark)

    def path(self, source: str) -> Path:
        """Where the rejects of `source` are."""
        return self.folder / f"{source}.csv"

    def _open(self, source: str) -> BinaryIO:
        private_folder(self.folder)
        descriptor = open_private(self.path(source), os.O_CREAT | os.O_EXCL)
        self._files[source] = os.fdopen(descriptor, "wb")
        return self._files[source]

    def _failed(self, source: str, error: OSError) -> RejectFileError:
        return RejectFileError(
            f"{self.path(source)}: the rejects could not be written "
            f"({error.strerror or 'no space left'}); "
            "make room there or set REJECTS_DIR to another place"
        )


def disarmed(texts: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Texts with an apostrophe before what a spreadsheet would take for a formula."""
    is_formula = pc.match_substring_regex(texts, f"{_BEGINS_FORMULA}|{_BEGINS_CELL}")
    if not pc.any(is_formula).as_py():  # as in most columns
        return texts
    quoted = pc.replace_substring_regex(texts, _BEGINS_CELL, r"\1'\2")
    quoted = pc.replace_substring_regex(quoted, _BEGINS_FORMULA, r"'\1")
    return pc.if_else(pc.match_substring_regex(texts, _NUMBER), texts, quoted)


def rearmed(texts: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """The texts that `disarmed` was given."""
    outer = pc.replace_substring_regex(texts, _DISARMED, r"\1")
    return pc.replace_substring_regex(outer, _DISARMED_INSIDE, r"\1\2")
