"""More exports of systems: ledgers, tills, other languages, dates as numbers, nested objects."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq

from support.shop_exports import orders_of
from support.shops import CUSTOMERS, PRICES, Shop, lines, of, write


def jtl(folder: Path) -> Shop:
    """Prices without tax and with it: which one is meant, only a person knows."""
    made = lines()
    rows = [
        {
            "Auftragsnummer": f"AU{line.order}",
            "Auftragsdatum": f"{line.day:%d.%m.%Y} 10:15",
            "Kundennummer": line.customer,
            "Artikelnummer": line.product,
            "Artikelname": f"Ding {line.product}",
            "Anzahl": f"{line.quantity},00",
            "VK Netto": str(line.price).replace(".", ","),
            "VK Brutto": str((line.price * Decimal("1.19")).quantize(Decimal("0.01"))).replace(
                ".", ","
            ),
            "MwSt": "19,00",
        }
        for line in made
    ]
    write(folder / "auftragspositionen.csv", rows, encoding="cp1252", delimiter=";")
    return of(made, questions=1)


def navision(folder: Path) -> Shop:
    """A ledger with rates and amounts of discounts, and amounts after them."""
    made = lines(discounts=True)
    rows = [
        {
            "Document No_": f"SI{line.order}",
            "Line No_": line.number * 10000,
            "Sell-to Customer No_": line.customer,
            "No_": line.product,
            "Posting Date": f"{line.day} 00:00:00",
            "Description": f"Thing {line.product}",
            "Quantity": f"{line.quantity}.00000",
            "Unit Price": f"{line.price}000",
            "Line Discount Amount": f"{line.discount}000",
            "Amount": f"{line.net}000",
        }
        for line in made
    ]
    write(folder / "sales_invoice_line.csv", rows)
    return of(made)


def epoch(folder: Path) -> Shop:
    """Seconds of Unix for dates, JSON Lines, nested objects."""
    made = lines()
    folder.mkdir(parents=True)
    texts = [
        json.dumps(
            {
                "uuid": f"{line.order:08x}-{line.number:04x}",
                "ts": int(datetime(line.day.year, line.day.month, line.day.day, 12).timestamp()),
                "buyer": {"id": line.customer, "mail": f"{line.customer}@x.example"},
                "item": {"sku": line.product, "title": f"Thing {line.product}"},
                "qty": line.quantity,
                "unit_price": float(line.price),
            }
        )
        for line in made
    ]
    (folder / "sales.jsonl").write_text("\n".join(texts))
    return of(made)


def parquet_lists(folder: Path) -> Shop:
    """Orders with lists of items in Parquet."""
    made = lines()
    orders = [
        {
            "order_id": order,
            "ordered_at": its[0].day,
            "customer_id": its[0].customer,
            "items": [
                {"sku": i.product, "quantity": i.quantity, "unit_price": i.price} for i in its
            ],
        }
        for order, its in orders_of(made)
    ]
    folder.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(orders), folder / "orders.parquet")
    return of(made)


def excel_serials(folder: Path) -> Shop:
    """Days of a spreadsheet as numbers in a text file."""
    made = lines()
    rows = [
        {
            "Order No": line.order,
            "Line No": line.number,
            "Order Date": (line.day - date(1899, 12, 30)).days,
            "Customer": line.customer,
            "Item No": line.product,
            "Units": line.quantity,
            "Unit Price": line.price,
        }
        for line in made
    ]
    write(folder / "orders.csv", rows)
    return of(made)


def spanish(folder: Path) -> Shop:
    """Names of months in words, and flags for what was cancelled."""
    months = ["ene", "feb", "mar", "abr", "may", "jun", "jul", "ago", "sept", "oct", "nov", "dic"]
    made = lines()
    rows = [
        {
            "Nº pedido": line.order,
            "Línea": line.number,
            "Fecha": f"{line.day.day} {months[line.day.month - 1]} {line.day.year}",
            "Cliente": line.customer,
            "Referencia": line.product,
            "Cantidad": line.quantity,
            "Precio unitario": f"{line.price:.2f}".replace(".", ","),
            "Anulado": "Sí" if line.order % 21 == 0 else "No",
        }
        for line in made
    ]
    write(folder / "ventas.csv", rows, delimiter=";")
    return of([line for line in made if line.order % 21])


def no_quantity(folder: Path) -> Shop:
    """Tickets without a quantity: each row is one piece."""
    made = [replace(line, quantity=1) for line in lines()]
    rows = [
        {
            "ticket": f"T{line.order}-{line.number}",
            "sold_on": line.day,
            "member": line.customer,
            "article": line.product,
            "amount": line.price,
        }
        for line in made
    ]
    write(folder / "tickets.csv", rows)
    return of(made)


def us_dates(folder: Path) -> Shop:
    """Days that never exceed 12, out of order: nobody but a person can tell them from months."""
    made = [
        replace(line, day=date(2024, 1 + line.order * 7 % 12, 1 + line.order * 5 % 12))
        for line in lines()
    ]
    rows = [
        {
            "transaction_id": f"{line.order}-{line.number}",
            "transaction_date": f"{line.day:%m/%d/%Y}",
            "customer_id": line.customer,
            "product_id": line.product,
            "quantity": line.quantity,
            "unit_price": line.price,
        }
        for line in made
    ]
    write(folder / "sales.csv", rows)
    return of(made, questions=1)


def price_or_total(folder: Path) -> Shop:
    """An amount that may be a price or a total, of goods that are each sold once."""
    made = [replace(line, product=f"Q{n}") for n, line in enumerate(lines())]
    rows = [
        {
            "id": f"{line.order}-{line.number}",
            "date": line.day,
            "customer": line.customer,
            "product": line.product,
            "qty": line.quantity,
            "amount": line.gross,
        }
        for line in made
    ]
    write(folder / "sales.csv", rows)
    return of(made, questions=1)


def fixed_width(folder: Path) -> Shop:
    """Columns by their place in the line."""
    made = lines()
    names = ("ORDER", "LINE", "DATE", "CUSTOMER", "ITEM", "QTY", "PRICE")
    widths = (8, 6, 12, 10, 8, 6, 10)

    def line_of(cells: tuple[Any, ...]) -> str:
        return "".join(f"{cell!s:<{width}}" for cell, width in zip(cells, widths, strict=True))

    texts = [line_of(names)] + [
        line_of((i.order, i.number, i.day, i.customer, i.product, i.quantity, i.price))
        for i in made
    ]
    folder.mkdir(parents=True)
    (folder / "sales.txt").write_text("\n".join(texts) + "\n")
    return of(made)


def other_case(folder: Path) -> Shop:
    """Ids in small letters in the sales, in capitals with the customers; a folder of days."""
    made = lines()
    for number in range(3):
        rows = [
            {
                "receipt_no": line.order,
                "receipt_line": line.number,
                "created_at": f"{line.day}T12:00:00",
                "customer_no": line.customer.lower(),
                "sku": line.product,
                "units": line.quantity,
                "price_each": line.price,
            }
            for line in made
            if line.order % 3 == number
        ]
        write(folder / "days" / f"receipts-2024-0{number + 1}.csv", rows)
    write(folder / "customers.csv", [{"customer_no": c, "company": f"{c} Ltd"} for c in CUSTOMERS])
    write(folder / "stock.csv", [{"sku": p, "title": p, "price": v} for p, v in PRICES.items()])
    return of(made)


def titles_and_totals(folder: Path) -> Shop:
    """A report for people: a title, a blank line, the table, a line with the total."""
    made = lines()
    write(
        folder / "report.csv",
        [
            {
                "Order": line.order,
                "Pos": line.number,
                "Date": f"{line.day:%d.%m.%Y}",
                "Customer": line.customer,
                "Product": line.product,
                "Quantity": line.quantity,
                "Unit Price": line.price,
            }
            for line in made
        ],
        delimiter=";",
    )
    path = folder / "report.csv"
    total = sum((line.gross for line in made), Decimal(0))
    path.write_text(f"Sales report;;;;;;\n\n{path.read_text()}Total;;;;;;{total}\n")
    return of(made)


def headless(folder: Path) -> Shop:
    """Sales without names of columns."""
    made = lines()
    text = "".join(
        f"{i.order}-{i.number},{i.day:%Y-%m-%d},{i.customer},{i.product},{i.quantity},{i.price}\n"
        for i in made
    )
    folder.mkdir(parents=True)
    (folder / "sales.csv").write_text(text)
    write(folder / "customers.csv", [{"customer_no": c, "company": f"{c} Ltd"} for c in CUSTOMERS])
    write(folder / "stock.csv", [{"sku": p, "title": p, "price": v} for p, v in PRICES.items()])
    return of(made)


def without_members(folder: Path) -> Shop:
    """Lines with a quantity of another name, and a total that it is known by."""
    made = lines()
    rows = [
        {
            "ref": f"{line.order}/{line.number}",
            "booked": line.day,
            "client no": line.customer,
            "part no": line.product,
            "nos": line.quantity,
            "price": line.price,
            "value": line.gross,
        }
        for line in made
    ]
    write(folder / "bookings.csv", rows)
    return of(made)


def months(folder: Path) -> Shop:
    """A workbook with a sheet for each month, and one that is none."""
    made = lines()
    book = openpyxl.Workbook()
    book.active.append(["Made by the till"])
    for month in range(1, 13):
        sheet = book.create_sheet(f"2024-{month:02}")
        sheet.append(["Order", "Line", "Date", "Customer", "Item", "Quantity", "Unit Price"])
        for i in made:
            if i.day.month == month:
                sheet.append(
                    (i.order, i.number, i.day, i.customer, i.product, i.quantity, float(i.price))
                )
    folder.mkdir(parents=True)
    book.save(folder / "sales.xlsx")
    return of(made)


EXPORTS: list[Callable[[Path], Shop]] = [
    jtl, navision, epoch, parquet_lists, excel_serials, spanish, no_quantity, us_dates,
    price_or_total, fixed_width, other_case, titles_and_totals, headless,
    without_members, months,
]  # fmt: skip
