"""Exports as the systems of shops write them: their columns, and what these mean."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from itertools import groupby
from pathlib import Path

import openpyxl

from support.shops import CUSTOMERS, PRICES, Line, Shop, lines, of, write


def orders_of(made: list[Line]) -> Iterator[tuple[int, list[Line]]]:
    """The lines of each order."""
    for order, its in groupby(made, key=lambda line: line.order):
        yield order, list(its)


def shopify(folder: Path) -> Shop:
    """Order fields on the first line only; a discount of the whole order; cancelled orders."""
    made, rows, cancelled = lines(), [], set[int]()
    net = Decimal(0)
    for order, its in orders_of(made):
        status = "refunded" if order % 17 == 0 else "pending" if order % 23 == 0 else "paid"
        discount = Decimal("1.50") if order % 5 == 0 else Decimal(0)
        if status == "refunded":
            cancelled.add(order)
        else:
            net += sum((line.gross for line in its), Decimal(0)) - discount
        total = sum((line.gross for line in its), Decimal(0))
        for line in its:
            first = line.number == 1
            rows.append(
                {
                    "Name": f"#{order}",
                    "Email": f"{line.customer.lower()}@shop.example",
                    "Financial Status": status if first else "",
                    "Paid at": f"{line.day} 10:01:00 +0000" if first else "",
                    "Fulfillment Status": "fulfilled" if first else "",
                    "Currency": "USD" if first else "",
                    "Subtotal": total - discount if first else "",
                    "Shipping": "5.00" if first else "",
                    "Taxes": "0.00" if first else "",
                    "Total": total - discount + 5 if first else "",
                    "Discount Code": "SAVE" if first and discount else "",
                    "Discount Amount": discount if first else "",
                    "Created at": f"{line.day} 10:00:00 +0000",
                    "Lineitem quantity": line.quantity,
                    "Lineitem name": f"Thing {line.product}",
                    "Lineitem price": line.price,
                    "Lineitem compare at price": "",
                    "Lineitem sku": line.product,
                    "Lineitem requires shipping": "true",
                    "Lineitem discount": "0.00",
                    "Billing Name": "Ada Lovelace" if first else "",
                    "Billing Zip": "'75008" if first else "",
                    "Vendor": "Shop",
                    "Id": 550000 + order if first else "",
                    "Cancelled at": "",
                }
            )
    write(folder / "orders_export.csv", rows)
    kept = [line for line in made if line.order not in cancelled]
    return Shop(len(kept), net)


def woocommerce(folder: Path) -> Shop:
    """A row for each item, with what belongs to the order in all of them; a price of one piece."""
    made, rows = lines(), []
    kept = [line for line in made if line.order % 19]
    for order, its in orders_of(made):
        total = sum((line.gross for line in its), Decimal(0))
        rows += [
            {
                "Order Number": order,
                "Order Status": "Completed" if order % 19 else "Cancelled",
                "Order Date": f"{line.day} 09:15",
                "First Name (Billing)": "Ada",
                "Last Name (Billing)": "Lovelace",
                "City (Billing)": "London",
                "Email (Billing)": f"{line.customer.lower()}@shop.example",
                "Cart Discount Amount": 0,
                "Order Subtotal Amount": total,
                "Order Shipping Amount": 5,
                "Order Total Amount": total + 5,
                "Order Total Tax Amount": 0,
                "SKU": line.product,
                "Item #": line.number,
                "Item Name": f"Thing {line.product}",
                "Quantity": line.quantity,
                "Item Cost": line.price,
            }
            for line in its
        ]
    write(folder / "orders-2024-11-02-10-00-00.csv", rows)
    return of(kept)


def amazon(folder: Path) -> Shop:
    """A report with tabs, in which the price of an item is that of all its pieces."""
    made = lines(discounts=True)
    rows = [
        {
            "amazon-order-id": f"302-{line.order:07}",
            "merchant-order-id": f"m{line.order}",
            "purchase-date": f"{line.day}T23:30:00+00:00",
            "last-updated-date": f"{line.day}T23:59:00+00:00",
            "order-status": "Shipped" if line.order % 13 else "Cancelled",
            "product-name": f"Thing {line.product}",
            "sku": line.product,
            "asin": f"B0{line.product}",
            "quantity": line.quantity if line.order % 13 else 0,
            "currency": "EUR" if line.order % 13 else "",
            "item-price": line.gross if line.order % 13 else "",
            "item-tax": "0.00",
            "shipping-price": "",
            "item-promotion-discount": line.discount or "",
            "ship-postal-code": "01067",
            "buyer-email": f"{line.customer.lower()}@marketplace.example",
        }
        for line in made
    ]
    write(folder / "orders.txt", rows, delimiter="\t")
    return of([line for line in made if line.order % 13])


def square(folder: Path) -> Shop:
    """Amounts of all pieces of a line, and discounts below 0."""
    made = lines(discounts=True)
    rows = [
        {
            "Date": f"{line.day:%m/%d/%y}",
            "Time": f"09:{line.number:02}:00",
            "Category": "Home",
            "Item": f"Thing {line.product}",
            "Qty": f"{line.quantity}.0",
            "SKU": line.product,
            "Gross Sales": f"${line.gross}",
            "Discounts": f"-${line.discount}" if line.discount else "$0.00",
            "Net Sales": f"${line.net}",
            "Tax": "$0.00",
            "Transaction ID": f"T{line.order}",
            "Payment ID": f"Pay{line.order}",
            "Event Type": "Payment",
            "Customer ID": line.customer,
            "Customer Name": "Ada Lovelace",
        }
        for line in made
    ]
    write(folder / "items-2024-01-01-2024-12-31.csv", rows)
    return of(made)


def stripe(folder: Path) -> Shop:
    """Payments: no quantity, and a product only in words."""
    made = lines()
    rows = [
        {
            "id": f"ch_{line.order}{line.number}",
            "Created date (UTC)": f"{line.day} 08:00:00",
            "Amount": line.gross,
            "Amount Refunded": line.gross if line.order % 29 == 0 else "0.00",
            "Currency": "usd",
            "Captured": "true",
            "Converted Amount": line.gross,
            "Fee": "0.59",
            "Status": "Refunded" if line.order % 29 == 0 else "Paid",
            "Description": f"Plan {line.product}",
            "Customer ID": f"cus_{line.customer}",
            "Customer Email": f"{line.customer.lower()}@shop.example",
        }
        for line in made
    ]
    write(folder / "payments.csv", rows)
    return of([line for line in made if line.order % 29])


def sap(folder: Path) -> Shop:
    """Codes for names, minus signs behind the numbers, three decimals, days without separators."""
    made = [
        replace(line, quantity=-line.quantity) if line.order % 11 == 0 else line for line in lines()
    ]

    def number(value: Decimal | int, places: int) -> str:
        return f"{abs(value):.{places}f}{'-' if value < 0 else ''}"

    rows = [
        {
            "VBELN": f"{line.order:010}",
            "POSNR": f"{line.number * 10:06}",
            "AUDAT": f"{line.day:%Y%m%d}",
            "KUNNR": line.customer,
            "MATNR": line.product,
            "KWMENG": number(line.quantity, 3),
            "NETPR": number(line.price, 2),
            "NETWR": number(line.gross, 2),
            "WAERK": "EUR",
        }
        for line in made
    ]
    write(folder / "VBAP.txt", rows, delimiter="|")
    return of(made)


def marketplace(folder: Path) -> Shop:
    """Orders with their lines in JSON, in an envelope."""
    made = lines(discounts=True)
    orders = [
        {
            "id": 5500 + order,
            "name": f"#{order}",
            "created_at": f"{its[0].day}T10:00:00Z",
            "currency": "EUR",
            "financial_status": "paid" if order % 7 else "voided",
            "total_price": str(sum((line.net for line in its), Decimal(0))),
            "customer": {"id": int(its[0].customer[1:]), "email": f"{its[0].customer}@x.example"},
            "line_items": [
                {
                    "id": order * 10 + line.number,
                    "sku": line.product,
                    "title": f"Thing {line.product}",
                    "quantity": line.quantity,
                    "price": str(line.price),
                    "total_discount": str(line.discount),
                }
                for line in its
            ],
            "shipping_lines": [{"title": "Post", "price": "5.00"}],
        }
        for order, its in orders_of(made)
    ]
    folder.mkdir(parents=True)
    (folder / "orders.json").write_text(json.dumps({"orders": orders}))
    return of([line for line in made if line.order % 7])


def two_files(folder: Path) -> Shop:
    """Orders and their lines in a file each; the status is the orders'."""
    made = lines()
    write(
        folder / "order_headers.csv",
        [
            {
                "order_no": order,
                "order_date": f"{its[0].day:%d/%m/%Y}",
                "cust_code": its[0].customer,
                "status": "closed" if order % 9 else "cancelled",
                "total": sum((line.gross for line in its), Decimal(0)),
            }
            for order, its in orders_of(made)
        ],
    )
    write(
        folder / "order_lines.csv",
        [
            {
                "order_no": line.order,
                "line_no": line.number,
                "item_code": line.product,
                "qty": line.quantity,
                "price_each": line.price,
            }
            for line in made
        ],
    )
    write(folder / "customers.csv", [{"code": c, "name": f"Firm {c} Ltd"} for c in CUSTOMERS])
    write(
        folder / "items.csv",
        [{"code": p, "description": p, "list_price": price} for p, price in PRICES.items()],
    )
    return of([line for line in made if line.order % 9])


def workbook(folder: Path) -> Shop:
    """A cover sheet, a title above the header, customers and products in sheets of their own."""
    made = lines()
    book = openpyxl.Workbook()
    cover = book.active
    cover.title = "Cover"
    cover.append(["Sales report 2024"])
    orders = book.create_sheet("Orders")
    orders.append(["Orders of 2024"])
    orders.append([])
    orders.append(["Order", "Line", "Order Date", "Customer No", "Item", "Qty", "Unit Price"])
    for line in made:
        orders.append(
            (
                line.order,
                line.number,
                line.day,
                line.customer,
                line.product,
                line.quantity,
                float(line.price),
            )
        )
    people = book.create_sheet("Customers")
    people.append(["Customer No", "First Name", "Last Name", "City"])
    for customer in CUSTOMERS:
        people.append([customer, "Ada", "Lovelace", "London"])
    goods = book.create_sheet("Items")
    goods.append(["Item", "Description", "Category", "List Price", "Cost"])
    for product, price in PRICES.items():
        goods.append([product, f"Thing {product}", "Home", float(price), float(price) / 2])
    folder.mkdir(parents=True)
    book.save(folder / "report.xlsx")
    return of(made)


def french(folder: Path) -> Shop:
    """Semicolons, decimal commas with spaces between thousands, and only the total of a line."""
    made = lines()
    rows = [
        {
            "N° commande": line.order,
            "N° ligne": line.number,
            "Date": f"{line.day:%d/%m/%Y}",
            "Code client": line.customer,
            "Référence": line.product,
            "Désignation": f"Chose {line.product}",
            "Quantité": line.quantity,
            "Montant": f"{line.gross:,.2f}".replace(",", "\u00a0").replace(".", ","),
        }
        for line in made
    ]
    write(folder / "ventes.csv", rows, encoding="cp1252", delimiter=";")
    return of(made)


def etsy(folder: Path) -> Shop:
    """Sold items, with prices of a piece and totals of a line, and the discount of a line."""
    made = lines(discounts=True)
    rows = [
        {
            "Sale Date": f"{line.day:%m/%d/%y}",
            "Item Name": f"Thing {line.product}",
            "Buyer": line.customer,
            "Quantity": line.quantity,
            "Price": line.price,
            "Coupon Code": "SALE" if line.discount else "",
            "Discount Amount": line.discount,
            "Order Shipping": "4.00",
            "Order Sales Tax": "0.00",
            "Item Total": line.gross,
            "Currency": "USD",
            "Transaction ID": line.order * 10 + line.number,
            "Listing ID": 9000 + int(line.product[1:]),
            "Date Paid": f"{line.day:%m/%d/%Y}",
            "Order ID": line.order,
            "SKU": line.product,
        }
        for line in made
    ]
    write(folder / "EtsySoldOrderItems2024.csv", rows)
    return of(made)


def xero(folder: Path) -> Shop:
    """Invoices: a discount in per cent, totals after it, and the invoice's total in each line."""
    made, rows = lines(discounts=True), []
    for order, its in orders_of(made):
        total = sum((line.net for line in its), Decimal(0))
        rows += [
            {
                "ContactName": f"Firm {line.customer}",
                "InvoiceNumber": f"INV-{order}",
                "InvoiceDate": f"{line.day:%d/%m/%Y}",
                "DueDate": f"{line.day:%d/%m/%Y}",
                "Total": total,
                "InventoryItemCode": line.product,
                "Description": f"Thing {line.product}",
                "Quantity": line.quantity,
                "UnitAmount": line.price,
                "Discount": round(line.discount / line.gross * 100),
                "LineAmount": line.net,
                "TaxType": "None",
                "TaxAmount": 0,
                "Currency": "GBP",
                "Status": "Paid",
            }
            for line in its
        ]
    write(folder / "Invoices.csv", rows)
    return of(made)


def online_retail(folder: Path) -> Shop:
    """Invoices with returns and guests, US dates with times."""
    made = [
        replace(line, quantity=-line.quantity) if line.order % 20 == 0 else line for line in lines()
    ]
    rows = [
        {
            "InvoiceNo": f"{'C' if line.quantity < 0 else ''}{530000 + line.order}",
            "StockCode": line.product,
            "Description": f"THING {line.product}",
            "Quantity": line.quantity,
            "InvoiceDate": f"{line.day.month}/{line.day.day}/{line.day.year} 8:26",
            "UnitPrice": line.price,
            "CustomerID": "" if line.order % 6 == 0 else line.customer,
            "Country": "United Kingdom",
        }
        for line in made
    ]
    write(folder / "online_retail.csv", rows)
    return of(made)


def superstore(folder: Path) -> Shop:
    """Totals of lines after a discount that is a share: only a person knows that it is taken."""
    made = lines(discounts=True)
    rows = [
        {
            "Row ID": number,
            "Order ID": f"CA-2024-{line.order}",
            "Order Date": f"{line.day:%m/%d/%Y}",
            "Ship Date": f"{line.day:%m/%d/%Y}",
            "Customer ID": line.customer,
            "Customer Name": "Ada Lovelace",
            "Segment": "Consumer",
            "Country": "United States",
            "City": "Denver",
            "Region": "West",
            "Product ID": line.product,
            "Category": "Office",
            "Product Name": f"Thing {line.product}",
            "Sales": line.net,
            "Quantity": line.quantity,
            "Discount": (line.discount / line.gross).quantize(Decimal("0.01")),
            "Profit": 1,
        }
        for number, line in enumerate(made, 1)
    ]
    write(folder / "superstore.csv", rows)
    return of(made, questions=1)


def odoo(folder: Path) -> Shop:
    """Order fields on the first line only, the order's number as well."""
    made = lines()
    rows = [
        {
            "Order Reference": f"S{line.order:05}" if line.number == 1 else "",
            "Order Date": f"{line.day} 10:00:00" if line.number == 1 else "",
            "Customer": f"Firm {line.customer}" if line.number == 1 else "",
            "Status": "Sales Order" if line.number == 1 else "",
            "Total": "1.00" if line.number == 1 else "",
            "Order Lines/Product": line.product,
            "Order Lines/Quantity": f"{line.quantity}.00",
            "Order Lines/Unit Price": line.price,
            "Order Lines/Subtotal": line.gross,
        }
        for line in made
    ]
    write(folder / "sale.order.csv", rows)
    return of(made)


def ebay(folder: Path) -> Shop:
    """Orders with prices of a piece; the total is with postage."""
    made = [line for line in lines() if line.number == 1]
    rows = [
        {
            "Sales Record Number": line.order,
            "Order Number": f"12-{line.order}",
            "Buyer Username": line.customer,
            "Buyer Name": "Ada Lovelace",
            "Item Number": 33000 + int(line.product[1:]),
            "Item Title": f"Thing {line.product}",
            "Custom Label": line.product,
            "Quantity": line.quantity,
            "Sold For": f"${line.price}",
            "Shipping And Handling": "$5.00",
            "Total Price": f"${line.gross + 5}",
            "Payment Method": "Card",
            "Sale Date": f"{line.day:%b-%d-%y}",
            "Paid On Date": f"{line.day:%b-%d-%y}",
        }
        for line in made
    ]
    write(folder / "eBay-OrdersReport.csv", rows)
    return of(made)


def supermarket(folder: Path) -> Shop:
    """Invoices of one line: totals with tax, and goods only by their group."""
    made = [line for line in lines() if line.number == 1]
    rows = [
        {
            "Invoice ID": f"750-67-{line.order}",
            "Branch": "A",
            "City": "Yangon",
            "Customer type": "Member",
            "Gender": "Female",
            "Product line": f"Group {int(line.product[1:]) % 6}",
            "Unit price": line.price,
            "Quantity": line.quantity,
            "Tax 5%": line.gross * Decimal("0.05"),
            "Total": line.gross * Decimal("1.05"),
            "Date": f"{line.day.month}/{line.day.day}/{line.day.year}",
            "Time": "13:08",
            "Payment": "Cash",
            "cogs": line.gross,
            "Rating": 9.1,
        }
        for line in made
    ]
    write(folder / "supermarket_sales.csv", rows)
    return of(made)


def lightspeed(folder: Path) -> Shop:
    """Receipts of a till: a retail price, and totals of lines after their discount."""
    made = lines(discounts=True)
    rows = [
        {
            "Sale ID": line.order,
            "Completed time": f"{line.day}T16:20:00+00:00",
            "Customer": line.customer,
            "Employee": "Kim Novak",
            "Item": f"Thing {line.product}",
            "System ID": f"2100{line.product[1:]}",
            "Quantity": line.quantity,
            "Retail price": line.price,
            "Subtotal": line.gross,
            "Discount": line.discount,
            "Total": line.net,
        }
        for line in made
    ]
    write(folder / "sales_lines.csv", rows)
    return of(made)


EXPORTS: list[Callable[[Path], Shop]] = [
    shopify, woocommerce, amazon, square, stripe, sap, marketplace, two_files, workbook, french,
    etsy, xero, online_retail, superstore, odoo, ebay, supermarket, lightspeed,
]  # fmt: skip
