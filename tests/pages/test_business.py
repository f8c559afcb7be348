"""The business at a glance: its figures are those that plain SQL finds in the published star."""

from __future__ import annotations

import random
from datetime import date, timedelta
from decimal import Decimal

from config import StarSchemaConfig
from pages.business import Bar, Breakdown, Business, Figures, Share, ask
from support.retailer import Retailer
from warehouse import reading

FLAT = (
    "FROM fact_sales f JOIN dim_customer c USING (customer_key) JOIN dim_product p USING "
    "(product_key) JOIN dim_sales_rep r USING (sales_rep_key) JOIN dim_date d USING (date_key) "
    "WHERE coalesce(f.currency, '') = :currency"
)
GROUPINGS = {
    "country": "customer", "segment": "customer", "category": "product", "brand": "product",
    "price_tier": "product", "region": "sales_rep", "day_name": "date", "is_weekend": "date",
}  # fmt: skip
MAPPED = {"TRANSACTIONS__COLUMNS": '{"currency": "currency"}', "PRODUCTS__CURRENCY": "EUR"}


def business(config: StarSchemaConfig, *, with_personal: bool = False) -> Business:
    with reading(config) as warehouse:
        return ask(warehouse, config.star, "a-run", with_personal=with_personal)


def a_large_shop(shop: Retailer) -> None:
    """Three years of sales with returns, in three currencies or none that is told, by customers and
    products that nobody describes, of reps or of none, without costs in part.
    """
    draw = random.Random(11)  # noqa: S311  # for tests
    days = [date(2022, 11, 5) + timedelta(days=n) for n in range(700) if not 300 < n < 380]
    shop.customers = [
        {"customer_id": f"C{n}", "first_name": f"Ada{n}", "last_name": f"Secret{n}",
         "email": f"ada{n}@secret.example", "city": "Hidden",
         "country": draw.choice(["", "GB", "DE"]),
         "segment": draw.choice(["Consumer", "Business", "Public"])}
        for n in range(40)
    ]  # fmt: skip
    shop.products = [
        {"product_id": f"P{n}", "name": f"Lamp {n}", "category": f"Category {n % 15}",
         "brand": "Lux", "price": draw.choice([None, 20, 90, 300]), "cost": draw.choice([None, 7])}
        for n in range(60)
    ]  # fmt: skip
    shop.reps = [
        {"sales_rep_id": f"R{n}", "first_name": "Grace", "last_name": f"Hidden{n}",
         "region": ["North", "South"][n % 2]}
        for n in range(5)
    ]  # fmt: skip
    shop.sales = [
        {"transaction_id": f"T{n}", "transaction_date": str(draw.choice(days)),
         "customer_id": f"C{draw.randrange(43)}" if n % 9 else "",
         "product_id": f"P{draw.randrange(62)}", "quantity": str(draw.choice([1, 2, 5, -2])),
         "unit_price": f"{draw.randrange(9999)}.{draw.randrange(99):02}",
         "sales_rep_id": f"R{draw.randrange(5)}" if n % 7 else "",
         "discount_amount": "0", "currency": draw.choice(["EUR", "EUR", "USD", "GBP", ""])}
        for n in range(900)
    ]  # fmt: skip


def published(shop: Retailer, **more: str) -> StarSchemaConfig:
    settings = {"ACCEPT_RETURNS": "true", **more}
    shop.publish(**settings)
    return shop.config(**settings)


def test_every_figure_is_that_of_the_star(shop: Retailer) -> None:
    a_large_shop(shop)
    found = business(published(shop, **MAPPED))
    counted = shop.star.rows(
        "SELECT coalesce(currency, ''), count(*) FROM fact_sales GROUP BY 1 ORDER BY 2 DESC, 1"
    )
    assert [(name, of.sales) for name, of in found.currencies.items()] == counted
    assert set(found.currencies) == {"EUR", "USD", "GBP", ""}
    assert (found.currencies_left_out, found.sales_left_out) == (0, 0)
    for currency, of in found.currencies.items():
        same_totals(shop, currency, of)
        same_months(shop, currency, of)
        same_groupings(shop, currency, of)
        same_members(shop, currency, of)


def same_totals(shop: Retailer, currency: str, of: Figures) -> None:
    names = ("quantity", "discount_amount", "gross_amount", "net_amount", "profit_amount")
    sums = ", ".join(f"sum({name})" for name in names)
    *totals, profits = shop.star.row(
        f"SELECT {sums}, count(profit_amount) {FLAT}", currency=currency
    )
    assert of.totals == {n: v for n, v in zip(names, totals, strict=True) if v is not None}
    assert of.without == ({"profit_amount": of.sales - profits} if of.sales > profits else {})


def same_months(shop: Retailer, currency: str, of: Figures) -> None:
    found = shop.star.rows(
        f"SELECT d.year, d.month, count(*), sum(net_amount) {FLAT} GROUP BY 1, 2 ORDER BY 1, 2",
        currency=currency,
    )
    told = {f"{year}-{month:02}": (sales, net) for year, month, sales, net in found}
    assert of.earlier is None
    labels = [f"{y}-{m:02}" for y in (2022, 2023, 2024) for m in range(1, 13)]
    labels = [label for label in labels if "2022-11" <= label <= "2024-10"]
    nothing = (0, Decimal(0))
    assert of.months == [Bar(label, *told.get(label, nothing)) for label in labels]
    assert any(bar.sales == 0 for bar in of.months)


def same_groupings(shop: Retailer, currency: str, of: Figures) -> None:
    names = []
    for name, member in GROUPINGS.items():
        found = shop.star.rows(
            f"SELECT {name}, count(*), sum(net_amount) {FLAT} GROUP BY 1", currency=currency
        )
        words = {True: "yes", False: "no", None: ""}
        bars = [Bar(words.get(value, value), sales, net) for value, sales, net in found]
        bars.sort(key=lambda bar: (-bar.net, bar.label))
        told = next((b for b in of.attributes if b.name == name), None)
        if name == "brand":  # all products have the same, but those that nobody describes
            assert told is None
            continue
        rest = bars[12:]
        others = Bar("", sum(b.sales for b in rest), sum((b.net for b in rest), Decimal(0)))
        assert told == Breakdown(name, member, bars[:12], others if rest else None, len(bars))
        names.append(name)
    assert {b.name for b in of.attributes} == set(names)


def same_members(shop: Retailer, currency: str, of: Figures) -> None:
    tables = {"customer": "c", "product": "p", "sales_rep": "r"}
    assert [b.name for b in of.top] == [f"{member}_id" for member in tables]
    assert [share.member for share in of.shares] == list(tables)
    for (member, table), top, share in zip(tables.items(), of.top, of.shares, strict=True):
        about = "p.product_name" if member == "product" else "''"
        found = shop.star.rows(
            f"SELECT {member}_id, count(*), sum(net_amount), {about} {FLAT} AND {member}_key <> -1 "
            "GROUP BY 1, 4",
            currency=currency,
        )
        bars = sorted((Bar(*row) for row in found), key=lambda bar: (-bar.net, bar.label))
        rest = bars[10:]
        others = Bar("", sum(b.sales for b in rest), sum((b.net for b in rest), Decimal(0)))
        assert top == Breakdown(
            f"{member}_id", member, bars[:10], others if rest else None, len(bars)
        )
        counts = "count(*), coalesce(sum(net_amount), 0)"
        unknown, inferred = (
            shop.star.row(f"SELECT {counts} {FLAT} AND {condition}", currency=currency)
            for condition in (f"{member}_key = -1", f"{table}.is_inferred")
        )
        assert share == Share(member, *unknown, *inferred)
