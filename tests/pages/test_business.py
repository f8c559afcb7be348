"""The business at a glance: its figures are those that plain SQL finds in the published star."""

from __future__ import annotations

import json
import random
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from config import StarSchemaConfig, load_config
from main import StarSchemaETLPipeline
from pages.business import Bar, Breakdown, Business, Figures, Share, ask
from support.retailer import Retailer
from support.sessions import as_role
from support.stores import star_with_stores
from support.tables import Row, to_csv
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
    assert of.net == of.totals["net_amount"]
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


def test_months_before_the_last_three_years_are_one_figure(shop: Retailer) -> None:
    days = ["2020-05-31", "2021-12-31", "2022-01-01", "2024-02-29"]
    shop.sales = [
        {**shop.sales[0], "transaction_id": f"T{n}", "transaction_date": day, "unit_price": "1.5"}
        for n, day in enumerate(days)
    ]
    (of,) = business(published(shop)).currencies.values()
    assert of.earlier == Bar("2020-05", 2, Decimal(6))
    assert of.net == 12
    assert [bar.label for bar in of.months[:2]] == ["2022-01", "2022-02"]
    assert [bar.label for bar in of.months if bar.sales] == ["2022-01", "2024-02"]
    assert len(of.months) == 26
    assert of.months[-1] == Bar("2024-02", 1, Decimal(3))


def test_of_a_star_without_sales_there_are_no_figures(shop: Retailer) -> None:
    shop.files["transactions"] = ",".join(shop.sales[0]) + "\n"
    found = business(published(shop))
    assert found == Business("a-run")
    assert Business.from_dict(found.as_dict()) == found


def test_a_star_with_one_dimension_and_measure_more_shows_them(
    shop: Retailer, tmp_path: Path
) -> None:
    stores = tmp_path / "stores.csv"
    rows = [
        {"store_id": f"S{n}", "city": ["Rome", "Bari"][n % 2], "opened_on": ""} for n in range(3)
    ]
    stores.write_text(to_csv(rows), encoding="utf-8")
    shop.sales = [
        sale | {"store_id": f"S{n}", "tax_amount": "1.25"} for n, sale in enumerate(shop.sales)
    ]
    config = load_config(None, shop.settings(STORES__PATH=stores), star_with_stores())
    assert StarSchemaETLPipeline(config, quiet=True).run_full_pipeline()["errors"] == []
    (of,) = business(config).currencies.values()
    assert of.totals["tax_amount"] == Decimal("3.75")
    (city,) = [b for b in of.attributes if b.member == "store"]
    rome, bari = Bar("Rome", 2, Decimal(560)), Bar("Bari", 1, Decimal("169.9725"))
    assert city == Breakdown("store_city", "store", [rome, bari], values=2)
    (ids,) = [b for b in of.top if b.member == "store"]
    assert [(bar.label, bar.net) for bar in ids.bars] == [
        ("S0", 500), ("S1", Decimal("169.9725")), ("S2", 60),
    ]  # fmt: skip
    assert of.shares[-1] == Share("store", 0, Decimal(0), 0, Decimal(0))


def test_members_with_the_same_amount_stand_in_the_order_of_their_keys(shop: Retailer) -> None:
    ids = ["b", "a", "Z", "é", "_", "z1", "z10", "z2", "A", "0", "ß", "B"]
    shop.sales = [
        {**shop.sales[2], "transaction_id": f"T{n}", "customer_id": name}
        for n, name in enumerate(ids)
    ]
    (of,) = business(published(shop)).currencies.values()
    customers = of.top[0]
    assert [bar.label for bar in customers.bars] == sorted(ids)[:10]
    assert customers.others == Bar("", 2, Decimal(120))
    assert customers.values == 12


def test_names_are_in_the_figures_only_where_they_are_asked_for(shop: Retailer) -> None:
    a_large_shop(shop)
    config = published(shop, **MAPPED)
    told = json.dumps(business(config).as_dict())
    assert "Lamp " in told
    for secret in ("Secret", "secret", "Ada", "Grace", "Hidden"):
        assert secret not in told
    (of, *_) = business(config, with_personal=True).currencies.values()
    about = {b.member: {bar.label: bar.about for bar in b.bars} for b in of.top}
    for number, name in ((n, f"Ada{n} Secret{n}") for n in range(40)):
        assert about["customer"].get(f"C{number}", name) == name
    assert about["sales_rep"]["R1"] == "Grace Hidden1"
    assert {b.name for b in of.attributes} <= set(GROUPINGS)


def test_currencies_without_end_are_counted_and_not_shown(shop: Retailer) -> None:
    names = [f"{a}{b}X" for a in "ABCDE" for b in "FGHIJ"]
    shop.sales = [
        {**shop.sales[0], "transaction_id": f"T{n}-{m}", "currency": name}
        for n, name in enumerate(names)
        for m in range(1 + n % 13)
    ]
    found = business(published(shop, **MAPPED))
    sizes = sorted(
        ((1 + n % 13, name) for n, name in enumerate(names)), key=lambda s: (-s[0], s[1])
    )
    assert [(of.sales, name) for name, of in found.currencies.items()] == sizes[:8]
    assert found.currencies_left_out == 17
    assert found.sales_left_out == sum(size for size, _ in sizes[8:])
    for of in found.currencies.values():
        assert [(b.sales, b.net) for b in of.months] == [(of.sales, of.sales * Decimal(500))]
        assert of.top[0].bars == [Bar("C1", of.sales, of.sales * Decimal(500))]
        assert of.shares[0] == Share("customer", 0, Decimal(0), 0, Decimal(0))


def test_an_attribute_that_groups_nothing_is_not_shown(shop: Retailer) -> None:
    """One value, or one of those that nobody describes beside it, or more than a hundred."""
    shop.products = [
        {"product_id": f"P{n}", "name": f"Lamp {n % 5}", "category": "Home" if n else "",
         "brand": f"Brand {n}", "price": 10, "cost": n % 2 or None}
        for n in range(101)
    ]  # fmt: skip
    sale = shop.sales[0]
    shop.sales = [
        {**sale, "transaction_id": f"T{n}", "product_id": f"P{n + 1}"} for n in range(101)
    ]
    (of,) = business(published(shop)).currencies.values()
    assert {b.name for b in of.attributes} == set()  # P101 is not described: 101 brands, Unknown
    shop.sales = [{**sale, "transaction_id": f"T{n}", "product_id": f"P{n}"} for n in range(100)]
    (of,) = business(
        published(shop, TRANSACTIONS__EXTRACT="full", MAX_DELETE_RATE="1")
    ).currencies.values()
    (category, brand) = of.attributes
    assert [(bar.label, bar.sales) for bar in category.bars] == [("Home", 99), ("Unknown", 1)]
    assert (len(brand.bars), brand.values) == (12, 100)
    assert brand.others == Bar("", 88, Decimal(44000))


def test_a_star_of_an_earlier_version_is_asked_for_what_it_has(shop: Retailer) -> None:
    shop.star.restore("0.1.0")
    (of,) = business(shop.config()).currencies.values()
    sales, net, profit = shop.star.row(
        "SELECT count(*), sum(net_amount), sum(profit_amount) FROM fact_sales"
    )
    assert (of.sales, of.totals["net_amount"], of.totals["profit_amount"]) == (sales, net, profit)
    assert sum(bar.sales for bar in of.months) == sales


def test_a_role_that_may_only_select_can_ask(postgresql_shop: Retailer, loader_role: str) -> None:
    shop = postgresql_shop
    shop.publish()
    expected = business(shop.config())
    role = '"{}"'.format(loader_role.replace('"', '""'))
    shop.star.execute(
        f'GRANT USAGE ON SCHEMA "{shop.star.schema}" TO {role}',
        f'GRANT SELECT ON ALL TABLES IN SCHEMA "{shop.star.schema}" TO {role}',
    )
    url = as_role(shop.star, loader_role)
    assert business(shop.config(WAREHOUSE_URL=url)) == expected


@pytest.mark.parametrize(
    "change",
    [
        {"run_id": 7}, {"currencies": []}, {"more": 1}, {"currencies": {"EUR": None}},
        {"currencies_left_out": True}, {"sales_left_out": "0"},
    ],
)  # fmt: skip
def test_figures_that_were_tampered_with_are_not_taken(change: Row) -> None:
    kept = Business("a-run", {"EUR": Figures(1, {"net_amount": Decimal("1.5")})}).as_dict()
    assert Business.from_dict(json.loads(json.dumps(kept))).as_dict() == kept
    with pytest.raises(ValueError, match=r"."):
        Business.from_dict(kept | change)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sales", 10**400), ("sales", -3), ("sales", 1), ("without", {"net_amount": -1}),
        ("months", [{"label": "soon"}]), ("months", [{"label": ""}]), ("months", [{"label": "²"}]),
        ("months", [{"label": "2024-13"}]),
        ("months", [{"label": "2024-02"}, {"label": "2024-01"}]),
        ("months", [{"label": "2024-01"}, {"label": "2024-01"}]), ("months", [{"sales": 3}]),
        ("months", [{"about": "\ud800"}]),
    ],
)  # fmt: skip
def test_figures_that_no_star_has_are_not_taken(name: str, value: Any) -> None:
    """Of a page that was damaged, or edited: a page that is made of them would be none."""
    month = Bar("2024-01", 2, Decimal(3))
    kept = Business("a-run", {"": Figures(2, {}, [month])}).as_dict()
    assert Business.from_dict(kept).as_dict() == kept
    figures = kept["currencies"][""]
    if name == "months":
        value = [figures["months"][0] | {"sales": 0} | bar for bar in value]
    with pytest.raises(ValueError, match=r"."):
        Business.from_dict(kept | {"currencies": {"": figures | {name: value}}})


@pytest.mark.parametrize(
    "amount", [1, 1.5, "1.5", "1e9999999", "NaN", "Infinity", "1.50000", " 1.5000", None, "१.5000"]
)
def test_an_amount_is_text_with_four_decimals(amount: object) -> None:
    kept = Business("a-run", {"": Figures(1, {"net_amount": Decimal("1.5")})}).as_dict()
    kept["currencies"][""]["totals"]["net_amount"] = amount
    with pytest.raises(ValueError, match=r"."):
        Business.from_dict(kept)
