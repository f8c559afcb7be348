"""Transformation: from the text of a source to the rows of the star, one public method per table.

No function here opens a file or a connection, or changes its input. The rules for single values are
in `cleaning/`; `cleaning.columns` decides which cells are missing and which are unreadable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cleaning.columns import Reader, Rule, each
from cleaning.currencies import counted, sale_currencies
from cleaning.date_settings import date_rule
from cleaning.dates import calendar, date_key, date_range, with_hints
from cleaning.duplicates import superseded
from cleaning.frames import as_table, checked, to_frame
from cleaning.numbers import numbers
from cleaning.people import (
    ADDRESS,
    email_segment,
    emails,
    name_from_id,
    person_name,
    phones,
    split_addresses,
    title_case,
)
from cleaning.plain import plain_columns
from cleaning.products import canonical_json, estimated_cost, margin_pct, price_tier, prices
from cleaning.removals import (
    leave_out_skipped,
    note_keys,
    take_out_deleted,
    with_removals,
    without_removals,
)
from cleaning.sales import discounts, line_amounts
from cleaning.verdicts import reject_table
from common.amounts import MONEY
from common.arrays import decoded, on_values, per_distinct, whole
from common.arrow_types import arrow_schema, arrow_type
from common.key_folding import folded_keys
from common.results import BATCH_BITS, ORPHANED, PLACE, REASON, Clean, CleanBatch
from common.star_model import INFERRED_FLAG, ONLY_NAMED, Role, Source, columns_of
from common.sums import Sums, plus, summed, summed_by
from config import StarSchemaConfig

if TYPE_CHECKING:
    import pandas as pd

    from cleaning.frames import Rows

_ZERO = pa.scalar(Decimal(0), MONEY)

Columns = dict[str, pa.Array]
Rules = Callable[[Reader, Columns], Columns]
"""Makes columns of the star from a batch; the second argument has the keys of its rows, by name."""


def batch_rules(config: StarSchemaConfig) -> Clean:
    """The rules for a batch of any source under these settings."""
    return StarSchemaTransformer(config).prepare_batch


class StarSchemaTransformer:
    """Turns source rows into rows of the star. Stateless: the same input gives the same rows."""

    def __init__(self, config: StarSchemaConfig) -> None:
        self.config = config
        self.star = config.star
        self._zone = ZoneInfo(config.business_timezone)
        self.rules: dict[str, Rules] = {
            "customers": self._customers,
            "products": self._products,
            "sales_reps": self._sales_reps,
            "transactions": self._sales,
        }
        """By source: makes the columns of the star that need more than the column's own type."""

    def __repr__(self) -> str:
        tables = (*self.star.dimensions, self.star.fact)
        return f"<{type(self).__name__} of {', '.join(table.name for table in tables)}>"

    # --- for people: a frame in, a new frame out -------------------------------------------

    def prepare_customer_dimension(self, customers: Rows) -> pd.DataFrame:
        """Clean customers, one row per customer_id: `dim_customer` without its surrogate key.

        `customers` has the columns of that source (docs/sources.md), of any dtype. Without
        `customer_id` it raises KeyError. Rejected rows are left out; `prepare` returns them.
        """
        return to_frame(self.prepare("customers", customers).rows)

    def prepare_product_dimension(self, products: Rows) -> pd.DataFrame:
        """Clean products, one row per product_id: `dim_product` without its surrogate key."""
        return to_frame(self.prepare("products", products).rows)

    def prepare_sales_rep_dimension(self, transactions: Rows) -> pd.DataFrame:
        """Clean reps, one row per sales_rep_id: `dim_sales_rep` without its surrogate key.

        `transactions` are sales, or the rows of a source of reps. Reps of sales get `ONLY_NAMED` in
        the frame's `attrs`, by which `DimensionLoader` inserts those that are missing and updates
        none.
        """
        table = as_table(transactions, self.star.sales.keys)
        if "transaction_id" not in table.column_names:
            return to_frame(self.prepare("sales_reps", table).rows)
        read = Reader(table.combine_chunks(), self.config.source("transactions"), ())
        reps = pc.unique(decoded(read.reference("sales_rep_id")))  # a blank rep is no member
        named = pa.table({"sales_rep_id": reps.filter(pc.not_equal(reps, ""))})
        frame = to_frame(self.prepare("sales_reps", named).rows)
        frame.attrs[ONLY_NAMED] = True
        return frame

    def prepare_date_dimension_keys(self, transactions: Rows) -> pd.DataFrame:
        """Rows of `dim_date` for whole years, from the first to the last accepted transaction_date.

        Without that column it raises KeyError.
        """
        table = checked(as_table(transactions, self.star.sales.keys), ("transaction_date",))
        read = Reader(table.combine_chunks(), self.config.source("transactions"), ())
        days = read.cells("transaction_date", self._dates(read)).values
        low, high = date_range(self.config)
        good = days.filter(pc.and_(pc.greater_equal(days, low), pc.less_equal(days, high)))
        bounds = pc.min_max(good)
        first, last = bounds["min"].as_py(), bounds["max"].as_py()
        years = (first.year, last.year) if first else (1, 0)
        return to_frame(calendar(self.star.calendar, *years))

    def prepare_sales_facts(self, transactions: Rows) -> pd.DataFrame:
        """Clean sales, one row per transaction_id, with the business keys of their members.

        Columns: transaction_id, customer_id, product_id, sales_rep_id, date_key (int),
        quantity, unit_price, discount_amount, gross_amount, net_amount, unit_cost (Decimal, 4
        places; the last empty where the source gives none), currency.
        """
        return to_frame(self.prepare("transactions", transactions).rows)

    def prepare(self, source: str, rows: Rows) -> CleanBatch:
        """Clean the rows of a source and remove its duplicates; returns rows, rejects and counts.
        Rows that are flagged as deleted, and what they replace, are left out.

        Raises `KeyError` that names the required columns that the rows do not have.
        """
        declared, key = self.star.source(source), self.key_of(source)
        is_comma = self.config.source(source).decimal_separator == ","
        table = as_table(rows, declared.keys, declared.numbers if is_comma else ())
        prepared = self.prepare_batch(
            source, 0, checked(table, declared.required, declared.instead)
        )
        found = superseded(prepared.rows, key)
        lost = np.isin(prepared.rows[PLACE].to_numpy(), found.rows)
        conflicts = found.rows[~found.identical]
        prepared.rejects = pa.concat_tables(
            [prepared.rejects, reject_table(conflicts, "conflicting_duplicate", key)]
        )
        prepared.rows = without_removals(prepared.rows.filter(pa.array(~lost)))
        return prepared

    # --- for the pipeline: one batch at a time ---------------------------------------------

    def prepare_batch(self, source: str, number: int, batch: pa.Table) -> CleanBatch:
        """Clean batch `number` of a source, a table of canonical text columns. Duplicates stay."""
        declared = self.star.source(source)
        read = Reader(batch.combine_chunks(), self.config.source(source), declared.keys)
        prepared = self._facts(read) if declared.describes_facts else self._members(read, declared)
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
        return self.star.source(source).key

    def members_without_source(
        self, source: str, ids: pa.Array, members: Sequence[pa.Table]
    ) -> pa.Table:
        """Members for those of `ids` (text) that are not in `members`, with nothing but their id.

        They are inferred, if the source is configured. If not, the ids are all that can be known of
        members: they are not inferred, but `ONLY_NAMED`. Where case makes no difference, the first
        spelling counts.
        """
        key = self.key_of(source)
        known = pa.chunked_array([c for table in members for c in table[key].chunks], pa.string())
        if key in self.config.folded_keys:
            ids, forms = whole(ids), folded_keys(whole(ids))
            _, first = np.unique(forms.dictionary_encode().indices.to_numpy(), return_index=True)
            ids, forms, known = ids.take(first), forms.take(first), folded_keys(whole(known))
        else:
            forms = ids
        unknown = pc.and_(pc.invert(pc.is_in(forms, known)), pc.not_equal(ids, ""))
        rows = self.prepare_batch(source, 0, pa.table({key: ids.filter(unknown)})).rows
        if self.config.source(source).path is None:
            return rows.replace_schema_metadata({ONLY_NAMED: "true"})
        flag = pa.array(np.ones(len(rows), bool))
        return rows.set_column(rows.column_names.index(INFERRED_FLAG), INFERRED_FLAG, flag)

    def _members(self, read: Reader, source: Source) -> CleanBatch:
        """Clean members of a dimension. Rows without a key are rejected."""
        key = read.key(source.key)
        skipped = leave_out_skipped(read)
        read.verdict.reject("missing_key", _blank(key))
        columns = {source.key: key, **self._ruled(source, read, {source.key: key})}
        columns[INFERRED_FLAG] = pa.array(np.zeros(len(key), bool))
        wanted = columns_of(source.feeds, Role.BUSINESS_KEY, Role.ATTRIBUTE)
        columns |= plain_columns(read, [c for c in wanted if c.name not in columns], self._zone)
        arrays = [decoded(columns[c.name]).cast(arrow_type(c)) for c in wanted]
        rows = pa.table(arrays, schema=arrow_schema(wanted))
        rows = rows.append_column(PLACE, read.verdict.places())
        cleaned = CleanBatch(
            rows.filter(read.verdict.good()),
            read.verdict.rejects(),
            read.issues,
            skipped=int((skipped > 0).sum()),
        )
        return note_keys(cleaned, read, key)

    def _facts(self, read: Reader) -> CleanBatch:
        """Clean facts, with the business keys of their members. Rows without a key are rejected."""
        source = self.star.sales
        key = read.key(source.key)
        kinds = leave_out_skipped(read)
        read.verdict.reject("missing_key", _blank(key), f"{source.key} is blank")
        kinds = take_out_deleted(read, kinds)
        if ORPHANED in read.batch.column_names:
            which = decoded(read.batch[ORPHANED])
            read.verdict.reject("unknown_order", pc.is_valid(which), which)
        keys = {source.key: key, **{name: read.reference(name) for name in source.references}}
        columns = {**keys, **self._ruled(source, read, keys)}
        given = columns_of(source.feeds, Role.ATTRIBUTE, Role.MEASURE)
        plain = [c for c in given if c.name in source.columns and c.name not in columns]
        columns |= plain_columns(read, plain, self._zone)
        said = ["net_amount", *([] if self.star.currency is None else [self.star.currency.name])]
        rows, nameless = with_removals(read, columns, (source.key, *said), kinds)
        rejects = read.verdict.rejects()
        lost = self._lost(columns, rejects)
        cleaned = CleanBatch(
            rows,
            rejects,
            money={
                "read": self._summed(columns),
                "rejected": plus(*lost.values()),
                "skipped": self._summed(columns, pa.array(nameless)),
            },
            rejected_money=lost,
            currencies=counted(rows["currency"]),
            without_cost=decoded(rows["unit_cost"]).null_count,
            skipped=int(nameless.sum()),
        )
        return note_keys(cleaned, read, key)

    def _summed(self, columns: Columns, rows: pa.Array | None = None) -> Sums:
        """The net amounts of a batch by their currencies, or of some of its `rows`."""
        net, currency = columns["net_amount"], None
        if self.star.currency is not None:
            currency = columns[self.star.currency.name]
        if rows is not None:
            net = net.filter(rows)
            currency = None if currency is None else currency.filter(rows)
        return summed(net, currency)

    def _lost(self, columns: Columns, rejects: pa.Table) -> dict[str, Sums]:
        """The net amounts of rejected rows by reason, as far as they can be read."""
        at, currency = whole(rejects[PLACE]), None
        if self.star.currency is not None:
            currency = columns[self.star.currency.name].take(at)
        return summed_by(rejects[REASON], columns["net_amount"].take(at), currency)

    def _ruled(self, source: Source, read: Reader, keys: Columns) -> Columns:
        rules = self.rules.get(source.name)
        return {} if rules is None else rules(read, keys)

    # --- the rules of each source ----------------------------------------------------------

    def _customers(self, read: Reader, keys: Columns) -> Columns:
        key = keys["customer_id"]
        first = read.attribute("first_name", each(person_name)).plain
        last = read.attribute("last_name", each(person_name)).plain
        company = read.attribute("company").plain
        email = read.attribute("email", emails).plain
        given = {n: read.attribute(n).plain for n in (*ADDRESS, "country", "phone")}
        phone = phones(given["phone"], given["country"], self.config.phone_region)
        read.count("phone", pc.and_(pc.is_valid(given["phone"]), pc.is_null(phone)))
        by_email = pc.coalesce(per_distinct(email, email_segment), "Unknown")
        return {
            "first_name": first,
            "last_name": last,
            "full_name": pc.coalesce(_full_name(first, last), company, _labelled("Customer", key)),
            "company": company,
            "email": email,
            "phone": pc.coalesce(phone, given["phone"]),
            **split_addresses(given),
            "country": given["country"],
            "segment": read.attribute("segment", each(title_case)).where_missing(by_email),
        }

    def _products(self, read: Reader, keys: Columns) -> Columns:
        key = keys["product_id"]
        settings = read.settings
        rule = partial(prices, separator=settings.decimal_separator, currency=settings.currency)
        price, given_cost = read.attribute("price", rule).plain, read.attribute("cost", rule)
        estimate = estimated_cost(price, self.config.default_cost_ratio)
        cost = given_cost.where_missing(estimate)
        high, medium = self.config.price_tier_high, self.config.price_tier_medium
        return {
            "product_name": read.attribute("name").where_missing(_labelled("Product", key)),
            "category": read.attribute("category").where_missing("Unknown"),
            "brand": read.attribute("brand").where_missing("Unknown"),
            "price": price,
            "cost": cost,
            "is_cost_estimated": pc.and_(given_cost.missing(), pc.is_valid(estimate)),
            "price_tier": price_tier(price, high, medium),
            "profit_margin_pct": margin_pct(price, cost),
            "specifications": read.attribute("specifications", each(canonical_json)).plain,
        }

    def _sales_reps(self, read: Reader, keys: Columns) -> Columns:
        key = keys["sales_rep_id"]
        first = read.attribute("first_name", each(person_name))
        last = read.attribute("last_name", each(person_name))
        nameless = pc.and_(first.missing(), last.missing())
        first_name, last_name = (
            pc.if_else(nameless, per_distinct(key, partial(name_from_id, part=part)), cells.plain)
            for part, cells in enumerate((first, last))
        )
        return {
            "first_name": first_name,
            "last_name": last_name,
            "full_name": pc.coalesce(_full_name(first_name, last_name), decoded(key)),
            "email": read.attribute("email", emails).plain,
            "region": read.attribute("region").where_missing("Unassigned"),
        }

    def _sales(self, read: Reader, keys: Columns) -> Columns:
        read.verdict.reject("missing_key", _blank(keys["product_id"]), "product_id is blank")
        days = self._sale_dates(read)
        amounts = line_amounts(read, self.config)
        discount = discounts(read, amounts)
        rule = partial(numbers, separator=read.settings.decimal_separator)
        cost = read.cells("unit_cost", rule)
        if not cost.is_absent():  # as it is in most sources
            read.verdict.reject("invalid_unit_cost", cost.unreadable(), cost.given())
            read.verdict.reject("invalid_unit_cost", pc.less(cost.plain, _ZERO), cost.given())
        return {
            "date_key": date_key(days),
            "quantity": amounts.quantity,
            "unit_price": amounts.unit_price,
            "discount_amount": discount,
            "gross_amount": amounts.gross,
            "net_amount": pc.subtract(amounts.gross, decoded(discount)).cast(MONEY),
            "unit_cost": cost.values,
            "currency": sale_currencies(read, self.star.sales.amounts),
        }

    def _sale_dates(self, read: Reader) -> pa.Array:
        cells = read.cells("transaction_date", self._dates(read))
        low, high = date_range(self.config)
        days = cells.values
        outside = pc.or_(pc.less(days, low), pc.greater(days, high))
        if not cells.is_readable():
            details = on_values(cells.given(), with_hints)
            read.verdict.reject("invalid_date", cells.unreadable(), details)
        read.verdict.reject("invalid_date", cells.missing())
        read.verdict.reject("date_out_of_range", outside, cells.given())
        return days

    def _dates(self, read: Reader) -> Rule:
        return date_rule(read.settings, self._zone)


def _blank(key: pa.Array) -> pa.Array:
    return on_values(key, lambda values: pc.equal(values, ""))


def _full_name(first: pa.Array, last: pa.Array) -> pa.Array:
    # null_handling="skip" returns arrays of a wrong length in pyarrow 26.
    joined = pc.binary_join_element_wise(pc.coalesce(first, ""), pc.coalesce(last, ""), " ")
    joined = pc.utf8_trim_whitespace(joined)
    return pc.if_else(pc.equal(joined, ""), pa.scalar(None, pa.string()), joined)


def _labelled(label: str, key: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(label, decoded(key), " ")
