"""Exports of web shops and marketplaces."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

from support.exports import (
    Export,
    Order,
    comma,
    dollars,
    export,
    lines_of,
    orders,
    record,
    sale,
    text_file,
    workbook,
)

_SHOPIFY = (
    "Name|Email|Financial Status|Paid at|Fulfillment Status|Fulfilled at|Accepts Marketing|Currency"
    "|Subtotal|Shipping|Taxes|Total|Discount Code|Discount Amount|Shipping Method|Created at"
    "|Lineitem quantity|Lineitem name|Lineitem price|Lineitem compare at price|Lineitem sku"
    "|Lineitem requires shipping|Lineitem taxable|Lineitem fulfillment status|Billing Name"
    "|Billing Street|Billing Address1|Billing Company|Billing City|Billing Zip|Billing Province"
    "|Billing Country|Billing Phone|Shipping Name|Shipping City|Shipping Zip|Shipping Country|Notes"
    "|Note Attributes|Cancelled at|Payment Method|Payment Reference|Refunded Amount|Vendor"
    "|Outstanding Balance|Employee|Location|Device ID|Id|Tags|Risk Level|Source|Lineitem discount"
    "|Tax 1 Name|Tax 1 Value|Phone|Receipt Number|Duties"
)


def _shopify_rows(made: list[Order], currencies: tuple[str, ...]) -> list[list[object]]:
    rows = []
    for order, line in lines_of(made):
        cells: dict[str, object] = {
            "name": f"#{order.number}", "email": order.email, "lineitem_sku": line.sku,
            "lineitem_quantity": line.quantity, "lineitem_name": line.title,
            "lineitem_price": line.price, "lineitem_requires_shipping": "true",
            "lineitem_taxable": "true", "lineitem_fulfillment_status": "fulfilled",
            "vendor": "Own", "lineitem_discount": "0.00",
        }  # fmt: skip
        if line is order.lines[0]:
            when = f"{order.at:%Y-%m-%d %H:%M:%S} -0500"
            cells |= {
                "financial_status": "paid" if order.is_good else "refunded", "paid_at": when,
                "created_at": when, "accepts_marketing": "no", "fulfillment_status": "fulfilled",
                "currency": currencies[order.number % len(currencies)],
                "subtotal": order.total, "shipping": "5.00", "taxes": "0.00",
                "total": order.total + 5, "id": 5000000000000 + order.number,
                "discount_amount": sum((x.discount for x in order.lines), Decimal("0.00")),
                "billing_name": order.name, "billing_city": "Ottawa", "risk_level": "Low",
                "refunded_amount": "0.00" if order.is_good else order.total + 5, "source": "web",
                "payment_method": "Shopify Payments", "outstanding_balance": "0.00",
            }  # fmt: skip
        rows.append(record(_SHOPIFY, **cells))
    return rows


def _first_line_discounts(made: list[Order], **more: object) -> Export:
    """What comes to the same with all discounts of an order on its first line."""
    sold = Counter(
        sale(o, x.quantity, x.gross - (x is o.lines[0]) * (o_discount(o)))
        for o, x in lines_of(made)
        if o.is_good
    )
    return export(made, **more) if not sold else _with(export(made, **more), sold)


def o_discount(order: Order) -> Decimal:
    return sum((x.discount for x in order.lines), Decimal(0))


def _with(found: Export, sold: Counter) -> Export:  # type: ignore[type-arg]
    found.sold = sold
    return found


def shopify(folder: Path) -> Export:
    """Order cells on first lines only, a discount once an order, refunded orders."""
    made = [o for o in orders(discount=5) if o_discount(o) < o.lines[0].gross]
    text_file(folder / "orders_export_1.csv", _SHOPIFY, _shopify_rows(made, ("USD",)))
    return _first_line_discounts(made)


def shopify_months(folder: Path) -> Export:
    """Three files, two currencies."""
    made = orders(2, 30)
    for part in range(3):
        rows = _shopify_rows(made[part * 10 : part * 10 + 10], ("USD", "CAD"))
        text_file(folder / f"orders_export_2024-0{part + 1}.csv", _SHOPIFY, rows)
    net = {
        sign: sum((o.total for o in made if o.is_good and o.number % 2 == odd), Decimal(0))
        for sign, odd in (("USD", 0), ("CAD", 1))
    }
    return export(made, net=net)


def squarespace(folder: Path) -> Export:
    """Like Shopify's, with the order's cells on its first line and only its id in the others."""
    header = (
        "Order ID|Email|Financial Status|Paid at|Fulfillment Status|Fulfilled at|Currency|Subtotal"
        "|Shipping|Taxes|Amount Refunded|Total|Discount Code|Discount Amount|Shipping Method"
        "|Created at|Lineitem quantity|Lineitem name|Lineitem price|Lineitem sku|Lineitem variant"
        "|Lineitem requires shipping|Lineitem taxable|Lineitem fulfillment status|Billing Name"
        "|Billing City|Billing Zip|Billing Country|Cancelled at|Private Notes|Channel Type"
        "|Channel Name|Channel Order Number|Payment Method|Payment Reference"
    )
    made = orders(3)
    rows = []
    for order, line in lines_of(made):
        cells: dict[str, object] = {
            "order_id": f"{order.number:05}", "email": order.email, "lineitem_sku": line.sku,
            "lineitem_quantity": line.quantity, "lineitem_name": line.title,
            "lineitem_price": line.price,
        }  # fmt: skip
        if line is order.lines[0]:
            cells |= {
                "financial_status": "PAID", "paid_at": f"{order.at:%Y-%m-%d %H:%M:%S} -0500",
                "fulfillment_status": "FULFILLED" if order.is_good else "CANCELED",
                "currency": "USD", "subtotal": order.total, "shipping": "4.00", "taxes": "0.00",
                "amount_refunded": "0.00", "total": order.total + 4, "discount_amount": "0.00",
                "created_at": f"{order.at:%Y-%m-%d %H:%M:%S} -0500", "billing_name": order.name,
                "cancelled_at": "" if order.is_good else f"{order.at:%Y-%m-%d %H:%M:%S} -0500",
            }  # fmt: skip
        rows.append(record(header, **cells))
    text_file(folder / "orders.csv", header, rows)
    return export(made)


def woocommerce(folder: Path) -> Export:
    """A row an item; what is the order's is repeated."""
    header = (
        "Order Number|Order Status|Order Date|Customer Note|First Name (Billing)"
        "|Last Name (Billing)|Company (Billing)|Address 1&2 (Billing)|City (Billing)"
        "|State Code (Billing)|Postcode (Billing)|Country Code (Billing)|Email (Billing)"
        "|Phone (Billing)|Payment Method Title|Cart Discount Amount|Order Subtotal Amount"
        "|Shipping Method Title|Order Shipping Amount|Order Refund Amount|Order Total Amount"
        "|Order Total Tax Amount|SKU|Item #|Item Name|Quantity (- Refund)|Item Cost|Coupon Code"
        "|Discount Amount|Discount Amount Tax"
    )
    made = orders(4)
    rows = [
        [
            o.number, "Completed" if o.is_good else "Cancelled", f"{o.at:%Y-%m-%d %H:%M}", "",
            *o.name.split(), "", "1 Way", "Leeds", "", "LS1", "GB", o.email, "", "Card", "0.00",
            o.total, "Flat rate", "3.50", "0.00", o.total + Decimal("3.50"), "0.00", x.sku,
            x.number, x.title, x.quantity, x.price, "", "0.00", "0.00",
        ]
        for o, x in lines_of(made)
    ]  # fmt: skip
    text_file(folder / "orders-2024-04-01-10-11-12.csv", header, rows, "utf-8-sig")
    return export(made)


def woocommerce_items(folder: Path) -> Export:
    """Statuses as they are stored, and a total after discount of each item."""
    header = (
        "order_id|order_number|date|status|shipping_total|tax_total|discount_total|order_total"
        "|order_currency|payment_method|customer_id|billing_first_name|billing_last_name"
        "|billing_email|item_id|item_name|item_sku|item_quantity|item_subtotal|item_total|item_tax"
    )
    made = orders(5, discount=10)
    rows = [
        [
            o.number, o.number, f"{o.at:%Y-%m-%d %H:%M:%S}",
            "wc-completed" if o.is_good else "wc-failed", "3.50", "0", o_discount(o),
            o.total + Decimal("3.5"), "GBP", "stripe", 40 + o.person, *o.name.split(), o.email,
            o.number * 10 + x.number, x.title, x.sku, x.quantity, x.gross, x.net, "0",
        ]
        for o, x in lines_of(made)
    ]  # fmt: skip
    text_file(folder / "wc_order_items.csv", header, rows)
    return export(made)


_AMAZON = (
    "amazon-order-id|merchant-order-id|purchase-date|last-updated-date|order-status"
    "|fulfillment-channel|sales-channel|order-channel|ship-service-level|product-name|sku|asin"
    "|item-status|quantity|currency|item-price|item-tax|shipping-price|shipping-tax"
    "|gift-wrap-price|gift-wrap-tax|item-promotion-discount|ship-promotion-discount|ship-city"
    "|ship-state|ship-postal-code|ship-country|promotion-ids|is-business-order"
    "|purchase-order-number|price-designation"
)


def amazon(folder: Path) -> Export:
    """Totals of lines, times in UTC, cancelled lines of nothing; nobody is named."""
    made = orders(6, discount=10)
    rows = [
        [
            f"113-{o.number:07}-4242", "", f"{o.at:%Y-%m-%dT%H:%M:%S}+00:00",
            f"{o.at:%Y-%m-%dT%H:%M:%S}+00:00", "Shipped" if o.is_good else "Cancelled", "Amazon",
            "Amazon.com", "", "Expedited", x.title, x.sku, f"B00{x.sku[-3:]}XYZ",
            "Shipped" if o.is_good else "Cancelled", x.quantity if o.is_good else 0,
            "USD" if o.is_good else "", x.gross if o.is_good else "", "", "", "", "", "",
            x.discount or "" if o.is_good else "", "", "Austin", "TX", "78701", "US", "", "false",
            "", "",
        ]
        for o, x in lines_of(made)
    ]  # fmt: skip
    text_file(folder / "12345678901234.txt", _AMAZON, rows, delimiter="\t")
    return export(made, customers=None)


def amazon_settlement(folder: Path) -> Export:
    """An entry in a ledger for each price, tax and fee of a line: no list of sales."""
    header = (
        "settlement-id|settlement-start-date|settlement-end-date|deposit-date|total-amount"
        "|currency|transaction-type|order-id|merchant-order-id|adjustment-id|shipment-id"
        "|marketplace-name|amount-type|amount-description|amount|fulfillment-id|posted-date"
        "|posted-date-time|order-item-code|merchant-order-item-id|merchant-adjustment-item-id|sku"
        "|quantity-purchased|promotion-id"
    )
    made = orders(7, bad=0)
    rows = [
        record(
            header, settlement_id="16789", settlement_start_date="2024-01-01 00:00:00 UTC",
            settlement_end_date="2024-04-01 00:00:00 UTC", total_amount="4211.10", currency="USD",
            deposit_date="2024-04-03 00:00:00 UTC",
        )
    ]  # fmt: skip
    for o, x in lines_of(made):
        parts = (
            ("ItemPrice", "Principal", x.gross),
            ("ItemPrice", "Tax", (x.gross / 10).quantize(Decimal("0.01"))),
            ("ItemFees", "Commission", -(x.gross * 15 / 100).quantize(Decimal("0.01"))),
        )
        rows += [
            record(
                header, settlement_id="16789", transaction_type="Order",
                order_id=f"113-{o.number}-1", marketplace_name="Amazon.com", amount_type=kind,
                amount_description=what, amount=amount, posted_date=f"{o.at:%Y-%m-%d}",
                posted_date_time=f"{o.at:%Y-%m-%d %H:%M:%S} UTC", sku=x.sku,
                order_item_code=f"{o.number}{x.number}", quantity_purchased=x.quantity,
            )
            for kind, what, amount in parts
        ]  # fmt: skip
    text_file(folder / "settlement.txt", header, rows, delimiter="\t")
    return export(made, customers=None)


def ebay(folder: Path) -> Export:
    """A blank line above, a row for an order of several lines, two lines below; names of months."""
    header = (
        "Sales Record Number|Order Number|Buyer Username|Buyer Name|Buyer Email|Buyer Note"
        "|Buyer City|Buyer Country|Item Number|Item Title|Custom Label|Sold Via Promoted Listings"
        "|Quantity|Sold For|Shipping And Handling|Seller Collected Tax"
        "|eBay Collect And Remit Tax Rate|Total Price|Payment Method|Sale Date|Paid On Date"
        "|Ship By Date|Shipped On Date|Feedback Left|My Item Note|Transaction ID"
    )
    made = orders(8, bad=0)
    rows = []
    for o in made:
        shared: dict[str, object] = {
            "sales_record_number": o.number, "order_number": f"12-{o.number}-77777",
            "buyer_username": f"buyer_{o.person}", "sale_date": f"{o.at:%b-%d-%y}",
            "paid_on_date": f"{o.at:%b-%d-%y}",
        }  # fmt: skip
        whole = {"total_price": dollars(o.total + 5), "shipping_and_handling": "$5.00"}
        whole |= {"buyer_name": o.name, "buyer_email": o.email}
        if len(o.lines) > 1:
            pieces = sum(x.quantity for x in o.lines)
            rows.append(
                record(header, **shared, **whole, quantity=pieces, sold_for=dollars(o.total))
            )
        rows += [
            record(
                header, **shared, **(whole if len(o.lines) == 1 else {}), item_title=x.title,
                item_number=f"2555{x.sku[-3:]}", custom_label=x.sku, quantity=x.quantity,
                sold_for=dollars(x.price), transaction_id=f"9{o.number}{x.number}",
                sold_via_promoted_listings="No",
            )
            for x in o.lines
        ]  # fmt: skip
    below = (
        f"\r\n{len(rows)},record(s) downloaded,from,Jan-01-24,to,Apr-30-24\r\nSeller ID : own\r\n"
    )
    text_file(folder / "eBay-OrdersReport.csv", header, rows, above="\r\n", below=below)
    return export(made)


def etsy(folder: Path) -> Export:
    """A row an item, American dates with two digits of the year, the price of a piece."""
    header = (
        "Sale Date|Item Name|Buyer|Quantity|Price|Coupon Code|Coupon Details|Discount Amount"
        "|Shipping Discount|Order Shipping|Order Sales Tax|Item Total|Currency|Transaction ID"
        "|Listing ID|Date Paid|Date Shipped|Ship Name|Ship Address1|Ship City|Ship State"
        "|Ship Zipcode|Ship Country|Order ID|Variations|Order Type|Listings Type|Payment Type"
        "|InPerson Discount|InPerson Location|VAT Paid by Buyer|SKU"
    )
    made = orders(9, bad=0, discount=10)
    rows = [
        [
            f"{o.at:%m/%d/%y}", x.title, f"{o.name} ({o.name.split()[0].lower()}{o.person})",
            x.quantity, x.price, "", "", x.discount, "0.00", "4.00", "0.00", x.gross, "USD",
            f"40{o.number}{x.number}", f"77{x.sku[-3:]}", f"{o.at:%m/%d/%y}", "", o.name, "1 Way",
            "Reno", "NV", "89501", "United States", f"30{o.number}", "", "online", "listing",
            "online_cc", "", "", "", x.sku,
        ]
        for o, x in lines_of(made)
    ]  # fmt: skip
    text_file(folder / "EtsySoldOrderItems2024.csv", header, rows)
    return export(made)


def tiktok(folder: Path) -> Export:
    """A line of descriptions below the header, a tab behind the ids, times by day and month."""
    header = (
        "Order ID|Order Status|Order Substatus|Cancelation/Return Type|Normal or Pre-order|SKU ID"
        "|Seller SKU|Product Name|Variation|Quantity|Sku Quantity of return"
        "|SKU Unit Original Price|SKU Subtotal Before Discount|SKU Platform Discount"
        "|SKU Seller Discount|SKU Subtotal After Discount|Shipping Fee After Discount|Taxes"
        "|Order Amount|Order Refund Amount|Created Time|Paid Time|Buyer Username|Recipient|Country"
    )
    made = orders(10, discount=10)
    first = [f"Platform's {name.lower()}." for name in header.split("|")]
    rows = [
        [
            f"57{o.number}\t", "Completed" if o.is_good else "Canceled", "Delivered", "", "Normal",
            f"17{x.sku[-3:]}\t", x.sku, x.title, "Default", x.quantity, 0, x.price, x.gross, "0",
            x.discount, x.net, "4.5", "0", o.total + 4, "", f"{o.at:%m/%d/%Y %I:%M:%S %p}\t",
            f"{o.at:%m/%d/%Y %I:%M:%S %p}\t", f"user{o.person}", o.name, "United States",
        ]
        for o, x in lines_of(made)
    ]  # fmt: skip
    text_file(folder / "All order.csv", header, [first, *rows], "utf-8-sig")
    return export(made)


def wix(folder: Path) -> Export:
    """The order's amounts on its first line, its number on all of them."""
    header = (
        "Order number|Date created|Time|Total order quantity|Contact email|Note from customer"
        "|Item|Variant|SKU|Qty|Quantity refunded|Price|Weight|Delivery method|Recipient name"
        "|Billing name|Payment status|Payment method|Coupon code|Currency|Subtotal|Shipping rate"
        "|Total tax|Total|Refunded amount|Net amount|Fulfillment status"
    )
    made = orders(11, bad=0)
    rows = []
    for o, x in lines_of(made):
        first: dict[str, object] = {}
        if x is o.lines[0]:
            pieces = sum(y.quantity for y in o.lines)
            first = {
                "total_order_quantity": pieces, "subtotal": o.total, "shipping_rate": "5.00",
                "total_tax": "0.00", "total": o.total + 5, "net_amount": o.total + 5,
                "refunded_amount": "0.00",
            }  # fmt: skip
        rows.append(
            record(
                header, order_number=o.number, date_created=f"{o.at:%b %d, %Y}",
                time=f"{o.at:%I:%M %p}", contact_email=o.email, item=x.title, sku=x.sku,
                qty=x.quantity, quantity_refunded=0, price=x.price, billing_name=o.name,
                payment_status="Paid", currency="USD", fulfillment_status="Fulfilled", **first,
            )
        )  # fmt: skip
    text_file(folder / "Orders.csv", header, rows, "utf-8-sig")
    return export(made)


def bol(folder: Path) -> Export:
    """Dutch, with semicolons."""
    header = (
        "Bestelnummer;Bestelregel;Besteldatum;Land;EAN;Referentie;Productnaam;Aantal;"
        "Verkoopprijs;Commissie;Status;Klantnaam;E-mailadres"
    ).replace(";", "|")
    made = orders(12)
    rows = [
        [
            f"A000{o.number}", x.number, f"{o.at:%d-%m-%Y}", "NL", f"8712345{x.sku[-3:]}", x.sku,
            x.title, x.quantity, comma(x.price), comma(x.price / 10),
            "Verzonden" if o.is_good else "Geannuleerd", o.name, o.email,
        ]
        for o, x in lines_of(made)
    ]  # fmt: skip
    text_file(folder / "bestellingen.csv", header, rows, delimiter=";")
    return export(made)


def kaufland(folder: Path) -> Export:
    """A row a piece: there is no quantity."""
    header = (
        "id_order_unit|id_order|ts_created|status|id_offer|ean|title|price|revenue_gross|currency"
        "|delivery_time_expires|buyer_email|buyer_name"
    )
    made = orders(13)
    rows, sold = [], Counter[Any]()
    for o, x in lines_of(made):
        for piece in range(x.quantity):
            rows.append(
                [
                    int(f"31{o.number}{x.number}{piece}"), f"M{o.number}",
                    f"{o.at:%Y-%m-%d %H:%M:%S}", "sent" if o.is_good else "cancelled", x.sku,
                    f"40123{x.sku[-3:]}", x.title, x.price, (x.price * 85 / 100).quantize(
                        Decimal("0.01")), "EUR", f"{o.at:%Y-%m-%d}", o.email, o.name,
                ]
            )  # fmt: skip
            sold[sale(o, 1, x.price)] += o.is_good
    text_file(folder / "order_units.csv", header, rows, delimiter=";")
    return _with(export(made, skipped=None), +sold)


def mercado(folder: Path) -> Export:
    """Lines above the header, Portuguese dates with the names of months."""
    months = ("janeiro", "fevereiro", "março", "abril", "maio")
    header = (
        "N.º de venda|Data da venda|Estado|Descrição do status|Unidades"
        "|Receita por produtos (BRL)|Tarifa de venda e impostos|Total (BRL)|SKU|# de anúncio"
        "|Título do anúncio|Preço unitário de venda do anúncio (BRL)|Comprador|CPF|País"
    )
    made = orders(14)
    rows = [
        [
            f"2000{o.number}{x.number}", f"{o.at.day} de {months[o.at.month - 1]} de 2024 "
            f"{o.at:%H:%M} hs.", "Entregue" if o.is_good else "Venda cancelada", "", x.quantity,
            x.gross, -(x.gross / 10).quantize(Decimal("0.01")),
            x.gross - (x.gross / 10).quantize(Decimal("0.01")), x.sku, f"MLB{x.sku[-3:]}", x.title,
            x.price, o.name, f"123{o.person}", "Brasil",
        ]
        for o, x in lines_of(made)
    ]  # fmt: skip
    above = [["Vendas"], ["Relatório de vendas de 1 de janeiro a 30 de abril"], [], []]
    workbook(folder / "Vendas_BR.xlsx", {"Vendas BR": [*above, header.split("|"), *rows]})
    return export(made)
