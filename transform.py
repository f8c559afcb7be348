"""Cleaning: pure rules from text to the star's values, one public method per table.

No function here opens a file or a connection, or changes its input. A rule takes an Arrow array
and returns one; rules that are not vectorised run once per distinct value.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import cache, lru_cache, partial
from typing import TYPE_CHECKING, Any, TypeAlias
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from amounts import MONEY, fitting, multiplied, rounded
from arrays import decoded, on_values, per_distinct, whole
from blocks import NUMBERS, as_text, comma_text, to_json
from config import ISO_8601, SourceSettings, StarSchemaConfig
from duplicates import BATCH_BITS, find_losers, judging, key_hashes
from key_rules import normal_keys
from schema import (
    MONEY_PRECISION,
    MONEY_SCALE,
    ONLY_NAMED,
    Role,
    arrow_schema,
    arrow_type,
    business_key,
    columns_of,
    dim_customer,
    dim_date,
    dim_product,
    dim_sales_rep,
    fact_sales,
)

if TYPE_CHECKING:
    import pandas as pd
    from sqlalchemy import Table

    Rows: TypeAlias = pd.DataFrame | list[dict[str, Any]] | pa.Table

Mask = npt.NDArray[np.bool_]
PLACE = "_place"
"""Column of prepared rows: where the raw row is (batch number << 32 | row number)."""

REASONS = (
    "malformed_row",
    "invalid_text",
    "missing_key",
    "invalid_date",
    "date_out_of_range",
    "invalid_quantity",
    "non_positive_quantity",
    "invalid_unit_price",
    "non_positive_price",
    "invalid_discount",
    "negative_net_amount",
    "conflicting_duplicate",
    "unknown_customer",
    "unknown_product",
    "unknown_sales_rep",
)
"""The reject reasons, in the order in which they are looked for: a row has the first one."""

_SHARE = pa.decimal128(18, 16)  # so that a product with money fits 38 digits
_LIMIT = Decimal(10) ** (MONEY_PRECISION - MONEY_SCALE - 1)  # 10^14, on every amount
_ZERO = pa.scalar(Decimal(0), MONEY)
_FREE_MAIL = {
    "gmail.com", "googlemail.com", "yahoo.com", "yahoo.co.uk", "yahoo.fr", "yahoo.de",
    "yahoo.com.br", "ymail.com", "hotmail.com", "hotmail.co.uk", "hotmail.fr", "outlook.com",
    "live.com", "msn.com", "aol.com", "icloud.com", "me.com", "mac.com", "gmx.com", "gmx.de",
    "gmx.net", "web.de", "mail.com", "mail.ru", "yandex.ru", "yandex.com", "proton.me",
    "protonmail.com", "zoho.com", "qq.com", "163.com", "126.com", "orange.fr", "free.fr",
    "laposte.net", "libero.it", "t-online.de", "comcast.net", "verizon.net", "att.net",
    "uol.com.br", "surfeu.de", "shaw.ca", "rediff.com", "naver.com",
}  # fmt: skip


@dataclass
class Prepared:
    """What became of one batch of a source.

    `rows` have the columns of the star (without surrogate keys) and `_place`; `rejects` the
    columns `_place`, `_reason` and `_detail`. `issues` counts attribute values that were not
    usable. `money` sums net amounts (Decimal) of all readable rows and of the rejected ones.
    """

    rows: pa.Table
    rejects: pa.Table
    issues: dict[str, int] = field(default_factory=dict)
    money: dict[str, Decimal] = field(default_factory=dict)


class StarSchemaTransformer:
    """Turns source rows into rows of the star. Stateless: the same input gives the same rows."""

    def __init__(self, config: StarSchemaConfig) -> None:
        self.config = config
        self.batch_preparers: dict[str, Callable[[pa.Table], Prepared]] = {
            "customers": self._customers,
            "products": self._products,
            "sales_reps": self._sales_reps,
            "transactions": self._sales,
        }

    # --- for people: a frame in, a new frame out -------------------------------------------

    def prepare_customer_dimension(self, customers: Rows) -> pd.DataFrame:
        """Clean customers, one row per customer_id: `dim_customer` without its surrogate key.

        `customers` has the canonical columns of that source (DESIGN section 4), of any dtype;
        `customer_id` is required (KeyError). Rejected rows are left out; `prepare` tells them.
        """
        return _to_frame(self.prepare("customers", customers).rows)

    def prepare_product_dimension(self, products: Rows) -> pd.DataFrame:
        """Clean products, one row per product_id: `dim_product` without its surrogate key."""
        return _to_frame(self.prepare("products", products).rows)

    def prepare_sales_rep_dimension(self, transactions: Rows) -> pd.DataFrame:
        """One row per sales_rep_id found in transactions, or in a source of sales reps.

        Of reps found in transactions the frame's `attrs` say that they are `ONLY_NAMED`, so that
        `DimensionLoader` adds those that are missing and changes none.
        """
        table = as_table(transactions)
        if "transaction_id" not in table.column_names:
            return _to_frame(self.prepare("sales_reps", table).rows)
        named = "sales_rep_id" in table.column_names  # a blank rep is no member, and no fault
        ids = table["sales_rep_id"] if named else pa.array([], pa.string())
        frame = _to_frame(self.prepare("sales_reps", distinct(ids, "sales_rep_id")).rows)
        frame.attrs[ONLY_NAMED] = True
        return frame

    def prepare_date_dimension_keys(self, transactions: Rows) -> pd.DataFrame:
        """`dim_date` for whole years, from the first to the last acceptable transaction date."""
        table = _checked(as_table(transactions), ("transaction_date",))
        dates = _dates(table["transaction_date"], self.config.transactions, self.config)
        low, high = date_range(self.config)
        good = dates.filter(pc.and_(pc.greater_equal(dates, low), pc.less_equal(dates, high)))
        bounds = pc.min_max(good)
        first, last = bounds["min"].as_py(), bounds["max"].as_py()
        return _to_frame(calendar(first.year, last.year) if first else calendar(1, 0))

    def prepare_sales_facts(self, transactions: Rows) -> pd.DataFrame:
        """Clean sales, one row per transaction_id, still with business keys.

        Columns: transaction_id, customer_id, product_id, sales_rep_id, date_key (int),
        quantity, unit_price, discount_amount, gross_amount, net_amount (Decimal, 4 places).
        """
        return _to_frame(self.prepare("transactions", transactions).rows)

    def prepare(self, source: str, rows: Rows) -> Prepared:
        """The whole result for one source's rows: accepted, rejected and counted.

        Raises `KeyError` naming the required columns that the rows do not have.
        """
        is_comma = self.config.source(source).decimal_separator == ","
        table = as_table(rows, NUMBERS.get(source, ()) if is_comma else ())
        prepared = self.prepare_batch(source, 0, _checked(table, REQUIRED[source]))
        key = business_key(TABLE_OF[source]).name
        rows = prepared.rows
        with judging() as connection:
            hashes = key_hashes(rows[key])
            found = find_losers([lambda: rows], [lambda: hashes], key, connection)
        losers = found.get(0)
        if losers is None:
            return prepared
        lost = np.isin(prepared.rows[PLACE].to_numpy(), losers.rows)
        conflicts = losers.rows[~losers.identical]
        prepared.rejects = pa.concat_tables(
            [prepared.rejects, reject_table(conflicts, "conflicting_duplicate", key)]
        )
        prepared.rows = prepared.rows.filter(pa.array(~lost))
        return prepared

    # --- for the pipeline: one batch at a time ---------------------------------------------

    def prepare_batch(self, source: str, number: int, batch: pa.Table) -> Prepared:
        """Clean batch `number` of a source (canonical text columns). Duplicates stay in."""
        prepared = self.batch_preparers[source](batch.combine_chunks())
        base = number << BATCH_BITS
        if base:
            for name in ("rows", "rejects"):
                table = getattr(prepared, name)
                place = table.column_names.index(PLACE)
                shifted = pc.add(table[PLACE], base)
                setattr(prepared, name, table.set_column(place, PLACE, shifted))
        return prepared

    def key_of(self, source: str) -> str:
        """The business-key column of a source."""
        return business_key(TABLE_OF[source]).name

    def members_without_source(
        self, source: str, ids: pa.Array, members: Sequence[pa.Table]
    ) -> pa.Table:
        """Members for those of `ids` that no row of `members` describes, named by their id.

        They are inferred, unless the source does not exist: then the ids are all there is to
        know, and the members are as real as the sales that name them, but `ONLY_NAMED`.
        """
        key = self.key_of(source)
        known = pa.chunked_array([c for table in members for c in table[key].chunks], pa.string())
        unknown = pc.and_(pc.invert(pc.is_in(ids, known)), pc.not_equal(ids, ""))
        rows = self.prepare_batch(source, 0, pa.table({key: ids.filter(unknown)})).rows
        if self.config.source(source).path is None:
            return rows.replace_schema_metadata({ONLY_NAMED: "true"})
        flag = pa.array(np.ones(len(rows), bool))
        return rows.set_column(rows.column_names.index("is_inferred"), "is_inferred", flag)

    def _customers(self, batch: pa.Table) -> Prepared:
        read = _Reader(batch, self.config.customers)
        verdict = _Verdict(len(batch))
        key = read.key("customer_id")
        verdict.reject("invalid_text", read.has_nul())
        verdict.reject("missing_key", _blank(key), key)
        issues: dict[str, int] = {}
        first, last = read.map("first_name", person_name), read.map("last_name", person_name)
        company = read.attribute("company")
        email = _emails(read, issues)
        phone = self._phones(read, issues)
        address = _split_addresses(read)
        full_name = pc.coalesce(_full_name(first, last), company, _labelled("Customer", key))
        segment = pc.coalesce(read.map("segment", title_case), per_distinct(email, email_segment))
        columns = {
            "customer_id": key,
            "first_name": first,
            "last_name": last,
            "full_name": full_name,
            "company": company,
            "email": email,
            "phone": phone,
            **address,
            "country": read.attribute("country"),
            "segment": pc.coalesce(segment, "Unknown"),
        }
        return _prepared(dim_customer, columns, verdict, issues)

    def _products(self, batch: pa.Table) -> Prepared:
        read = _Reader(batch, self.config.products)
        verdict = _Verdict(len(batch))
        key = read.key("product_id")
        verdict.reject("invalid_text", read.has_nul())
        verdict.reject("missing_key", _blank(key), key)
        issues: dict[str, int] = {}
        price, given_cost = read.price("price", issues), read.price("cost", issues)
        ratio = pa.scalar(self.config.default_cost_ratio)
        estimate = money(pc.multiply(price.cast(pa.decimal128(18, MONEY_SCALE)), ratio))
        estimated = pc.and_(pc.is_null(given_cost), pc.is_valid(estimate))
        cost = pc.coalesce(given_cost, estimate)
        columns = {
            "product_id": key,
            "product_name": pc.coalesce(read.attribute("name"), _labelled("Product", key)),
            "category": pc.coalesce(read.attribute("category"), "Unknown"),
            "brand": pc.coalesce(read.attribute("brand"), "Unknown"),
            "price": price,
            "cost": cost,
            "is_cost_estimated": estimated,
            "price_tier": self._price_tier(price),
            "profit_margin_pct": _margin(price, cost),
            "specifications": read.map("specifications", canonical_json),
        }
        return _prepared(dim_product, columns, verdict, issues)

    def _sales_reps(self, batch: pa.Table) -> Prepared:
        read = _Reader(batch, self.config.sales_reps)
        verdict = _Verdict(len(batch))
        key = read.key("sales_rep_id")
        verdict.reject("invalid_text", read.has_nul())
        verdict.reject("missing_key", _blank(key), key)
        issues: dict[str, int] = {}
        first, last = read.map("first_name", person_name), read.map("last_name", person_name)
        given = _full_name(first, last)
        nameless = pc.is_null(given)
        first = pc.if_else(nameless, per_distinct(key, partial(name_from_id, part=0)), first)
        last = pc.if_else(nameless, per_distinct(key, partial(name_from_id, part=1)), last)
        hired = read.attribute("hire_date")
        hire_date = _dates(hired, self.config.sales_reps, self.config)
        _count(issues, "hire_date", pc.and_(pc.is_valid(hired), pc.is_null(hire_date)))
        columns = {
            "sales_rep_id": key,
            "first_name": first,
            "last_name": last,
            "full_name": pc.coalesce(_full_name(first, last), key),
            "email": _emails(read, issues),
            "region": pc.coalesce(read.attribute("region"), "Unassigned"),
            "hire_date": hire_date,
        }
        return _prepared(dim_sales_rep, columns, verdict, issues)

    def _sales(self, batch: pa.Table) -> Prepared:
        read = _Reader(batch, self.config.transactions)
        verdict = _Verdict(len(batch))
        key, product = read.key("transaction_id"), read.key("product_id")
        verdict.reject("invalid_text", read.has_nul())
        verdict.reject("missing_key", _blank(key), "transaction_id is blank")
        verdict.reject("missing_key", _blank(product), "product_id is blank")

        given_date = read.text("transaction_date")
        dates = _dates(given_date, self.config.transactions, self.config)
        low, high = date_range(self.config)
        outside = pc.or_(pc.less(dates, low), pc.greater(dates, high))
        verdict.reject("invalid_date", pc.is_null(dates), given_date)
        verdict.reject("date_out_of_range", outside, given_date)

        given_quantity, given_price = read.text("quantity"), read.text("unit_price")
        quantities, prices = read.number("quantity"), read.number("unit_price")
        quantity, price = decoded(quantities), decoded(prices)
        is_return = pc.less(quantity, _ZERO)
        verdict.reject("invalid_quantity", pc.is_null(quantity), given_quantity)
        unwanted = pc.equal(quantity, _ZERO)
        if not self.config.accept_returns:
            unwanted = pc.or_(unwanted, is_return)
        verdict.reject("non_positive_quantity", unwanted, given_quantity)
        gross = fitting(multiplied(quantity, price), _LIMIT)
        verdict.reject("invalid_unit_price", pc.is_null(price), given_price)
        too_low = pc.less if self.config.accept_free_items else pc.less_equal
        verdict.reject("non_positive_price", too_low(price, _ZERO), given_price)
        verdict.reject(
            "invalid_unit_price",
            pc.is_null(pc.if_else(verdict.untouched(), gross, _ZERO)),
            "quantity x unit_price is out of range",
        )

        discounts = self._discount(read, gross)
        discount = decoded(discounts)
        shown = read.attribute("discount_amount"), read.attribute("discount_rate")
        invalid = pc.or_kleene(pc.is_null(discount), pc.less(discount, _ZERO))
        if pc.any(is_return).as_py():
            # A return mirrors a sale: what was taken off it comes off the refund.
            mirrored = pc.less_equal(pc.abs(discount), pc.abs(gross))
            invalid = pc.if_else(is_return, pc.invert(mirrored), invalid)
        verdict.reject("invalid_discount", pc.fill_null(invalid, True), *shown)
        net = pc.subtract(gross, discount).cast(MONEY)
        negative = pc.and_(pc.less(net, _ZERO), pc.invert(is_return))
        verdict.reject("negative_net_amount", negative, *shown)

        columns = {
            "transaction_id": key,
            "customer_id": read.key("customer_id"),
            "product_id": product,
            "sales_rep_id": read.key("sales_rep_id"),
            "date_key": date_key(dates),
            "quantity": quantities,
            "unit_price": prices,
            "discount_amount": discounts,
            "gross_amount": gross,
            "net_amount": net,
        }
        good = verdict.good()
        rows = pa.table({**columns, PLACE: verdict.places()}).filter(good)
        return Prepared(
            rows,
            verdict.rejects(),
            money={"read": _sum(net), "rejected": _sum(net.filter(pc.invert(good)))},
        )

    def _discount(self, read: _Reader, gross: pa.Array) -> pa.Array:
        """The discount in money: the amount given, else rate x gross, else 0; null if unusable."""
        given, given_rate = read.attribute("discount_amount"), read.attribute("discount_rate")
        if given_rate.null_count == len(given_rate):  # as of most sources
            return read.number("discount_amount", blank=_ZERO)
        amount, rate = decoded(read.number("discount_amount")), decoded(read.share("discount_rate"))
        no_amount, no_rate = _null_or_blank(given), _null_or_blank(given_rate)
        from_rate = money(pc.multiply(gross, rate))
        return pc.if_else(no_amount, pc.if_else(no_rate, _ZERO, from_rate), amount)

    def _phones(self, read: _Reader, issues: dict[str, int]) -> pa.Array:
        """Phones by number and country: plain ones in bulk, other distinct pairs once each."""
        phones, countries = decoded(read.attribute("phone")), read.attribute("country")
        home = self.config.phone_region
        regions = pc.coalesce(per_distinct(countries, country_region), home)
        result = pa.nulls(len(phones), pa.string())
        if home == "US":
            result = pc.if_else(pc.equal(regions, home), _north_american(phones), None)
        odd = np.flatnonzero(_as_numpy(pc.and_(pc.is_valid(phones), pc.is_null(result))))
        pairs = zip(*(a.take(pa.array(odd)).to_pylist() for a in (phones, regions)), strict=True)
        format_once = cache(partial(phone_number, home=home))
        formatted = pa.array([format_once(*pair) for pair in pairs], pa.string())
        mask = np.zeros(len(phones), bool)
        mask[odd] = True
        result = pc.replace_with_mask(result, pa.array(mask), formatted)
        _count(issues, "phone", pc.and_(pc.is_valid(phones), pc.is_null(result)))
        return pc.coalesce(result, phones)

    def _price_tier(self, price: pa.Array) -> pa.Array:
        high = pa.scalar(self.config.price_tier_high)
        medium = pa.scalar(self.config.price_tier_medium)
        tier = pc.if_else(
            pc.greater_equal(price, high),
            "High",
            pc.if_else(pc.greater_equal(price, medium), "Medium", "Low"),
        )
        return pc.coalesce(tier, "Unknown")


TABLE_OF: Mapping[str, Table] = {
    "customers": dim_customer,
    "products": dim_product,
    "sales_reps": dim_sales_rep,
    "transactions": fact_sales,
}
"""The table that each source feeds."""

REQUIRED: Mapping[str, Sequence[str]] = {
    "customers": ("customer_id",),
    "products": ("product_id",),
    "sales_reps": ("sales_rep_id",),
    "transactions": (
        "transaction_id", "transaction_date", "customer_id", "product_id", "quantity",
        "unit_price",
    ),
}  # fmt: skip
"""The columns without which nothing can be said of a source's rows."""


# --- frames in and out ---------------------------------------------------------------------


def as_table(rows: Rows, commas: Sequence[str] = ()) -> pa.Table:
    """Any rows as a table of text columns; the caller's object is not changed.

    Whole floats lose their `.0` (an integer column with gaps arrives as float in pandas).
    Numbers in the columns `commas` get a decimal comma, as the text there has.
    """
    if isinstance(rows, pa.Table):
        return rows
    if isinstance(rows, list):
        names = list(dict.fromkeys(name for row in rows for name in row))
        columns: dict[str, Iterable[Any]] = {n: [row.get(n) for row in rows] for n in names}
    else:
        columns = {str(name): rows[name] for name in rows.columns}
    return pa.table(
        {
            n: pa.array([_cell(value, comma=n in commas) for value in v], pa.string())
            for n, v in columns.items()
        }
    )


def _checked(table: pa.Table, required: Sequence[str]) -> pa.Table:
    """`table` with the columns that rows must have; a table without rows is given them."""
    missing = [name for name in required if name not in table.column_names]
    if missing and len(table):
        raise KeyError(
            f"these required columns are missing: {', '.join(missing)} "
            f"(there are: {', '.join(table.column_names)})"
        )
    for name in missing:
        table = table.append_column(name, pa.array([], pa.string()))
    return table


def _cell(value: Any, *, comma: bool) -> str | None:
    """A value of a frame as text; every kind of missing value is None."""
    if type(value).__name__ in ("NaTType", "NAType") or (
        isinstance(value, float) and math.isnan(value)
    ):
        return None
    plain = value.item() if isinstance(value, np.generic) else value
    return comma_text(plain) if comma else as_text(plain)


def _to_frame(rows: pa.Table) -> pd.DataFrame:
    """A frame of plain values: str, int, bool, `Decimal` and `date`; None where unknown."""
    kept = rows.drop_columns([PLACE]) if PLACE in rows.column_names else rows
    frame: pd.DataFrame = pa.table({n: decoded(kept[n]) for n in kept.column_names}).to_pandas()
    return frame


def distinct(column: pa.Array | pa.ChunkedArray, name: str) -> pa.Table:
    """The distinct non-blank values of a text column, as a table with the one column `name`."""
    values = normal_keys(pc.unique(column.cast(pa.string())))
    values = pc.unique(values)
    keep = pc.fill_null(pc.not_equal(values, ""), False)
    return pa.table({name: values.filter(keep)})


# --- verdicts ------------------------------------------------------------------------------


class _Verdict:
    """The first reason that applies to each row of a batch."""

    def __init__(self, size: int) -> None:
        self._code = np.zeros(size, np.int8)
        self._parts: list[pa.Table] = []

    def reject(self, reason: str, mask: Any, *shown: pa.Array | str) -> None:
        """Give `reason` to rows of `mask` (null is no) that have none yet.

        The detail is the first of `shown`, arrays or texts, that is not null.
        """
        new = _as_numpy(mask) & (self._code == 0)
        rows = np.flatnonzero(new)
        if not len(rows):
            return
        self._code[new] = 1
        at = pa.array(rows)
        texts = (s if isinstance(s, str) else s.take(at).cast(pa.string()) for s in shown)
        detail = pc.if_else(pc.is_valid(at), pc.coalesce(*texts, ""), "")  # a column, of whatever
        self._parts.append(reject_table(rows, reason, detail))

    def untouched(self) -> pa.Array:
        return pa.array(self._code == 0)

    good = untouched

    def places(self) -> pa.Array:
        return pa.array(np.arange(len(self._code), dtype=np.int64))

    def rejects(self) -> pa.Table:
        return pa.concat_tables([REJECT_SCHEMA.empty_table(), *self._parts])


REJECT_SCHEMA = pa.schema([(PLACE, pa.int64()), ("_reason", pa.string()), ("_detail", pa.string())])


def reject_table(rows: Sequence[int] | Mask | Any, reason: str, detail: Any) -> pa.Table:
    """Rejects at `rows` (int64 places) with one reason; `detail` is one text or one per row."""
    count = len(rows)
    details = pa.array([detail] * count, pa.string()) if isinstance(detail, str) else detail
    if isinstance(details, pa.ChunkedArray):
        details = details.combine_chunks()
    reasons = pa.array([reason] * count, pa.string())
    return pa.table([pa.array(rows, pa.int64()), reasons, details], schema=REJECT_SCHEMA)


def _prepared(
    table: Table, columns: dict[str, Any], verdict: _Verdict, issues: dict[str, int]
) -> Prepared:
    """Dimension rows in the order and types of `table`."""
    good = verdict.good()
    columns["is_inferred"] = pa.array(np.zeros(len(good), bool))
    wanted = columns_of(table, Role.BUSINESS_KEY, Role.ATTRIBUTE)
    arrays = [decoded(columns[c.name]).cast(arrow_type(c)) for c in wanted]
    rows = pa.table(arrays, schema=arrow_schema(wanted)).append_column(PLACE, verdict.places())
    return Prepared(rows.filter(good), verdict.rejects(), issues)


def _as_numpy(mask: Any) -> Mask:
    if isinstance(mask, np.ndarray):
        return mask
    filled = pc.fill_null(mask, False)
    array: Mask = filled.to_numpy(zero_copy_only=False)
    return array


def _count(issues: dict[str, int], name: str, mask: Any) -> None:
    count = int(_as_numpy(mask).sum())
    if count:
        issues[name] = issues.get(name, 0) + count


def _sum(amounts: pa.Array) -> Decimal:
    total = pc.sum(amounts).as_py()  # with 38 digits
    return Decimal(0) if total is None else total


# --- reading text --------------------------------------------------------------------------


class _Reader:
    """A batch's columns as normalised text; an absent column reads as all null."""

    def __init__(self, batch: pa.Table, settings: SourceSettings) -> None:
        self._batch = batch
        self._settings = settings
        self._cache: dict[str, pa.Array] = {}

    def text(self, name: str) -> pa.Array:
        """Trimmed (all Unicode space) and NFC-normalised; null when the column is absent."""
        if name not in self._cache:
            if name in self._batch.column_names:
                self._cache[name] = _normal(whole(self._batch[name]))
            else:
                self._cache[name] = pa.nulls(len(self._batch), pa.string())
        return self._cache[name]

    def key(self, name: str) -> pa.Array:
        """A business key: blank ('') when missing; null tokens do not apply to keys."""

        def rule(values: pa.Array) -> pa.Array:
            return pc.coalesce(values, "") if values.null_count else values

        return on_values(self._keys(name), rule)

    def _keys(self, name: str) -> pa.Array:
        if name in self._batch.column_names:
            return normal_keys(whole(self._batch[name]))
        return pa.nulls(len(self._batch), pa.string())

    def attribute(self, name: str) -> pa.Array:
        """Text, or null where it is blank or one of the source's null tokens."""
        tokens = pa.array(["", *self._settings.null_tokens])

        def rule(values: pa.Array) -> pa.Array:
            return pc.if_else(pc.is_in(values, tokens), pa.scalar(None, pa.string()), values)

        return on_values(self.text(name), rule)

    def map(
        self,
        name: str,
        rule: Callable[[str], str | None],
        issues: dict[str, int] | None = None,
    ) -> pa.Array:
        """An attribute through `rule`, once per distinct value; counts values that become null."""
        given = self.attribute(name)
        result = per_distinct(given, rule)
        if issues is not None:
            _count(issues, name, pc.and_(pc.is_valid(given), pc.is_null(result)))
        return result

    def number(self, name: str, blank: pa.Scalar | None = None) -> pa.Array:
        """Exact decimals, four places, half away from zero; null where it is no number.

        What has no value is `blank`. Encoded where the source's column is.
        """
        separator = self._settings.decimal_separator
        if blank is None:
            return on_values(self.text(name), lambda values: numbers(values, separator))

        def rule(values: pa.Array) -> pa.Array:
            return pc.if_else(pc.is_null(values), blank, numbers(values, separator))

        return on_values(self.attribute(name), rule)

    def share(self, name: str) -> pa.Array:
        """Exact shares from 0 to 1, sixteen places; null where it is none."""
        separator = self._settings.decimal_separator

        def rule(values: pa.Array) -> pa.Array:
            encoded = values.dictionary_encode()
            shares = [parse_share(text, separator) for text in encoded.dictionary.to_pylist()]
            return pa.array(shares, _SHARE).take(encoded.indices)

        return on_values(self.text(name), rule)

    def price(self, name: str, issues: dict[str, int]) -> pa.Array:
        """A non-negative amount; anything else is null and counted."""
        given, value = self.attribute(name), decoded(self.number(name))
        value = pc.if_else(pc.less(value, _ZERO), pa.scalar(None, MONEY), value)
        _count(issues, name, pc.and_(pc.is_valid(given), pc.is_null(value)))
        return value

    def has_nul(self) -> Mask:
        """Rows with a NUL character, which no database stores, in a canonical column."""
        found = np.zeros(len(self._batch), bool)
        for name in self._batch.column_names:
            column = self.text(name)
            values = column.dictionary if pa.types.is_dictionary(column.type) else column
            text = values.buffers()[2]
            if text is not None and np.frombuffer(text, np.uint8).min(initial=1) == 0:
                found |= _as_numpy(on_values(column, lambda v: pc.match_substring(v, "\0")))
        return found


def _normal(column: pa.Array) -> pa.Array:
    def rule(values: pa.Array) -> pa.Array:
        trimmed = pc.utf8_trim_whitespace(values)
        ascii_only = pc.all(pc.string_is_ascii(trimmed)).as_py()
        return trimmed if ascii_only else pc.utf8_normalize(trimmed, form="NFC")

    return on_values(column, rule)


def _blank(key: pa.Array) -> pa.Array:
    return on_values(key, lambda values: pc.equal(values, ""))


def _null_or_blank(column: pa.Array) -> pa.Array:
    return pc.is_null(column.cast(pa.string()))


# --- numbers and dates ---------------------------------------------------------------------

_PLAIN = {
    separator: rf"^[+-]?[0-9]{{1,14}}(\{separator}[0-9]{{1,4}})?$" for separator in (".", ",")
}


def numbers(values: pa.Array, separator: str = ".") -> pa.Array:
    """Text to NUMERIC(19,4). Null where it is not a number, or beyond 10^14.

    The plain ones are cast in bulk; the others, few in practice, go through `parse_number`.
    """
    plain = pc.fill_null(pc.match_substring_regex(values, _PLAIN[separator]), False)
    bulk = pc.if_else(plain, values, pa.scalar(None, pa.string()))
    if separator == ",":
        bulk = pc.replace_substring(bulk, ",", ".")
    result = pc.cast(bulk, MONEY)
    others = np.flatnonzero(~_as_numpy(plain))
    if not len(others):
        return result
    texts = values.take(pa.array(others)).to_pylist()
    parsed = [None if text is None else parse_number(text, separator) for text in texts]
    mask = pa.array(~_as_numpy(plain))
    return pc.replace_with_mask(result, mask, pa.array(parsed, MONEY))


@cache
def _number_pattern(separator: str) -> re.Pattern[str]:
    group = re.escape("," if separator == "." else ".")
    point = re.escape(separator)
    return re.compile(
        rf"(?P<sign>[+-]?)(?P<whole>[0-9]+|[0-9]{{1,3}}(?:{group}[0-9]{{3}})+|(?={point}[0-9]))"
        rf"(?:{point}(?P<fraction>[0-9]*))?"
    )


@lru_cache(1 << 16)  # each batch has much the same of them
def parse_number(text: str, separator: str = ".") -> Decimal | None:
    """One number by the rule of DESIGN section 4, rounded half away from zero to four places.

    None where it is no number, or beyond 10^14.
    """
    value = exact_number(text, separator)
    if value is None or abs(value) >= _LIMIT:
        return None
    return value.quantize(Decimal(1).scaleb(-MONEY_SCALE), ROUND_HALF_UP)


def exact_number(text: str, separator: str = ".") -> Decimal | None:
    """Optional sign, digits, decimal separator, thousands groups of three with the other
    separator, and a currency symbol before or after; or None.
    """
    if len(text) > 100:
        return None
    bare = "".join(char for char in text if unicodedata.category(char) != "Sc")
    if len(text) - len(bare) > 1:
        return None
    if len(bare) < len(text) and not _symbol_outside(text):
        return None
    sign = bare.strip()[:1] if bare.strip()[:1] in ("+", "-") else ""
    match = _number_pattern(separator).fullmatch(sign + bare.strip()[len(sign) :].strip())
    if match is None:
        return None
    group = "," if separator == "." else "."
    whole = match["whole"].replace(group, "") or "0"
    return Decimal(f"{match['sign']}{whole}.{match['fraction'] or '0'}")


def parse_share(text: str | None, separator: str = ".") -> Decimal | None:
    """A number from 0 to 1, or one with a percent sign behind it from 0 to 100; else None.

    Its product with an amount is rounded, not the share.
    """
    bare = (text or "").removesuffix("%")
    value = exact_number(bare, separator)
    if value is not None and bare != text:
        value = value.scaleb(-2)
    if value is None or not 0 <= value <= 1:
        return None
    return value.quantize(Decimal(1).scaleb(-16), ROUND_HALF_UP)


def _symbol_outside(text: str) -> bool:
    """Whether the currency symbol stands before or after the digits, not among them."""
    inner = text.strip().lstrip("+-").strip()
    return unicodedata.category(inner[:1] or " ") == "Sc" or (
        unicodedata.category(inner[-1:] or " ") == "Sc"
    )


def money(amounts: pa.Array) -> pa.Array:
    """Rounded half away from zero to four places; null where it is 10^14 or more."""
    return fitting(rounded(amounts), _LIMIT)


_ISO_BASIC = re.compile(r"[0-9]{8}")
_ISO_NAIVE = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:[T ](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:[.,][0-9]{1,9})?)?)?$"
)
_ISO_TIMESTAMP = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8})[T ]"
    r"(?:[01][0-9]|2[0-3])(?::?[0-5][0-9](?::?[0-5][0-9](?:[.,][0-9]+)?)?)?"
    r"(?P<offset>Z| ?[+-](?:[01][0-9]|2[0-3])(?::?[0-5][0-9])?)?"
)


def _dates(column: Any, settings: SourceSettings, config: StarSchemaConfig) -> pa.Array:
    """Text to date32 by the source's formats; null where none fits.

    Timestamps without an offset are cut to their date in bulk; then each distinct text is
    parsed once.
    """
    zone = ZoneInfo(config.business_timezone)
    formats = tuple(settings.date_formats)

    def rule(values: pa.Array) -> pa.Array:
        if formats == (ISO_8601,):
            naive = pc.fill_null(pc.match_substring_regex(values, _ISO_NAIVE), False)
            values = pc.if_else(naive, pc.utf8_slice_codeunits(values, 0, 10), values)
        encoded = values.dictionary_encode()
        parsed = [
            None if text is None else _parse_date_once(text, formats, zone)
            for text in encoded.dictionary.to_pylist()
        ]
        return pa.array(parsed, pa.date32()).take(encoded.indices)

    return on_values(_normal(whole(column)), rule)


def parse_date(text: str, formats: Sequence[str], zone: ZoneInfo) -> date | None:
    """The calendar date in `zone`, by the first of `formats` that fits, or None."""
    for pattern in formats:
        try:
            if pattern == ISO_8601:
                found = _iso_date(text, zone)
            else:
                moment = datetime.strptime(text, pattern) if text.isascii() else None
                found = _local_date(moment, zone)
        except (ValueError, OverflowError):
            continue
        if found is not None:
            return found
    # A typed source (Parquet, Excel, database) writes its dates so, whatever the files declare.
    return _typed_date(text, zone) if ISO_8601 not in formats else None


_parse_date_once = lru_cache(1 << 16)(parse_date)


def _typed_date(text: str, zone: ZoneInfo) -> date | None:
    try:
        return _iso_date(text, zone) if text[4:5] == "-" else None
    except ValueError:
        return None


def _iso_date(text: str, zone: ZoneInfo) -> date | None:
    if len(text) == 10 and text.isascii() and text[4] == "-" and text[7] == "-":
        digits = text[:4] + text[5:7] + text[8:]
        return date(int(text[:4]), int(text[5:7]), int(text[8:])) if digits.isdigit() else None
    if _ISO_BASIC.fullmatch(text):
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    match = _ISO_TIMESTAMP.fullmatch(text)
    if match is None:
        return None
    if match["offset"] is None:
        return date.fromisoformat(match["date"])
    normal = text.replace(",", ".").replace(" +", "+").replace(" -", "-")
    return _local_date(datetime.fromisoformat(normal), zone)


def _local_date(moment: datetime | None, zone: ZoneInfo) -> date | None:
    """A naive moment is taken as it is; one with an offset gets its date in `zone`."""
    if moment is None:
        return None
    return moment.date() if moment.tzinfo is None else moment.astimezone(zone).date()


def date_range(config: StarSchemaConfig) -> tuple[pa.Scalar, pa.Scalar]:
    """The first and the last acceptable date of a sale: 1900 to the end of next year."""
    today = datetime.now(ZoneInfo(config.business_timezone)).date()
    first, last = date(1900, 1, 1), date(today.year + 1, 12, 31)
    return pa.scalar(first, pa.date32()), pa.scalar(last, pa.date32())


def date_key(dates: pa.Array) -> pa.Array:
    """date32 to the integer YYYYMMDD, once for each distinct date."""

    def rule(days: pa.Array) -> pa.Array:
        year, month = pc.multiply(pc.year(days), 10_000), pc.multiply(pc.month(days), 100)
        return pc.add(pc.add(year, month), pc.day(days)).cast(pa.int32())

    return on_values(dates.dictionary_encode(), rule)


_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def calendar(first_year: int, last_year: int) -> pa.Table:
    """`dim_date` rows for whole years, both included; no rows when the last is before the first."""
    schema = arrow_schema(dim_date.columns)
    if last_year < first_year:
        return schema.empty_table()
    start = date(first_year, 1, 1)
    count = (date(last_year, 12, 31) - start).days + 1
    days = [start + timedelta(days=n) for n in range(count)]
    rows = [
        {
            "date_key": day.year * 10_000 + day.month * 100 + day.day,
            "full_date": day,
            "year": day.year,
            "quarter": (day.month + 2) // 3,
            "month": day.month,
            "month_name": _MONTHS[day.month - 1],
            "iso_week": day.isocalendar().week,
            "day_of_month": day.day,
            "day_of_week": day.isoweekday(),
            "day_name": _DAYS[day.weekday()],
            "is_weekend": day.isoweekday() > 5,
        }
        for day in days
    ]
    return pa.Table.from_pylist(rows, schema)


# --- attributes ----------------------------------------------------------------------------


def person_name(name: str) -> str:
    """Recased only when all-upper or all-lower: o'brien, MCDONALD, mary-jane."""
    if not (name.isupper() or name.islower()):
        return name
    name = re.sub(r"[^\W\d_]+", lambda word: word[0].capitalize(), name)
    name = re.sub(r"\b(O|D|L)'(\w)", lambda m: f"{m[1]}'{m[2].upper()}", name)
    name = re.sub(r"'([A-Z])\b", lambda m: f"'{m[1].lower()}", name)  # a possessive's s
    return re.sub(r"\bMc(\w)", lambda m: f"Mc{m[1].upper()}", name)


def title_case(text: str) -> str:
    """First letter of each word upper, the rest lower."""
    return re.sub(r"[^\W\d_]+", lambda word: word[0].capitalize(), text)


_PLAIN_EMAIL = (
    r"^[a-z0-9_%+-]+(?:\.[a-z0-9_%+-]+)*@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,24}$"
)


def _emails(read: _Reader, issues: dict[str, int]) -> pa.Array:
    """Addresses in lower case, null where the syntax is invalid, which is counted.

    The plain ones are told in bulk, the odd ones left to email-validator.
    """
    given = decoded(read.attribute("email"))
    lower = pc.utf8_lower(given)
    is_short = pc.and_(
        pc.less_equal(pc.find_substring(lower, "@"), 64),
        pc.less_equal(pc.binary_length(lower), 254),
    )
    is_plain = pc.fill_null(pc.and_(is_short, pc.match_substring_regex(lower, _PLAIN_EMAIL)), False)
    odd = per_distinct(pc.if_else(is_plain, None, given), email_address)
    result = pc.if_else(is_plain, lower, odd)
    _count(issues, "email", pc.and_(pc.is_valid(given), pc.is_null(result)))
    return result


def email_address(text: str) -> str | None:
    """Lower-case, or None where email-validator finds the syntax invalid."""
    if "@" not in text:  # the most common fault, told sooner than by the library
        return None
    import email_validator  # 0.05 s to load, and most addresses are plain

    try:
        checked = email_validator.validate_email(
            text.lower(), check_deliverability=False, strict=True
        )
        return checked.normalized
    except email_validator.EmailNotValidError:
        return None


def email_segment(email: str) -> str:
    """The segment of a customer whose own says nothing."""
    return "Consumer" if email.rpartition("@")[2] in _FREE_MAIL else "Business"


_COUNTRY_ALIASES = {
    "usa": "US", "united states": "US", "united states of america": "US", "canada": "CA",
    "uk": "GB", "united kingdom": "GB", "great britain": "GB", "england": "GB", "scotland": "GB",
    "wales": "GB",
}  # fmt: skip


@cache
def _regions() -> dict[str, str]:
    """Country name in any language -> region."""
    # 0.2 s to load, and needed only for the less common names.
    from phonenumbers.geodata.locale import LOCALE_DATA

    names: dict[str, str] = {}
    for region, by_language in LOCALE_DATA.items():
        for name in by_language.values():
            names.setdefault(name.casefold(), region)
    return names


@cache
def country_region(country: str) -> str | None:
    """The two-letter region of a country as people write it, or None."""
    import phonenumbers

    name = country.replace(".", "").strip().casefold()
    if name.upper() in phonenumbers.SUPPORTED_REGIONS:
        return name.upper()
    return _COUNTRY_ALIASES.get(name) or _regions().get(name)


_NORTH_AMERICAN = r"^(?:\+?1)?[2-9][0-9]{9}$"
_PUNCTUATION = "[ ().\u00a0-]"


def _north_american(phones: pa.Array) -> pa.Array:
    """(555) 123-4567, or null where the text is not just such a number with usual punctuation."""
    digits = pc.replace_substring_regex(phones, _PUNCTUATION, "")
    area, exchange, line = (
        pc.utf8_slice_codeunits(digits, start, stop)
        for start, stop in ((-10, -7), (-7, -4), (-4, None))
    )
    written = pc.binary_join_element_wise("(", area, ") ", exchange, "-", line, "")
    return pc.if_else(pc.match_substring_regex(digits, _NORTH_AMERICAN), written, None)


def phone_number(text: str, region: str, home: str) -> str | None:
    """National format in the region `home`, international elsewhere; None if not recognisable.

    A number is recognised when libphonenumber finds it valid, or when it has the shape of a
    North American one (555 numbers are shaped so, although no exchange assigns them).
    """
    import phonenumbers

    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    north_american = number.country_code == 1 and bool(
        re.fullmatch(_NORTH_AMERICAN, str(number.national_number))
    )
    if not (north_american or phonenumbers.is_valid_number(number)):
        return None
    at_home = number.country_code == phonenumbers.country_code_for_region(home)
    style = phonenumbers.PhoneNumberFormat
    return phonenumbers.format_number(number, style.NATIONAL if at_home else style.INTERNATIONAL)


_ONE_LINE_ADDRESS = re.compile(
    r"(?P<street>.+),\s*(?P<city>[^,]+),\s*(?P<state>[A-Za-z]{2})\.?\s+"
    r"(?P<zip>[0-9]{5}(?:-[0-9]{4})?)"
)


def _split_addresses(read: _Reader) -> dict[str, pa.Array]:
    """address, city, state, postal_code; the last three taken from `street, city, ST zip`."""
    names = ("address", "city", "state", "postal_code")
    columns = {name: decoded(read.attribute(name)) for name in names}
    alone = pc.and_(
        pc.and_(pc.is_null(columns["city"]), pc.is_null(columns["state"])),
        pc.and_(pc.is_null(columns["postal_code"]), pc.is_valid(columns["address"])),
    )
    where = np.flatnonzero(_as_numpy(alone))
    if not len(where):
        return columns
    texts = columns["address"].take(pa.array(where)).to_pylist()
    matches = [_ONE_LINE_ADDRESS.fullmatch(text) for text in texts]
    mask = np.zeros(len(read.text("address")), bool)
    mask[[row for row, match in zip(where, matches, strict=True) if match]] = True
    found = [match for match in matches if match]
    for name, group in zip(names, ("street", "city", "state", "zip"), strict=True):
        parts = pa.array([match[group].strip() for match in found], pa.string())
        columns[name] = pc.replace_with_mask(columns[name], pa.array(mask), parts)
    state = columns["state"]
    columns["state"] = pc.if_else(pa.array(mask), pc.utf8_upper(state), state)
    return columns


def name_from_id(rep_id: str, part: int) -> str | None:
    """`john_smith` -> John (part 0) and Smith (part 1); None where the id is no name."""
    words = [word for word in re.split(r"[_.\s]+", rep_id) if word]
    if len(words) < 2 or any(re.search(r"\d", word) for word in words):
        return None
    return person_name(words[0].lower() if part == 0 else " ".join(words[1:]).lower())


def _full_name(first: pa.Array, last: pa.Array) -> pa.Array:
    # null_handling="skip" returns arrays of a wrong length in pyarrow 26.
    joined = pc.binary_join_element_wise(pc.coalesce(first, ""), pc.coalesce(last, ""), " ")
    joined = pc.utf8_trim_whitespace(joined)
    return pc.if_else(pc.equal(joined, ""), pa.scalar(None, pa.string()), joined)


def _labelled(label: str, key: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(label, decoded(key), " ")


def canonical_json(text: str) -> str:
    """JSON with sorted keys; text that is no JSON becomes a JSON string."""
    try:
        return to_json(json.loads(text, parse_float=Decimal, parse_constant=str))
    except (ValueError, RecursionError):
        return json.dumps(text, ensure_ascii=False)


def _margin(price: pa.Array, cost: pa.Array) -> pa.Array:
    """(price - cost) / price x 100, two decimals, half away from zero.

    Null without a price, or where a cost dwarfs it so far that no column holds the margin.
    """

    def margin(p: Decimal, c: Decimal) -> Decimal | None:
        percent = ((p - c) / p * 100).quantize(Decimal("0.01"), ROUND_HALF_UP)
        return percent if abs(percent) < 10**17 else None

    values = [
        margin(p, c) if p and c is not None else None
        for p, c in zip(price.to_pylist(), cost.to_pylist(), strict=True)
    ]
    return pa.array(values, pa.decimal128(19, 2))
