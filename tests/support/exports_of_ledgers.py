"""Exports of ledgers, and of programs that run a business."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

from support.exports import (
    ARTICLES,
    CENT,
    PEOPLE,
    Export,
    Order,
    comma,
    dollars,
    export,
    lines_of,
    orders,
    sale,
    text_file,
    workbook,
)


def magento(folder: Path) -> Export:
    """Orders and their items in two files."""
    made = orders(31, discount=10)
    head = (
        "entity_id|increment_id|state|status|store_id|customer_id|customer_email"
        "|customer_firstname|customer_lastname|base_currency_code|order_currency_code|subtotal"
        "|discount_amount|shipping_amount|tax_amount|grand_total|total_qty_ordered|created_at"
        "|updated_at"
    )
    rows: list[list[Any]] = [
        [
            o.number - 900, f"1000{o.number}", "complete" if o.is_good else "canceled",
            "complete" if o.is_good else "canceled", 1, o.person + 7, o.email, *o.name.split(),
            "USD", "USD", sum(x.gross for x in o.lines), -sum(x.discount for x in o.lines), 5, 0,
            o.total + 5, sum(x.quantity for x in o.lines), f"{o.at:%Y-%m-%d %H:%M:%S}",
            f"{o.at:%Y-%m-%d %H:%M:%S}",
        ]
        for o in made
    ]  # fmt: skip
    text_file(folder / "sales_order.csv", head, rows)
    items = (
        "item_id|order_id|parent_item_id|product_id|product_type|sku|name|qty_ordered|qty_invoiced"
        "|qty_refunded|qty_canceled|price|original_price|tax_percent|tax_amount|discount_percent"
        "|discount_amount|row_total|created_at"
    )
    rows = [
        [
            n, o.number - 900, "", int(x.sku[-3:]), "simple", x.sku, x.title, f"{x.quantity}.0000",
            f"{x.quantity}.0000", "0.0000", "0.0000", f"{x.price}00", f"{x.price}00", "0.0000",
            "0.0000", "10.0000" if x.discount else "0.0000", f"{x.discount}00", f"{x.gross}00",
            f"{o.at:%Y-%m-%d %H:%M:%S}",
        ]
        for n, (o, x) in enumerate(lines_of(made), 501)
    ]  # fmt: skip
    text_file(folder / "sales_order_item.csv", items, rows)
    return export(made)


def prestashop(folder: Path) -> Export:
    """French, with semicolons, a price without and a total with tax."""
    header = (
        "Référence commande|Date de commande|N° client|Email|Référence produit|Désignation"
        "|Quantité|Prix unitaire HT|Total HT|Taux TVA|Total TTC|État"
    )
    made = orders(32)
    rows = [
        [
            f"XKB{o.number}", f"{o.at:%d/%m/%Y %H:%M:%S}", o.person + 1, o.email, x.sku, x.title,
            x.quantity, comma(x.price), comma(x.gross), "20,00 %",
            comma((x.gross * 12 / 10).quantize(CENT)), "Livré" if o.is_good else "Annulé",
        ]
        for o, x in lines_of(made)
    ]  # fmt: skip
    text_file(folder / "commandes.csv", header, rows, "utf-8-sig", delimiter=";")
    return export(made)


def jtl(folder: Path) -> Export:
    """German, cp1252, with customers and articles in files of their own."""
    header = (
        "Auftragsnummer|Auftragsdatum|Kundennummer|Firma|Vorname|Nachname|E-Mail|Artikelnummer"
        "|Artikelname|Menge|VK Netto|MwSt|Gesamt Netto|Zahlungsart|Status|Währung"
    )
    made = orders(33)
    rows: list[list[Any]] = [
        [
            f"AU-{o.number}", f"{o.at:%d.%m.%Y}", f"K{o.person:04}", "Müßig GmbH", *o.name.split(),
            o.email, x.sku, f"{x.title} für Büro", x.quantity, comma(x.price), "19",
            comma(x.gross), "Überweisung", "Versendet" if o.is_good else "Storniert", "EUR",
        ]
        for o, x in lines_of(made)
    ]  # fmt: skip
    how = {"encoding": "cp1252", "delimiter": ";"}
    text_file(folder / "JTL-Export-Auftraege.csv", header, rows, **how)
    rows = [[f"K{n:04}", *name.split(), "Köln", "50667"] for n, name in enumerate(PEOPLE)]
    text_file(folder / "Kunden.csv", "Kundennummer|Vorname|Nachname|Ort|PLZ", rows, **how)
    rows = [[sku, f"{title} für Büro", comma(price), "Möbel"] for sku, title, price in ARTICLES]
    text_file(folder / "Artikel.csv", "Artikelnummer|Artikelname|VK Netto|Warengruppe", rows, **how)
    return export(made)


def odoo(folder: Path) -> Export:
    """A workbook with the order's cells on its first line only, per cents of discount."""
    header = (
        "Order Reference|Order Date|Customer|Salesperson|Status|Order Lines/Product"
        "|Order Lines/Description|Order Lines/Quantity|Order Lines/Unit Price"
        "|Order Lines/Discount (%)|Order Lines/Subtotal|Total"
    )
    made = [_in_odd_cents(order) for order in orders(34, discount=10)]
    rows = []
    for o, x in lines_of(made):
        first: list[Any] = [""] * 5
        if x is o.lines[0]:
            state = "Sales Order" if o.is_good else "Cancelled"
            first = [f"S0{o.number}", f"{o.at:%Y-%m-%d %H:%M:%S}", o.name, "Mitchell Admin", state]
        cut = 10 if x.discount else 0
        total = o.total if x is o.lines[0] else ""
        line = [f"[{x.sku}] {x.title}", x.title, x.quantity, x.price, cut, x.net, total]
        rows.append([cell if cell != "" else None for cell in [*first, *line]])
    workbook(folder / "sale.order.xlsx", {"Sheet1": [header.split("|"), *rows]})
    return export(made)


def sap(folder: Path) -> Export:
    """Billing documents: a minus behind credits, quantities of three decimals, plain digits."""
    header = "VBELN|POSNR|FKART|FKDAT|KUNAG|MATNR|ARKTX|FKIMG|VRKME|NETWR|WAERK|FKSTO"
    made = orders(35)
    rows, sold = [], Counter[Any]()
    for o, x in lines_of(made):
        minus = "" if o.is_good else "-"
        sign = 1 if o.is_good else -1
        is_stopped = o.number % 9 == 0
        rows.append(
            [
                f"00900{o.number}", f"{x.number * 10:06}", "F2" if o.is_good else "RE",
                f"{o.at:%Y%m%d}", f"00000{o.person + 100}", x.sku, x.title,
                f"{x.quantity},000{minus}", "ST", f"{comma(x.gross)}{minus}", "EUR",
                "X" if is_stopped else "",
            ]
        )  # fmt: skip
        if not is_stopped:
            sold[sale(o, sign * x.quantity, sign * x.gross)] += 1
    text_file(folder / "VF05.txt", header, rows, delimiter="|")
    found = export(made, customers=None, products=None, skipped=None)
    found.sold = sold
    return found


def quickbooks(folder: Path) -> Export:
    """A report: a title, a line with the customer's name above his sales, a total below."""
    header = (
        "|Date|Transaction Type|Num|Product/Service|Memo/Description|Qty|Sales Price|Amount|Balance"
    )
    made = orders(36, bad=0)
    rows: list[list[Any]] = []
    for n, name in enumerate(PEOPLE):
        own = [(o, x) for o, x in lines_of(made) if o.person == n]
        rows.append([name, *[""] * 9])
        balance = Decimal(0)
        for o, x in own:
            balance += x.gross
            rows.append(
                [
                    "", f"{o.at:%m/%d/%Y}", "Invoice", o.number, x.title, x.title,
                    f"{x.quantity}.00", f"{x.price:,.2f}", f"{x.gross:,.2f}", f"{balance:,.2f}",
                ]
            )  # fmt: skip
        rows.append([f"Total for {name}", *[""] * 7, dollars(balance), ""])
    rows.append(["TOTAL", *[""] * 7, dollars(sum((o.total for o in made), Decimal(0))), ""])
    above = "Own Company\r\nSales by Customer Detail\r\nJanuary - April 2024\r\n\r\n"
    below = '\r\n"Monday, May 6, 2024 09:12 AM GMT-7 - Accrual Basis"\r\n'
    text_file(folder / "Sales by Customer Detail.csv", header, rows, above=above, below=below)
    return export(made, customers=None, skipped=None)


def _in_odd_cents(order: Order) -> Order:
    """The same order at prices of which a tenth is no whole cents; its discounts are rounded."""
    lines = []
    for line in order.lines:
        priced = replace(line, price=line.price + Decimal("0.05"))
        cut = (priced.gross / 10).quantize(CENT, ROUND_HALF_UP) if line.discount else Decimal(0)
        lines.append(replace(priced, discount=cut))
    return replace(order, lines=tuple(lines))


def xero(folder: Path) -> Export:
    """Invoices by line: per cents of discount, days in front of months, voided ones."""
    header = (
        "ContactName|EmailAddress|POAddressLine1|POCity|POPostalCode|POCountry|InvoiceNumber"
        "|Reference|InvoiceDate|DueDate|PlannedDate|Total|TaxTotal|InvoiceAmountPaid"
        "|InvoiceAmountDue|InventoryItemCode|Description|Quantity|UnitAmount|Discount|LineAmount"
        "|AccountCode|TaxType|TaxAmount|TrackingName1|TrackingOption1|Currency|Type|Sent|Status"
    )
    made = [_in_odd_cents(order) for order in orders(37, discount=10)]
    rows = [
        [
            o.name, o.email, "", "Perth", "6000", "Australia", f"INV-{o.number}", "",
            f"{o.at:%-d/%m/%Y}", f"{o.at:%-d/%m/%Y}", "", o.total, "0.00", o.total, "0.00", x.sku,
            x.title, f"{x.quantity}.0000", f"{x.price}00", 10 if x.discount else "", x.net, 200,
            "GST Free", "0.00", "", "", "AUD", "Sales invoice", "Sent",
            "Paid" if o.is_good else "Voided",
        ]
        for o, x in lines_of(made)
    ]  # fmt: skip
    text_file(folder / "SalesInvoices.csv", header, rows)
    return export(made)


def salesforce(folder: Path) -> Export:
    """Orders and order products in two files, ids of eighteen letters."""
    made = orders(38)
    rows: list[list[Any]] = [
        [
            f"801Hs00000{o.number}AAA", f"0000{o.number}", f"001Hs0000{o.person:04}IAC",
            f"{o.at:%Y-%m-%d}", "Activated" if o.is_good else "Draft", o.total, "USD",
            f"{o.at:%Y-%m-%d}T10:00:00.000Z",
        ]
        for o in made
    ]  # fmt: skip
    head = "Id|OrderNumber|AccountId|EffectiveDate|Status|TotalAmount|CurrencyIsoCode|CreatedDate"
    text_file(folder / "Order.csv", head, rows, quoting=1)
    items = (
        "Id|OrderItemNumber|OrderId|Product2Id|PricebookEntryId|Quantity|UnitPrice|ListPrice"
        "|TotalPrice|Description|CreatedDate"
    )
    rows = [
        [
            f"802Hs0000{n}AAA", f"00000{n}", f"801Hs00000{o.number}AAA", f"01tHs{x.sku[-3:]}AAA",
            f"01uHs{x.sku[-3:]}AAA", f"{x.quantity}.0", x.price, x.price, x.gross, "",
            f"{o.at:%Y-%m-%d}T10:00:00.000Z",
        ]
        for n, (o, x) in enumerate(lines_of(made), 3001)
    ]  # fmt: skip
    text_file(folder / "OrderItem.csv", items, rows, quoting=1)
    return export(made)


def meta(folder: Path) -> Export:
    """JSON with objects for amounts, and the items in a list below a name."""
    made = orders(39)
    records = [
        {
            "id": f"64{o.number}",
            "created": f"{o.at:%Y-%m-%dT%H:%M:%S}+0000",
            "order_status": {"state": "COMPLETED" if o.is_good else "CANCELLED"},
            "channel": "facebook",
            "items": {
                "data": [
                    {
                        "id": f"9{o.number}{x.number}",
                        "retailer_id": x.sku,
                        "product_name": x.title,
                        "quantity": x.quantity,
                        "price_per_unit": {"amount": str(x.price), "currency": "USD"},
                        "tax_details": {"estimated_tax": {"amount": "0", "currency": "USD"}},
                    }
                    for x in o.lines
                ]
            },
            "buyer_details": {"name": o.name, "email": o.email},
            "estimated_payment_details": {
                "subtotal": {"items": {"amount": str(o.total), "currency": "USD"}},
                "total_amount": {"amount": str(o.total), "currency": "USD"},
            },
        }
        for o in made
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "orders.json").write_text(json.dumps({"data": records, "paging": {"cursors": {}}}))
    return export(made)


def shopify_api(folder: Path) -> Export:
    """JSON orders with line items, amounts as texts, and a discount of each line."""
    made = orders(40, discount=10)
    records = [
        {
            "id": 450789469 + o.number,
            "name": f"#{o.number}",
            "email": o.email,
            "created_at": f"{o.at:%Y-%m-%dT%H:%M:%S}-05:00",
            "cancelled_at": None if o.is_good else f"{o.at:%Y-%m-%dT%H:%M:%S}-05:00",
            "currency": "USD",
            "financial_status": "paid" if o.is_good else "voided",
            "total_price": str(o.total),
            "subtotal_price": str(o.total),
            "total_discounts": str(sum(x.discount for x in o.lines)),
            "customer": {"id": 207119551 + o.person, "email": o.email, "first_name": o.name},
            "line_items": [
                {
                    "id": 669751112 + o.number * 10 + x.number,
                    "product_id": 7513594 + int(x.sku[-3:]),
                    "sku": x.sku,
                    "title": x.title,
                    "quantity": x.quantity,
                    "price": str(x.price),
                    "total_discount": str(x.discount),
                    "grams": 200,
                }
                for x in o.lines
            ],
            "refunds": [],
            "tags": "",
        }
        for o in made
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "orders.json").write_text(json.dumps({"orders": records}))
    return export(made)


def netsuite(folder: Path) -> Export:
    """A search over transactions: a main line with the order's amount, then its lines."""
    header = (
        "Internal ID|Document Number|Type|Date|Name|Sales Rep|Main Line|Line ID|Item|Quantity"
        "|Item Rate|Amount|Status|Currency"
    )
    made = orders(41, bad=0)
    rows: list[list[Any]] = []
    for o in made:
        head = [o.number + 5000, f"INV{o.number}", "Invoice", f"{o.at:%-m/%-d/%Y}", o.name, "Kim"]
        end = ["Invoice : Paid In Full", "USA"]
        rows.append([*head, "*", 0, "", "", "", o.total, *end])
        rows += [[*head, "", x.number, x.sku, x.quantity, x.price, x.gross, *end] for x in o.lines]
    rows.append(["Overall Total", *[""] * 10, sum(o.total for o in made) * 2, "", ""])
    text_file(folder / "TransactionSearchResults.csv", header, rows)
    return export(made, skipped=None)


def dynamics(folder: Path) -> Export:
    """A workbook with a cover sheet; comments among the lines."""
    header = (
        "Document No.|Line No.|Sell-to Customer No.|Type|No.|Description|Quantity"
        "|Unit of Measure Code|Unit Price Excl. VAT|Line Discount %|Line Amount Excl. VAT"
        "|Posting Date"
    )
    made = orders(42, bad=0, discount=10)
    rows: list[list[Any]] = []
    for o, x in lines_of(made):
        rows.append(
            [
                f"PSI-{o.number}", x.number * 10000, f"C{o.person:05}", "Item", x.sku, x.title,
                x.quantity, "PCS", x.price, 10 if x.discount else 0, x.net, o.at.date(),
            ]
        )  # fmt: skip
    cover = [["Posted Sales Invoice Lines"], ["Company", "CRONUS"], ["User", "KIM"]]
    sheets: dict[str, Any] = {
        "Cover": cover,
        "Posted Sales Invoice Lines": [header.split("|"), *rows],
    }
    workbook(folder / "Posted Sales Invoice Lines.xlsx", sheets)
    return export(made)


def postgres_shop(folder: Path) -> Export:
    """Two tables of a database, both with a time and an id."""
    made = orders(43)
    rows: list[list[Any]] = [
        [
            o.number, o.person + 1, "delivered" if o.is_good else "cancelled", o.total,
            f"{o.at:%Y-%m-%d %H:%M:%S.123456+00}", f"{o.at:%Y-%m-%d %H:%M:%S.123456+00}",
        ]
        for o in made
    ]  # fmt: skip
    text_file(folder / "orders.csv", "id|user_id|status|total|created_at|updated_at", rows)
    rows = [
        [
            n, o.number, int(x.sku[-3:]), x.quantity, x.price,
            f"{o.at:%Y-%m-%d %H:%M:%S.123456+00}",
        ]
        for n, (o, x) in enumerate(lines_of(made), 1)
    ]  # fmt: skip
    head = "id|order_id|product_id|quantity|unit_price|created_at"
    text_file(folder / "order_items.csv", head, rows)
    rows = [
        [n, name, f"{name.lower().replace(' ', '.')}@mail.example", "2023-01-01 00:00:00+00"]
        for n, name in enumerate(PEOPLE, 1)
    ]
    text_file(folder / "users.csv", "id|name|email|created_at", rows)
    rows = [[int(sku[-3:]), sku, title, price] for sku, title, price in ARTICLES]
    text_file(folder / "products.csv", "id|sku|name|price", rows)
    return export(made)
