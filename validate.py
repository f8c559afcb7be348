"""Checks of the star as a whole, run inside the transaction that is about to publish it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_DOWN, Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Table

from common.accounts import reconcile, unclosed
from common.checks import failures, key_check, member_checks, orphan_check, shown
from common.costs import profit_in_star
from common.key_sum import key_sum
from common.outcomes import (
    CheckResult,
    Claims,
    Period,
    References,
    Validation,
    plain,
)
from common.progress import SILENT, Progress
from common.star_model import (
    INFERRED_FLAG,
    TOO_LARGE,
    UNKNOWN_KEY,
    Role,
    business_key,
    columns_of,
    surrogate_key,
    target_of,
)
from common.sums import Sums
from config import StarSchemaConfig
from errors import WarehouseError
from warehouse import Warehouse, drift, transaction
from warehouse.history import last_published
from warehouse.sums import sums


class StarSchemaValidator:
    """Proves the star in the warehouse, in the run's transaction or by itself."""

    def __init__(
        self,
        config: StarSchemaConfig,
        warehouse: Warehouse | None = None,
        run_id: str = "",
        proven: str = "",
        late: Sequence[str] = (),
        *,
        by_currency: bool = True,
    ) -> None:
        """`proven` is the mark of the last published run: rows just as it left them are not
        computed anew. In the columns `late` of the fact, rows of earlier runs need no value.
        `by_currency`: amounts may be of several currencies.
        """
        self.config = config
        self.star = config.star
        self.fact = config.star.fact
        self._given = warehouse
        self._run_id = run_id
        self._proven = proven
        self._late = late
        self._by_currency = by_currency
        self._keys: dict[Table, tuple[int, int]] = {}
        """The first and the last key of dimensions that have all keys between: 1, 2, 3 and so on,
        or every day of whole years.
        """
        self._known: dict[sa.Column[Any], tuple[Any, Any]] = {}
        self._inferred: dict[str, int] = {}
        self.loaded_rows = 0
        """How many rows of this run the fact table holds, once the checks have run."""
        self.loaded_net: Sums = {}
        """Their net amount."""
        self.loaded_key_sum = 0
        """Their `key_sum`."""
        self.rows = 0
        """How many facts there are."""
        self.net: Sums = {}
        """The net amount of all of them."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of the star in {self.config.place}>"

    def run_all_checks(self) -> dict[str, Any]:
        """`row_counts`, `referential_integrity`, `checks`, `validation_errors`; by itself also
        `data_quality_score` and `reconciliation`, those of the last published run. Changes nothing.
        Raises `WarehouseError` where there is no star.
        """
        with transaction(self.config, self._given) as warehouse:
            if self._given is not None:
                return shown(plain(self._run(warehouse)))
            found = drift.compare(warehouse, self.star.tables)
            missing, self._late = found.missing_tables, found.late_in(self.fact)
            if missing:
                raise WarehouseError(
                    f"{self.config.warehouse_url}, schema {warehouse.schema}: there is no star to "
                    f"check, without {missing[0].name}; run the pipeline first"
                )
            return shown({**plain(self._run(warehouse)), **_last_published(warehouse)})

    def check_star(self, progress: Progress = SILENT) -> Validation:
        """The same for the run whose warehouse was given, without accounts and score. `progress`
        hears of each table.
        """
        if self._given is None:
            raise ValueError("there is no run to check the star of; use run_all_checks()")
        return self._run(self._given, progress)

    def check_run(self, found: Validation, claims: Claims) -> None:
        """Hold what the stages claim against the star, and close the accounts; once the star was
        checked. Adds to `found`.
        """
        loaded = self.loaded_rows, self.loaded_net
        found.reconciliation = reconcile(self.fact, claims, loaded, (self.rows, self.net))
        facts = found.row_counts[self.fact.name]
        if facts:  # an empty star is of no quality, not of the best
            read = sum(source.read for source in claims.inputs.values())
            rejected = sum(source.rejected for source in claims.inputs.values())
            found.data_quality_score = quality_score(read, rejected)
        checks = member_checks(claims.members_before, claims.dimensions, found.row_counts)
        checks.append(key_check(self.fact, claims.keys_found, self.loaded_key_sum, facts))
        checks.append(orphan_check(self.fact, claims.lost, facts))
        found.checks += checks
        found.validation_errors += failures(checks) + unclosed(found.reconciliation)

    def _run(self, warehouse: Warehouse, progress: Progress = SILENT) -> Validation:
        row_counts: dict[str, int] = {}
        checks: list[CheckResult] = []
        progress.expect(len(self.star.dimensions) + 1, "tables")
        for dimension in self.star.dimensions:
            progress.advance(dimension.name)
            row_counts[dimension.name] = _count(warehouse, dimension)
            checks += self._dimension_checks(warehouse, dimension, row_counts[dimension.name])
            progress.reach(1)
        checks += self._date_checks(warehouse)
        progress.advance(self.fact.name)
        facts, fact_checks = self._fact_checks(warehouse)
        row_counts[self.fact.name] = facts
        progress.reach(1)
        checks += fact_checks
        orphans = {
            check.check.removeprefix("orphan "): check.problems
            for check in fact_checks
            if check.check.startswith("orphan ")
        }
        return Validation(
            row_counts,
            References(orphans, not any(orphans.values())),
            None,
            checks,
            failures(checks),
            inferred=self._inferred,
            period=self._period(warehouse),
        )

    def _period(self, warehouse: Warehouse) -> Period | None:
        """From the first day of a fact to the last."""
        low, high = self._bounds(warehouse, self.star.keys_to(self.star.calendar)[0])
        return None if low is None else Period(_day(low), _day(high))

    def _bounds(self, warehouse: Warehouse, key: sa.Column[Any]) -> tuple[Any, Any]:
        """The least and the largest key of a known member that facts have; None without a fact."""
        if key not in self._known:
            known = sa.select(sa.func.min(key), sa.func.max(key)).where(key != UNKNOWN_KEY)
            low, high = warehouse.row(known)
            self._known[key] = low, high
        return self._known[key]

    def _dimension_checks(self, warehouse: Warehouse, table: Table, rows: int) -> list[CheckResult]:
        key, surrogate = business_key(table), surrogate_key(table)
        flag = table.columns.get(INFERRED_FLAG)
        unknown, distinct_ids, distinct_keys, below, first, last, inferred = warehouse.row(
            sa.select(
                sa.func.count().filter(surrogate == UNKNOWN_KEY),
                sa.func.count(sa.distinct(key)),
                sa.func.count(sa.distinct(surrogate)),
                sa.func.count().filter(surrogate < UNKNOWN_KEY),
                sa.func.min(surrogate).filter(surrogate != UNKNOWN_KEY),
                sa.func.max(surrogate),
                sa.func.count().filter(sa.false() if flag is None else flag),
            ).select_from(table)
        )
        if flag is not None:
            self._inferred[table.name] = int(inferred)
        if first == 1 and rows == distinct_keys == int(last) + int(unknown):
            self._keys[table] = 1, int(last)
        return [
            CheckResult.of("one Unknown member", table.name, abs(int(unknown) - 1), max(rows, 1)),
            CheckResult.of("unique business keys", table.name, rows - int(distinct_ids), rows),
            CheckResult.of("unique surrogate keys", table.name, rows - int(distinct_keys), rows),
            CheckResult.of("no other negative keys", table.name, int(below), rows),
        ]

    def _date_checks(self, warehouse: Warehouse) -> list[CheckResult]:
        """Whole years without gaps: as many days as from the first 1 January to 31 December, none
        twice, and each under its own key.
        """
        dates = self.star.calendar
        day, key = dates.c.full_date, business_key(dates)
        year, month, of_month = (sa.extract(part, day) for part in ("year", "month", "day"))
        named = year * 10_000 + month * 100 + of_month
        count, distinct, misnamed, first, last, low, high = warehouse.row(
            sa.select(
                sa.func.count(day),
                sa.func.count(sa.distinct(day)),
                sa.func.count(day).filter(named.is_distinct_from(key)),
                sa.func.min(day),
                sa.func.max(day),
                sa.func.min(key).filter(day.is_not(None)),
                sa.func.max(key).filter(day.is_not(None)),
            )
        )
        if not count:
            return [CheckResult.of("dates without gaps", dates.name, 0, 0)]
        expected = (last.replace(month=12, day=31) - first.replace(month=1, day=1)).days + 1
        problems = abs(expected - int(distinct)) + int(count) - int(distinct) + int(misnamed)
        if not problems:
            self._keys[dates] = int(low), int(high)
        return [CheckResult.of("dates without gaps", dates.name, problems, int(count))]

    def _fact_checks(self, warehouse: Warehouse) -> tuple[int, list[CheckResult]]:
        """Keys of all facts; measures of those that no earlier run has proven."""
        seen, wrong = self._count_wrong(warehouse)
        if not self._proven:
            self.rows = seen
        rows, orphans = self._count_orphans(warehouse, None if self._proven else seen)
        found = {name: max(number, wrong.pop(name, 0)) for name, number in orphans.items()} | wrong
        fact = self.fact.name
        checks = [CheckResult.of(name, fact, number, rows) for name, number in found.items()]
        twice = self._repeated_keys(warehouse)
        checks.append(
            CheckResult.of(f"unique {business_key(self.fact).name}", self.fact.name, twice, rows)
        )
        return rows, checks

    def _count_orphans(self, warehouse: Warehouse, rows: int | None) -> tuple[int, dict[str, int]]:
        """How many facts there are, if that is not known, and how many have no member, by check.

        Keys that the engine itself has just proven need no look. Where a dimension's have no gaps,
        the first and last that occur tell that none is missing: engines know these at once. Only
        the other dimensions are joined, all in one pass.
        """
        columns = columns_of(self.fact, Role.DIMENSION_KEY)
        all_proven = warehouse.is_proven(self.fact)
        proven = {c for c in columns if all_proven or self._is_within(warehouse, c)}
        joined: Any = self.fact
        counted: dict[str, Any] = {}
        for column in columns:
            if column not in proven:
                joined, members = _with_members(joined, self.fact, column)
                member = members.c[surrogate_key(target_of(column)).name]
                counted[_orphan(column)] = sa.func.count().filter(member.is_(None))
        missing = {_orphan(c): 0 for c in columns}
        if rows is not None and not counted:
            return rows, missing
        (self.net,), (self.rows, *numbers) = sums(
            warehouse,
            joined,
            self._currency(self.fact.c),
            [sa.func.sum(self.fact.c.net_amount)],
            [sa.func.count(), *counted.values()],
        )
        return self.rows, missing | dict(zip(counted, numbers, strict=True))

    def _currency(self, fact: Any) -> sa.ColumnElement[Any] | None:
        """The currency of the amounts of facts, if there may be several."""
        column = self.star.currency
        return fact[column.name] if column is not None and self._by_currency else None

    def _is_within(self, warehouse: Warehouse, column: sa.Column[Any]) -> bool:
        if target_of(column) not in self._keys:
            return False
        first, last = self._keys[target_of(column)]
        low, high = self._bounds(warehouse, column)
        return low is None or (low >= first and high <= last)

    def _count_wrong(self, warehouse: Warehouse) -> tuple[int, dict[str, int]]:
        """How many facts were looked at, and how many of them have measures that do not follow
        from each other, or a date that is none, by check.
        """
        unproven = warehouse.rows_changed_since(self._proven)
        fact = sa.select(self.fact).where(unproven).subquery("fact")
        joined: Any = fact
        of_this_run = fact.c.run_id == self._run_id
        # All rows of a table that this run has made are of this run.
        net: list[sa.ColumnElement[Any]] = [sa.func.sum(fact.c.net_amount)]
        keys = key_sum(self.fact, fact.c)
        wrong = _wrong_measures(self.fact, fact.c, self._late, of_this_run)
        if not warehouse.is_created(self.fact):
            net.append(net[0].filter(of_this_run))
            keys = key_sum(self.fact, fact.c, of_this_run)
        if warehouse.is_proven(self.fact):
            wrong[_NO_NULLS] = sa.false()
        else:  # between two days that are there, 20240230 would be none
            for key in self.star.keys_to(self.star.calendar):
                joined, days = _with_members(joined, fact, key)
                wrong[_orphan(key)] = days.c[business_key(self.star.calendar).name].is_(None)
        amounts, (seen, self.loaded_key_sum, self.loaded_rows, *problems) = sums(
            warehouse,
            joined,
            self._currency(fact.c),
            net,
            [
                sa.func.count(),
                keys,
                sa.func.count().filter(of_this_run),
                *(sa.func.count().filter(condition) for condition in wrong.values()),
            ],
        )
        self.net, self.loaded_net = amounts[0], amounts[-1]
        return seen, dict(zip(wrong, problems, strict=True))

    def _repeated_keys(self, warehouse: Warehouse) -> int:
        """Rows too many; a primary key that the engine enforces has proven there are none."""
        if warehouse.enforces_primary_key(self.fact):
            return 0
        key = business_key(self.fact)
        query = sa.select(sa.func.count() - sa.func.count(sa.distinct(key)))
        return int(warehouse.scalar(query.select_from(self.fact)))


def quality_score(read: int, rejected: int) -> float | None:
    """Accepted rows as a percentage of those read, rounded down to four places; None of none.

    Rounded down so that one bad row in ten million never shows as 100.
    """
    if read == 0:
        return None
    share = Decimal(100) * (read - rejected) / read
    return float(share.quantize(Decimal("0.0001"), ROUND_DOWN))


def _orphan(column: sa.Column[Any]) -> str:
    return f"orphan {column.name}"


def _with_members(joined: Any, fact: Any, key: sa.Column[Any]) -> tuple[Any, Any]:
    """`joined` with the members, if there are any, that `key` of the fact points at."""
    members = target_of(key).alias()
    target = members.c[surrogate_key(target_of(key)).name]
    return joined.outerjoin(members, fact.c[key.name] == target), members


_NO_NULLS = "no value is missing"
_HALF_A_UNIT = sa.literal(Decimal("0.00005"), sa.Numeric(6, 5))
"""By how much a price may differ from what it was rounded from."""
_PROFIT = "profit = net - quantity x unit cost"


def _wrong_measures(
    table: Table, fact: Any, late: Sequence[str], of_this_run: sa.ColumnElement[bool]
) -> dict[str, sa.ColumnElement[bool]]:
    """Conditions on a fact's columns that nothing else is needed for."""
    wrong = _wrong_amounts(fact)
    # A star of an older version may hold profits whose cost is not known.
    has_cost = sa.or_(of_this_run, fact.unit_cost.is_not(None))
    wrong[_PROFIT] = sa.and_(has_cost, wrong[_PROFIT])
    # What an older row lacks, because the column came later, breaks no statement.
    is_whole = sa.and_(sa.true(), *(fact[name].is_not(None) for name in late))
    for name in wrong if late else ():
        wrong[name] = sa.and_(wrong[name], sa.or_(of_this_run, is_whole))
    required = [
        fact[column.name]
        for column in table.columns
        if not column.nullable and column.name not in late
    ]
    # The other checks do not see a NULL, for a comparison with it is neither true nor false.
    empty = [column.is_(None) for column in required]
    empty += [sa.and_(of_this_run, fact[name].is_(None)) for name in late]
    return {_NO_NULLS: sa.or_(*empty), **wrong}


def _wrong_amounts(fact: Any) -> dict[str, sa.ColumnElement[bool]]:
    net = fact.gross_amount - fact.discount_amount
    return {
        "gross = quantity x unit price": _wrong_gross(fact),
        "net = gross - discount": fact.net_amount.is_distinct_from(net),
        _PROFIT: _wrong_profit(fact),
        # Engines sort NaN above every number. In any other amount it would make these NaN too, or
        # break a check above.
        "amounts are finite": sa.or_(fact.net_amount >= TOO_LARGE, fact.profit_amount >= TOO_LARGE),
    }


def _wrong_gross(fact: Any) -> sa.ColumnElement[bool]:
    """Whether gross is neither quantity x price nor a line's total, of which the price is a rounded
    part.
    """
    product = fact.quantity * fact.unit_price
    off = sa.func.abs(fact.gross_amount - product)
    is_no_total = off - sa.func.abs(fact.quantity) * _HALF_A_UNIT > 0  # of NaN too
    is_neither = _differs(fact.gross_amount, product, sa.func.round(product, 4))
    return sa.case((is_neither, is_no_total), else_=sa.false())


def _wrong_profit(fact: Any) -> sa.ColumnElement[bool]:
    cost = fact.unit_cost
    profit = profit_in_star(fact.net_amount, fact.quantity, cost)
    return _differs(fact.profit_amount, fact.net_amount - fact.quantity * cost, profit)


def _differs(
    column: sa.ColumnElement[Any], product: sa.ColumnElement[Any], rounded: sa.ColumnElement[Any]
) -> sa.ColumnElement[bool]:
    """Whether a column is neither the product as it is nor the rounded one.

    Rounding is slow and changes few products, so it is done last. CASE guarantees that order; an
    engine may evaluate both sides of AND.
    """
    unequal = column.is_distinct_from(product), column.is_distinct_from(rounded)
    return sa.case(unequal, else_=sa.false())


def _day(key: int) -> str:
    """The day of a key YYYYMMDD, by ISO 8601."""
    return f"{key // 10_000:04}-{key // 100 % 100:02}-{key % 100:02}"


def _count(warehouse: Warehouse, table: Table) -> int:
    return int(warehouse.scalar(sa.select(sa.func.count()).select_from(table)))


def _last_published(warehouse: Warehouse) -> dict[str, Any]:
    """Score and accounts of the last published run: they are of its input, not of the star."""
    run = last_published(warehouse)
    last = run.counts.get("validation_results", {}) if run is not None else {}
    return {name: last.get(name) for name in ("data_quality_score", "reconciliation")}
