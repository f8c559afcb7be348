"""Reject files: every rejected row with its reason, on disk before anything is published.

People open them in spreadsheets, so a cell that would be a formula gets an apostrophe (`disarmed`).
People correct them and load them again, so `rearmed` removes exactly these apostrophes.
"""

from __future__ import annotations

import codecs
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from common.files import open_private, private_folder
from common.parallel import in_order
from common.results import DETAIL, FILE, LINE, RAW, REASON
from errors import RejectFileError

Batch = Callable[[], pa.Table]

REJECT_COLUMNS = (REASON, DETAIL, LINE, FILE, RAW)
"""The columns that follow the source's own ones in a reject file."""
REJECT_FILE = frozenset(REJECT_COLUMNS) - {RAW}
"""The columns by which a reject file is known; those of version 0.1.0 have no _raw."""

_BEGINS_FORMULA = r"^([=+\-@\t\r\n'])"  # an apostrophe too, so that removing ours is exact
_BEGINS_CELL = r"([,;|\t\r\n]'*)([=+\-@])"  # where a spreadsheet splits at another delimiter
_NUMBER = r"^[+-]?[0-9]+([.,][0-9]+)*([eE][+-]?[0-9]+)?$"
_DISARMED = r"^'([=+\-@\t\r\n'])"
_DISARMED_INSIDE = r"([,;|\t\r\n]'*)'([=+\-@])"

REASONS = (
    "malformed_row",
    "invalid_text",
    "missing_key",
    "invalid_date",
    "date_out_of_range",
    "invalid_quantity",
    "non_positive_quantity",
    "invalid_unit_price",
    "non_positive_price",
    "invalid_discount",
    "negative_net_amount",
    "invalid_unit_cost",
    "other_currency",
    "conflicting_duplicate",
    "unknown_order",
    "unknown_customer",
    "unknown_product",
    "unknown_sales_rep",
)
"""The reject reasons, in the order of the checks: a row gets the first one that applies.

Measures and dimensions that a star has beside bring more: `invalid_<measure>`, `unknown_<member>`.
"""
LOADED_LATER = "loaded_later"
"""Why a replay refuses a row whose key a later run has loaded."""


def ordered_reasons(reasons: Iterable[str]) -> list[str]:
    """Reasons in the order in which messages list them."""
    known = {reason: place for place, reason in enumerate(REASONS)}
    return sorted(reasons, key=lambda reason: (known.get(reason, len(known)), reason))


class RejectFiles:
    """Writes `<REJECTS_DIR>/<run_id>/<source>.csv` for each source with rejected rows."""

    def __init__(
        self,
        folder: Path,
        formats: Mapping[str, tuple[str, str]] | None = None,
        workers: int = 1,
    ) -> None:
        """`formats` has delimiter and encoding by source, so that rejects can be loaded with the
        settings of the source itself.
        """
        self.folder = folder
        self._formats = formats or {}
        self._workers = workers

    def write(self, source: str, columns: list[str], batches: Iterable[Batch]) -> None:
        """Write the file of a source, in place of one that is there; without a batch there is none.

        `batches` are calls that return rows, in the order of the file, with `REJECT_COLUMNS` and
        any of the source's own `columns`, as text. The file is on disk when this returns. Raises
        `RejectFileError` when it cannot be written; a file that was there before stays as it is.
        """
        path, part = self.path(source), self.folder / f"{source}.csv.part"
        calls = (
            partial(self._encoded, source, columns, batch, is_first=number == 0)
            for number, batch in enumerate(batches)
        )
        with ThreadPoolExecutor(self._workers) as pool:
            try:
                if self._write(part, in_order(pool, calls, self._workers)):
                    part.replace(path)
                else:
                    path.unlink(missing_ok=True)
            except OSError as error:
                raise self._failed(source, error) from error
            finally:
                with suppress(OSError):
                    part.unlink(missing_ok=True)

    def path(self, source: str) -> Path:
        """The file for the rejects of `source`."""
        return self.folder / f"{source}.csv"

    def _write(self, path: Path, pieces: Iterator[bytes]) -> bool:
        """Write the pieces; false, and no file, when there are none."""
        first = next(pieces, None)
        if first is None:
            return False
        private_folder(self.folder)
        with os.fdopen(open_private(path, os.O_CREAT | os.O_EXCL), "wb") as file:
            for piece in chain([first], pieces):
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        return True

    def _encoded(self, source: str, columns: list[str], batch: Batch, *, is_first: bool) -> bytes:
        delimiter, encoding = self._formats.get(source, (",", "utf-8"))
        sink = pa.BufferOutputStream()
        options = pa_csv.WriteOptions(include_header=is_first, delimiter=delimiter)
        pa_csv.write_csv(_reject_file_rows(columns, batch()), sink, options)
        data: bytes = sink.getvalue().to_pybytes()
        if codecs.lookup(encoding).name == "utf-8":
            return data
        text = data.decode().encode(encoding, "backslashreplace")
        mark = b"" if is_first else "".encode(encoding)  # a byte-order mark only at the beginning
        return text.removeprefix(mark)

    def _failed(self, source: str, error: OSError) -> RejectFileError:
        return RejectFileError(
            f"{self.path(source)}: the rejects could not be written "
            f"({error.strerror or 'no space left'}); "
            "make room there or set REJECTS_DIR to another place"
        )


def _reject_file_rows(columns: list[str], rows: pa.Table) -> pa.Table:
    """`rows` with every column of the file as text, and no cell a formula."""
    names = [*(name for name in columns if name not in REJECT_COLUMNS), *REJECT_COLUMNS]
    texts = [
        disarmed(rows[name].cast(pa.string()))
        if name in rows.column_names
        else pa.nulls(len(rows), pa.string())
        for name in names
    ]
    return pa.table(texts, disarmed(pa.array(names, pa.string())).to_pylist())


def disarmed(texts: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Texts with an apostrophe before whatever a spreadsheet would run as a formula.

    Numbers such as -1.5 stay as they are.
    """
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
