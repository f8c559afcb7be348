"""A second opinion: what a night should make of a star, in plain Python, row by row.

It imports nothing of the application and shares no code with it. What a row means is told by
`support.model_rows`; here is what a night makes of its rows.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from support.model_rows import HEADER, Habits, Judge, Raw, Rejected, Removal, Row, Values, is_one

MEMBERS = {"customers": "customer_id", "products": "product_id", "sales_reps": "sales_rep_id"}
"""By source of members, the column of a sale that names one."""
NOTHING = Decimal(0)


@dataclass
class Account:
    """What became of the rows of one source."""

    read: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    skipped: int = 0
    duplicate: int = 0
    rejected: Counter[str] = field(default_factory=Counter)


@dataclass
class Money:
    """What became of the money of the sales' rows."""

    read: Decimal = NOTHING
    loaded: Decimal = NOTHING
    unchanged: Decimal = NOTHING
    deleted: Decimal = NOTHING
    skipped: Decimal = NOTHING
    duplicate: Decimal = NOTHING
    rejected: Decimal = NOTHING


@dataclass
class Balance:
    """What became of the money of the star's sales."""

    before: Decimal = NOTHING
    inserted: Decimal = NOTHING
    corrected: Decimal = NOTHING
    removed: Decimal = NOTHING
    after: Decimal = NOTHING


@dataclass
class Gone:
    """What a night took away, beside what its rows say."""

    by_flag: int = 0
    by_absence: int = 0
    members: dict[str, int] = field(default_factory=dict)
    """By source, how many members were flagged because it does not have them any more."""
    spared: dict[str, int] = field(default_factory=dict)
    """By source, how many look gone, and are left because the input may not be whole."""


@dataclass
class Watermark:
    """How far a database was read whose rows say by a growing number when they were written."""

    first: int
    """Where the first night begins."""
    lag: int
    """How far the next night goes back, for rows that come late."""
    last: int
    """What is after it is not remembered: it is after tonight."""
    value: int | None = None

    def read(self, rows: Sequence[Raw]) -> list[Raw]:
        """The rows of tonight."""
        since = self.first if self.value is None else self.value - self.lag
        return [row for row in rows if row["changed"] is not None and int(row["changed"]) >= since]

    def published(self, rows: Sequence[Raw]) -> None:
        """Move on, as a run that has read these rows was published."""
        known = [] if self.value is None else [self.value]
        found = [int(row["changed"] or 0) for row in rows]
        self.value = max([*known, *(n for n in found if n <= self.last)], default=None)


class Refused(Exception):  # noqa: N818  # an outcome, not an error
    """More is absent than MAX_DELETE_RATE allows, or amounts cannot be added up."""


@dataclass(frozen=True)
class Net:
    """The money of a row."""

    amount: Decimal = NOTHING
    currency: str = ""


@dataclass
class Rows:
    """The rows of a source that win, by key, with the money of each; and all keys that it bears."""

    winners: dict[str, Row | Removal] = field(default_factory=dict)
    money: dict[str, Net] = field(default_factory=dict)
    borne: set[str] = field(default_factory=set)
    is_whole: bool = True
    """Whether every row has a key that can be read."""

    @property
    def loaded(self) -> dict[str, Row]:
        """Those that are no removals."""
        return {found: row for found, row in self.winners.items() if isinstance(row, dict)}


@dataclass
class Model:
    """The star by business keys, and the accounts of the last night."""

    values: Values
    last_day: date
    orphans_are_refused: bool = False
    tables: dict[str, dict[str, Row]] = field(
        default_factory=lambda: {name: {} for name in (*MEMBERS, "transactions")}
    )
    years: set[int] = field(default_factory=set)
    accounts: dict[str, Account] = field(default_factory=dict)
    money: dict[str, Money] = field(default_factory=dict)
    """By currency."""
    balance: dict[str, Balance] = field(default_factory=dict)
    """By currency."""
    counts: dict[str, int] = field(default_factory=dict)
    """What became of the star's sales, in rows."""
    currencies: set[str] = field(default_factory=set)
    """All that nights have told of."""
    gone: Gone = field(default_factory=Gone)

    def __post_init__(self) -> None:
        self.judge = Judge(self.values, self.last_day)

    def night(self, sources: Mapping[str, Sequence[Raw]], habits: Habits) -> str:
        """Load one night's rows; a source that is not configured is not among `sources`.

        Returns the status of the run.
        """
        before = deepcopy((self.tables, self.years, self.currencies))
        self.accounts = {name: Account(len(rows)) for name, rows in sources.items()}
        self.money, self.balance, self.gone = defaultdict(Money), defaultdict(Balance), Gone()
        self.counts = dict.fromkeys(("before", "inserted", "removed", "after"), 0)
        try:
            self._load(sources, habits)
        except Refused:
            self.tables, self.years, self.currencies = before
            return "gate_failed"
        return "published"

    def _load(self, sources: Mapping[str, Sequence[Raw]], habits: Habits) -> None:
        rows = {name: self._clean(name, given, habits) for name, given in sources.items()}
        self._see_currencies(sources["transactions"], habits)
        sales = rows["transactions"]
        if self.orphans_are_refused:
            self._refuse_orphans(rows)
        absent = {name: self._absent(name, found, habits) for name, found in rows.items()}
        for name in MEMBERS.keys() & rows.keys():
            self._merge_members(name, rows[name])
            for found in absent[name]:
                self.tables[name][found]["is_deleted"] = True
            self.gone.members[name] = len(absent[name])
        self._infer(sales.loaded, is_inferred_rep="sales_reps" in sources)
        self._merge_sales(sales, absent["transactions"], habits)
        loaded = {sale["date"].year for sale in self.tables["transactions"].values()} | self.years
        self.years = set(range(min(loaded), max(loaded) + 1)) if loaded else set()

    def _clean(self, name: str, given: Sequence[Raw], habits: Habits) -> Rows:
        """The rows that win. Of those with the same key it is the last one."""
        rows, good = Rows(), list[tuple[str, Row | Removal, Net]]()
        for row in given:
            own, money = self.judge.bears(name, row), Net()
            rows.borne.add(own)
            if name == "transactions":
                money = Net(self.judge.net(row), self.judge.currency_of_money(row, habits))
                self.money[money.currency].read += money.amount
            try:
                found = self.judge.judge(name, row, habits)
            except Rejected as refused:
                self._reject(name, refused.reason, money)
                rows.is_whole &= row is HEADER or bool(own)
                continue
            if isinstance(found, Removal) and (not own or name in MEMBERS):
                self._count(name, "skipped", money)  # it removes nothing
            else:
                good.append((own, found, money))
        rows.borne.discard("")
        rows.winners = {own: found for own, found, _ in good}
        rows.money = {own: money for own, _, money in good}
        self._count_losers(name, rows, good)
        return rows

    def _count_losers(
        self, name: str, rows: Rows, good: list[tuple[str, Row | Removal, Net]]
    ) -> None:
        left = Counter(own for own, _, _ in good)
        for own, found, money in good:
            left[own] -= 1
            winner = rows.winners[own]
            if not left[own]:
                continue  # the last one with this key
            if isinstance(winner, Removal) or found == winner:
                self._count(name, "duplicate", money)
            else:
                self._reject(name, "conflicting_duplicate", money)

    def _refuse_orphans(self, rows: Mapping[str, Rows]) -> None:
        sales = rows["transactions"]
        for own, sale in sales.loaded.items():
            for source, column in MEMBERS.items():
                known = rows[source].loaded.keys() | self.tables[source].keys() if (
                    source in rows
                ) else {sale[column]}  # fmt: skip
                if sale[column] and sale[column] not in known:
                    self._reject("transactions", f"unknown_{column[:-3]}", sales.money[own])
                    del sales.winners[own]
                    break

    def _absent(self, name: str, rows: Rows, habits: Habits) -> list[str]:
        """The keys of what is gone because no row of the source bears it."""
        extract = habits.extract.get(name, "changes")
        if extract == "changes":
            return []
        first, last = habits.period
        scope = [
            own
            for own, row in self.tables[name].items()
            if (name == "transactions" and (extract == "full" or first <= row["date"] <= last))
            or (name != "transactions" and not row["is_inferred"] and not row["is_deleted"])
        ]
        gone = [own for own in scope if own not in rows.borne]
        if not rows.is_whole or not rows.loaded or name in habits.empty_files:
            self.gone.spared[name] = len(gone)
            return []
        if len(gone) > habits.max_delete_rate * len(scope):
            raise Refused
        return gone

    def _merge_members(self, name: str, rows: Rows) -> None:
        table = self.tables[name]
        for own, row in rows.loaded.items():
            kind = "inserted" if own not in table else "updated"
            self._count(name, "unchanged" if table.get(own) == row else kind)
            table[own] = row

    def _infer(self, sales: dict[str, Row], *, is_inferred_rep: bool) -> None:
        """Members that only sales know of."""
        rules: dict[str, Any] = {
            "customers": self.judge.customer,
            "products": self.judge.product,
            "sales_reps": self.judge.rep,
        }
        for sale in sales.values():
            for source, column in MEMBERS.items():
                found = sale[column]
                if found and found not in self.tables[source]:
                    is_inferred = source != "sales_reps" or is_inferred_rep
                    member = {**rules[source]({column: found}), "is_inferred": is_inferred}
                    self.tables[source][found] = member

    def _see_currencies(self, sales: Sequence[Raw], habits: Habits) -> None:
        """Note what is told of; where it is of several that nobody keeps apart, refuse."""
        for row in sales:
            self.currencies |= {self.judge.currency(row, habits)} - {""}
            if not habits.currency and not habits.has_currencies:
                self.currencies |= self.judge.symbols(row)
        if not habits.has_currencies and not is_one(self.currencies):
            raise Refused

    def _merge_sales(self, rows: Rows, absent: list[str], habits: Habits) -> None:
        table, counts = self.tables["transactions"], self.counts
        counts["before"] = len(table)
        for sale in table.values():
            self._balance(sale).before += sale["net"]
        for own, row in rows.winners.items():
            old, money = table.get(own), rows.money[own]
            if isinstance(row, Removal):
                self._count("transactions", row.kind if old is None else "deleted", money)
                self.gone.by_flag += old is not None
                self._remove([own] if own in table else [])
                continue
            sale = self._priced(row, old, habits)
            kind = "inserted" if old is None else "unchanged" if old == sale else "updated"
            self._count("transactions", kind, money)
            if old is None:
                counts["inserted"] += 1
                self._balance(sale).inserted += sale["net"]
            else:
                self._balance(old).corrected -= old["net"]
                self._balance(sale).corrected += sale["net"]
            table[own] = sale
        self.gone.by_absence = len(absent)
        self._remove(absent)
        counts["after"] = len(table)
        for sale in table.values():
            self._balance(sale).after += sale["net"]

    def _balance(self, sale: Row) -> Balance:
        return self.balance[sale["currency"] or ""]

    def _remove(self, keys: Sequence[str]) -> None:
        for own in keys:
            sale = self.tables["transactions"].pop(own)
            self.counts["removed"] += 1
            self._balance(sale).removed += sale["net"]

    def _priced(self, sale: Row, old: Row | None, habits: Habits) -> Row:
        """The sale with its cost: its own, else what it had, else what its product costs now."""
        cost = sale["unit_cost"]
        now = self.tables["products"][sale["product_id"]]["cost"]
        if not habits.knows_cost(sale["currency"]):
            now = None
        if cost is None and old is not None and old["product_id"] == sale["product_id"]:
            is_told = old["currency"] is None and now is not None
            cost = old["unit_cost"] if is_told or old["currency"] == sale["currency"] else None
        cost = now if cost is None else cost
        profit = None if cost is None else sale["net"] - money(sale["quantity"] * cost)
        return {**sale, "unit_cost": cost, "profit": profit}

    def _count(self, name: str, kind: str, net: Net = Net()) -> None:
        account = self.accounts[name]
        setattr(account, kind, getattr(account, kind) + 1)
        if name == "transactions":
            part, of = "loaded" if kind in ("inserted", "updated") else kind, net.currency
            setattr(self.money[of], part, getattr(self.money[of], part) + net.amount)

    def _reject(self, name: str, reason: str, net: Net) -> None:
        self.accounts[name].rejected[reason] += 1
        if name == "transactions":
            self.money[net.currency].rejected += net.amount


def money(amount: Decimal) -> Decimal:
    """With four places."""
    return amount.quantize(Decimal("0.0001"), ROUND_HALF_UP)
