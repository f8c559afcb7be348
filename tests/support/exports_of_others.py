"""Exports of no system in particular, each with one trap."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.exports import Export, comma, export, lines_of, orders, text_file


def cancelled_elsewhere(folder: Path) -> Export:
    """Lines that say all but whether they were cancelled, which only their orders say."""
    made = orders(51)
    rows: list[list[Any]] = [
        [o.number, x.number, f"{o.at:%Y-%m-%d}", f"C{o.person}", x.sku, x.quantity, x.price]
        for o, x in lines_of(made)
    ]
    header = "Order No|Line|Date|Customer No|SKU|Qty|Unit Price"
    text_file(folder / "lines.csv", header, rows)
    rows = [
        [
            o.number, f"{o.at:%Y-%m-%d}", f"C{o.person}", "Shipped" if o.is_good else "Cancelled",
            o.total,
        ]
        for o in made
    ]  # fmt: skip
    text_file(folder / "orders.csv", "Order No|Date|Customer No|Status|Order Total", rows)
    return export(made)


def credit_notes(folder: Path) -> Export:
    """Credit notes that have amounts above zero."""
    made = orders(52)
    rows = [
        [
            o.number, "Invoice" if o.is_good else "Credit Note", f"{o.at:%Y-%m-%d}",
            f"C{o.person}", x.sku, x.quantity, x.price, x.gross,
        ]
        for o, x in lines_of(made)
    ]  # fmt: skip
    header = "Document No|Type|Date|Customer No|SKU|Qty|Unit Price|Amount"
    text_file(folder / "invoices.csv", header, rows)
    return export(made)


def returns(folder: Path) -> Export:
    """Returns that only their kind tells."""
    made = orders(53)
    rows = [
        [
            n, o.number, f"{o.at:%Y-%m-%d}", f"C{o.person}", x.sku, x.quantity, x.price,
            "SALE" if o.is_good else "RETURN",
        ]
        for n, (o, x) in enumerate(lines_of(made), 1)
    ]  # fmt: skip
    header = "Id|Order|Date|Customer|SKU|Qty|Price|Transaction Type"
    text_file(folder / "tx.csv", header, rows)
    return export(made)


def marks(folder: Path) -> Export:
    """A letter beside what was cancelled."""
    made = orders(58)
    rows = [
        [
            o.number, x.number, f"{o.at:%d.%m.%Y}", f"C{o.person}", x.sku, x.quantity,
            comma(x.gross), "" if o.is_good else "S",
        ]
        for o, x in lines_of(made)
    ]  # fmt: skip
    header = "Beleg|Pos|Datum|Kunde|Artikel|Menge|Betrag|Kz"
    text_file(folder / "belege.csv", header, rows, delimiter=";")
    return export(made)
