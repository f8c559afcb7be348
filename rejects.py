"""Reject files: every refused row with its reason, on disk before anything is published."""

from __future__ import annotations

import codecs
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.csv as pa_csv

from errors import RejectFileError

WHY = ("_reason", "_detail", "_line", "_file")
"""The columns that follow the source's own ones."""


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
        whole = pa.table(
            {
                name: rows[name].cast(pa.string())
                if name in rows.column_names
                else pa.nulls(len(rows), pa.string())
                for name in (*own, *WHY)
            }
        )
        with self._lock:
            try:
                is_new = source not in self._files
                file = self._files.get(source) or self._open(source)
                file.write(self._encoded(source, whole, is_new=is_new))
            except OSError as error:
                raise self._failed(source, error) from error

    def close(self) -> None:
        """Bring all files to disk. Raises `RejectFileError` when one cannot be."""
        files, self._files = self._files, {}
        for source, file in files.items():
            try:
                with file:
                    file.flush()
                    os.fsync(file.fileno())
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
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self.path(source), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._files[source] = os.fdopen(descriptor, "wb")
        return self._files[source]

    def _failed(self, source: str, error: OSError) -> RejectFileError:
        return RejectFileError(
            f"{self.path(source)}: the rejects could not be written ({error.strerror}); "
            "make room there or set REJECTS_DIR to another place"
        )
