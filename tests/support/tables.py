"""Rows as the tests write and read them."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def drawn(table: str) -> list[Row]:
    """Rows from a table drawn with `|` between the columns, its header first."""
    lines = [line for line in table.strip("\n").splitlines() if line.strip()]
    names, *rows = ([cell.strip() for cell in line.split("|")] for line in lines)
    return [dict(zip(names, row, strict=True)) for row in rows]


def csv_rows(path: Path) -> list[dict[str, str]]:
    """The records of a CSV file, read by Python's own parser."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def to_csv(rows: Sequence[Row], columns: Sequence[str] = ()) -> str:
    """Rows as CSV text; their columns are those of the first row, unless given."""
    out = io.StringIO()
    writer = csv.DictWriter(out, columns or list(rows[0]), lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def money(text: str) -> Decimal:
    """An amount, for comparisons that are exact."""
    return Decimal(text)
