"""Tables of plain text, as the summary and `check` print them."""

from __future__ import annotations

from collections.abc import Sequence


def aligned(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Columns under a header; numbers to the right, words to the left."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    numeric = [
        all(
            row[i].replace(",", "").replace(".", "").lstrip("-").isdigit() or not row[i]
            for row in rows
        )
        for i in range(len(header))
    ]

    def line(row: tuple[str, ...]) -> str:
        cells = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        )
        return ("  " + "  ".join(cells)).rstrip()

    return [line(header), *map(line, rows)]
