"""Exports of tills, of payment services, and of orders without their lines."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from support.exports import (
    CENT,
    Export,
    comma,
    dollars,
    export,
    lines_of,
    orders,
    record,
    sale,
    text_file,
)


def square(folder: Path) -> Export:
    """Totals of lines in dollars, discounts below zero, refunds with quantities below zero."""
    header = (
        "Date|Time|Time Zone|Category|Item|Qty|Price Point Name|SKU|Modifiers Applied|Gross Sales"
        "|Discounts|Net Sales|Tax|Transaction ID|Payment ID|Device Name|Notes|Details|Event Type"
        "|Location|Dining Option|Customer ID|Customer Name|Customer Reference ID|Unit|Count"
        "|Itemization Type|Fulfillment Note|Channel|Token|Card Brand|PAN Suffix"
    )
    made = orders(21, discount=10)
    rows, sold = [], Counter[Any]()
    for o, x in lines_of(made):
        sign = 1 if o.is_good else -1
        cells = [
            f"{o.at:%m/%d/%y}", f"{o.at:%H:%M:%S}", "Eastern Time (US & Canada)", "Home", x.title,
            f"{sign * x.quantity}.0", "Regular", x.sku, "", dollars(sign * x.gross),
            dollars(-sign * x.discount), dollars(sign * x.net), "$0.00", f"tx{o.number}",
            f"pay{o.number}", "Till 1", "", "https://squareup.com/d", "Payment" if o.is_good
            else "Refund", "Main St", "", f"CU{o.person}", o.name, "", "ea", sign * x.quantity,
            "Physical Good", "", "Own", f"T{x.sku}", "Visa", "1234",
        ]  # fmt: skip
        rows.append(cells)
        sold[sale(o, sign * x.quantity, sign * x.net)] += 1
    text_file(folder / "items-2024-01-01-2024-05-01.csv", header, rows)
    found = export(made, customers=None, products=None, skipped=0)
    found.sold = sold
    return found


def stripe(folder: Path) -> Export:
    """Payments: neither quantity nor product."""
    header = (
        "id|Created date (UTC)|Amount|Amount Refunded|Currency|Captured|Converted Amount"
        "|Converted Amount Refunded|Converted Currency|Decline Reason|Description|Fee|Is Link"
        "|Mode|PaymentIntent ID|Payment Source Type|Refunded date (UTC)|Statement Descriptor"
        "|Status|Seller Message|Taxes On Fee|Card ID|Card Name|Card Brand|Customer ID"
        "|Customer Description|Customer Email|Invoice ID|Transfer"
    )
    made = orders(22, 30)
    rows = [
        record(
            header, id=f"ch_3N{o.number}x", created_date__utc=f"{o.at:%Y-%m-%d %H:%M:%S}",
            amount=o.total, amount_refunded="0.00", currency="usd", captured="true",
            converted_amount=o.total, converted_amount_refunded="0.00", converted_currency="usd",
            fee=(o.total / 30).quantize(CENT), mode="Live", payment_source_type="card",
            paymentintent_id=f"pi_3N{o.number}", statement_descriptor="OWN SHOP",
            status="Paid" if o.is_good else "Failed", card_name=o.name, card_brand="Visa",
            customer_id=f"cus_{o.person}", customer_email=o.email, card_id=f"card_{o.number}",
            seller_message="Payment complete." if o.is_good else "declined",
        )
        for o in made
    ]  # fmt: skip
    text_file(folder / "unified_payments.csv", header, rows)
    found = export(made, products=None, skipped=sum(not o.is_good for o in made))
    found.sold = Counter(sale(o, 1, o.total) for o in made if o.is_good)
    return found


def paypal(folder: Path) -> Export:
    """German, with withdrawals and refunds among the payments."""
    header = (
        "Datum|Uhrzeit|Zeitzone|Name|Typ|Status|Währung|Brutto|Gebühr|Netto"
        "|Absender E-Mail-Adresse|Empfänger E-Mail-Adresse|Transaktionscode|Lieferadresse"
        "|Artikelbezeichnung|Artikelnummer|Versandkosten|Umsatzsteuer|Rechnungsnummer|Anzahl"
        "|Guthaben"
    )
    made = orders(23, 26)
    rows = []
    for o in made:
        fee = (o.total * 3 / 100).quantize(CENT)
        shared = [f"{o.at:%d.%m.%Y}", f"{o.at:%H:%M:%S}", "Europe/Berlin"]
        rows.append(
            [
                *shared, o.name, "PayPal Express-Zahlung",
                "Abgeschlossen" if o.is_good else "Storniert", "EUR", comma(o.total), comma(-fee),
                comma(o.total - fee), o.email, "shop@own.example", f"8AB{o.number}XY", "",
                "Bestellung", "", "0,00", "0,00", o.number, "1", comma(o.total),
            ]
        )  # fmt: skip
        if o.number % 6 == 0:
            rows.append(
                [
                    *shared, "", "Allgemeine Abbuchung", "Abgeschlossen", "EUR", "-500,00", "0,00",
                    "-500,00", "", "", f"9CD{o.number}XY", "", "", "", "", "", "", "", "0,00",
                ]
            )  # fmt: skip
    text_file(folder / "Download.CSV", header, rows, "utf-8-sig", quoting=1)
    found = export(made, customers=None, products=None, skipped=None)
    found.sold = Counter(sale(o, 1, o.total) for o in made if o.is_good)
    return found


def vend(folder: Path) -> Export:
    """Rows for a sale, for its lines and for its payments, in one table."""
    header = (
        "Date|Receipt Number|Line Type|Customer Code|Customer Name|Note|Quantity|Subtotal"
        "|Sales Tax|Discount|Loyalty|Total|Paid|Details|Register|User|Status|Sku|AccountCodeSale"
        "|AccountCodePurchase"
    )
    made = orders(24)
    rows = []
    for o in made:
        shared = [f"{o.at:%Y-%m-%d %H:%M:%S}", o.number]
        who = [f"{o.name.split()[0]}-{o.person}", o.name, ""]
        end = ["Main", "Kim", "CLOSED" if o.is_good else "VOIDED"]
        pieces = sum(x.quantity for x in o.lines)
        rows.append(
            [
                *shared,
                "Sale",
                *who,
                pieces,
                o.total,
                0,
                0,
                0,
                o.total,
                o.total,
                "",
                *end,
                "",
                "",
                "",
            ]
        )
        rows += [
            [
                *shared, "Sale Line", *who, x.quantity, x.gross, 0, 0, 0, x.gross, "", x.title,
                *end, x.sku, "", "",
            ]
            for x in o.lines
        ]  # fmt: skip
        rows.append(
            [*shared, "Payment", *who, "", "", "", "", "", "", o.total, "Cash", *end, "", "", ""]
        )
    text_file(folder / "vend-sales-history.csv", header, rows)
    return export(made, skipped=None)


def toast(folder: Path) -> Export:
    """Totals of lines that are called a price, voided lines, American times."""
    header = (
        "Location|Order Id|Order #|Sent Date|Order Date|Check Id|Server|Table|Dining Area|Service"
        "|Dining Option|Item Selection Id|Item Id|Master Id|SKU|PLU|Menu Item|Menu Subgroup(s)"
        "|Menu Group|Menu|Sales Category|Gross Price|Discount|Net Price|Qty|Tax|Void?|Deferred"
        "|Tax Exempt|Tax Inclusion Option|Dining Option Tax|Tab Name"
    )
    made = orders(25, discount=10)
    rows = [
        [
            "Main St", f"90000{o.number}", o.number - 1000, f"{o.at:%-m/%-d/%y %-I:%M %p}",
            f"{o.at:%-m/%-d/%y %-I:%M %p}", f"91000{o.number}", o.name, "4", "Patio", "Dinner",
            "Dine In", f"7000{o.number}{x.number}", f"30{x.sku[-3:]}", f"40{x.sku[-3:]}", x.sku, "",
            x.title, "", "Plates", "Food", "Food", x.gross, x.discount, x.net, x.quantity,
            (x.net / 10).quantize(CENT), "False" if o.is_good else "True", "False", "False",
            "Exclusive", "0", "",
        ]
        for o, x in lines_of(made)
    ]  # fmt: skip
    text_file(folder / "ItemSelectionDetails.csv", header, rows)
    return export(made, customers=None)


def clover(folder: Path) -> Export:
    """Line items with names of months in the dates; a flag of yes and no."""
    header = (
        "Line Item Date|Order ID|Order Date|Order Employee ID|Order Employee Name|Item ID"
        "|Item Name|Item SKU|Item Category|Per Unit Quantity|Quantity Sold|Item Price"
        "|Item Revenue|Total Discount|Item Total|Tax Amount|Refunded|Exchanged|Currency"
    )
    made = orders(26, bad=0)
    rows = [
        [
            f"{o.at:%d-%b-%Y %I:%M %p} EST", f"OR{o.number}", f"{o.at:%d-%b-%Y %I:%M %p} EST",
            f"E{o.person}", o.name, f"IT{x.sku[-3:]}", x.title, x.sku, "Home", "", x.quantity,
            x.price, x.gross, "0.00", x.gross, "0.00", "No", "No", "USD",
        ]
        for o, x in lines_of(made)
    ]  # fmt: skip
    text_file(folder / "Items-20240101_0000-20240501_0000.csv", header, rows)
    return export(made, customers=None)


def gumroad(folder: Path) -> Export:
    """A row a purchase, with its price, and no quantity; refunds are told by a flag."""
    header = (
        "Purchase ID|Item Name|Buyer Name|Purchase Email|Buyer Email|Do not contact?"
        "|Purchase Date|Purchase Time (UTC timezone)|Subtotal ($)|Taxes ($)|Tax Type|Shipping ($)"
        "|Sale Price ($)|Fees ($)|Net Total ($)|Tip ($)|Tax Included in Price?|City|Zip Code"
        "|Country|Referrer|Refunded?|Partial Refund ($)|Fully Refunded?|Disputed?|Item Price ($)"
    )
    made = orders(27)
    rows, sold = [], Counter[Any]()
    for o, x in lines_of(made):
        is_back = 0 if o.is_good else 1
        fee = (x.price / 10).quantize(CENT)
        rows.append(
            [
                f"gr{o.number}{x.number}==", x.title, o.name, o.email, o.email, 0,
                f"{o.at:%Y-%m-%d}", f"{o.at:%H:%M:%S}", x.price, "0.0", "", "0.0", x.price, fee,
                x.price - fee, "0.0", 0, "Ottawa", "K1A", "Canada", "direct", is_back, "0.0",
                is_back, 0, x.price,
            ]
        )  # fmt: skip
        sold[sale(o, 1, x.price)] += o.is_good
    text_file(folder / "Sales.csv", header, rows)
    found = export(made)
    found.sold = +sold
    return found


def bigcommerce(folder: Path) -> Export:
    """A row an order, its products in one cell: no sales of products can be made of it."""
    header = (
        "Order ID|Customer ID|Customer Name|Customer Email|Customer Phone|Order Date|Order Status"
        "|Subtotal (inc tax)|Subtotal (ex tax)|Tax Total|Shipping Cost (inc tax)"
        "|Order Total (inc tax)|Order Total (ex tax)|Customer Group Name|Payment Method"
        "|Total Quantity|Total Shipped|Date Shipped|Order Currency Code|Product Details"
    )
    made = orders(15)
    rows = [
        [
            o.number, 20 + o.person, o.name, o.email, "", f"{o.at:%d/%m/%Y}",
            "Completed" if o.is_good else "Cancelled", o.total, o.total, "0.00", "5.00",
            o.total + 5, o.total + 5, "", "Card", sum(x.quantity for x in o.lines), 0, "", "USD",
            "|".join(
                f"Product ID: {x.sku[-2:]}, Product Qty: {x.quantity}, Product SKU: {x.sku}, "
                f"Product Name: {x.title}, Product Unit Price: {x.price}, Product Total Price: "
                f"{x.gross}"
                for x in o.lines
            ),
        ]
        for o in made
    ]  # fmt: skip
    text_file(folder / "orders-2024-04-01.csv", header, rows)
    sold = Counter(sale(o, sum(x.quantity for x in o.lines), o.total) for o in made if o.is_good)
    found = export(made, products=None, skipped=sum(not o.is_good for o in made))
    found.sold = sold
    return found
