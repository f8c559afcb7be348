"""What the phases of a run found, in the words of its summary."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass
from decimal import Decimal
from typing import Any

from common.sums import Sums, minus, plus


@dataclass
class PhaseResult:
    """How a phase went. `rows` are those that it handled."""

    status: str = "not_run"
    """`not_run`, `failed` or `success`."""
    duration_seconds: float = 0.0
    rows: int = 0


@dataclass
class SourceRead:
    """What was read of a source: how many records, and each of its files or tables."""

    records: int
    files: list[dict[str, Any]]
    """`path`, `format`, `records`, and of files also `sha256`."""


@dataclass
class Place:
    """Where a row is that was refused: its file, and its line or record there. `detail` says what
    is wrong with it, where that quotes nobody's personal data.
    """

    file: str
    line: int
    detail: str = ""


@dataclass
class TableCleaned:
    """What cleaning made of the rows of a source."""

    source: str
    rows: int
    """How many go on to be loaded."""
    duplicates: int
    rejected: dict[str, int]
    """By reason, in the order of `common.rejects.REASONS`."""
    attribute_issues: dict[str, int]
    """By attribute, how many values could not be used; they are empty in the star."""
    first: dict[str, Place] = field(default_factory=dict)
    """By reason, the first row that was rejected for it."""
    rejected_money: dict[str, Sums] | None = None
    """Of sales: by reason, the net amount of the rejected rows by currency, as far as it can be
    read. Together they are what the accounts say is rejected.
    """


@dataclass
class MemberCounts:
    """What a night did to the members of a dimension."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    inferred: int = 0
    """New ones that nothing describes: placeholders."""
    deleted: int = 0
    """Those that were flagged because a full extract does not have them any more."""

    @property
    def rows(self) -> int:
        return self.inserted + self.updated + self.unchanged + self.inferred


@dataclass
class Shares:
    """Of the `sales` that were looked at, the shares on inferred members and on Unknown."""

    sales: int
    inferred: float
    unknown: float


@dataclass
class Deleted:
    """How many facts were removed: because a row said so, or because a full extract, or one of a
    whole period, does not have them any more.
    """

    by_flag: int = 0
    by_absence: int = 0


@dataclass
class FactCounts:
    """What a night did to the facts."""

    records_inserted: int = 0
    records_updated: int = 0
    records_unchanged: int = 0
    records_deleted: Deleted = field(default_factory=Deleted)
    records_failed: int = 0
    orphaned_records: int = 0
    """Rows that were refused because a member is unknown; no others fail."""
    processing_time: float = 0.0
    """Seconds."""
    references: dict[str, Shares] | None = None
    """By column of ids; None where they were not looked at."""

    @property
    def rows(self) -> int:
        gone = self.records_deleted.by_flag + self.records_deleted.by_absence
        return self.records_inserted + self.records_updated + self.records_unchanged + gone


@dataclass
class CheckResult:
    """A statement about the star: in `problems` of the `rows` looked at it does not hold."""

    check: str
    table: str
    status: str
    """`passed`, `failed`, or `not evaluated` where there is no row."""
    problems: int
    rows: int

    @classmethod
    def of(cls, check: str, table: str, problems: int, rows: int) -> CheckResult:
        """The outcome of a check, whose status follows from its numbers."""
        status = "not evaluated" if rows == 0 else "failed" if problems else "passed"
        return cls(check, table, status, problems, rows)


@dataclass
class Account:
    """What became of the rows of a source; `closed`: whether the numbers add up."""

    read: int
    inserted: int
    updated: int
    unchanged: int
    deleted: int
    """Rows that removed a fact."""
    skipped: int
    duplicate: int
    rejected: int
    closed: bool


@dataclass
class MoneyAccount:
    """What became of the net amount of all readable sales, to four decimal places."""

    read: Decimal
    loaded: Decimal
    unchanged: Decimal
    deleted: Decimal
    skipped: Decimal
    duplicate: Decimal
    rejected: Decimal
    closed: bool


@dataclass
class MoneyBalance:
    """The net amount of all facts: before + inserted ± corrected - removed = after."""

    before: Decimal
    inserted: Decimal
    corrected: Decimal
    """What updated facts have more, or less, than they had."""
    removed: Decimal
    after: Decimal
    closed: bool


@dataclass(kw_only=True)
class Balance:
    """How many facts the star has, and their net amount, unless it is of several currencies."""

    rows_before: int
    rows_inserted: int
    rows_removed: int
    rows_after: int
    before: Decimal | None = None
    inserted: Decimal | None = None
    corrected: Decimal | None = None
    removed: Decimal | None = None
    after: Decimal | None = None
    closed: bool


@dataclass
class CurrencyAccounts:
    """The accounts of one currency."""

    money: MoneyAccount
    balance: MoneyBalance


@dataclass(kw_only=True)
class Reconciliation:
    """The accounts of a run: rows by source, and money; and those of the star."""

    sources: dict[str, Account]
    money: MoneyAccount | None = None
    """None where there are several currencies: they are not added up."""
    balance: Balance
    currencies: dict[str, CurrencyAccounts] | None = None
    """By currency, where the source says which one an amount is of."""


@dataclass
class References:
    """How many facts have no member, by column of keys; `valid` where none has."""

    orphans: dict[str, int]
    valid: bool


@dataclass
class Period:
    """The first and the last day of all facts, by ISO 8601."""

    first: str
    last: str


@dataclass
class Validation:
    """What the checks of the whole star found."""

    row_counts: dict[str, int]
    """By table."""
    referential_integrity: References
    data_quality_score: float | None
    """Accepted rows in percent of those read; None of an empty star."""
    checks: list[CheckResult]
    validation_errors: list[str]
    reconciliation: Reconciliation | None = None
    inferred: dict[str, int] = field(default_factory=dict)
    """By dimension, how many of its members only a fact names."""
    period: Period | None = None
    """None where there is no fact."""


@dataclass(frozen=True)
class Input:
    """What cleaning says of a source: its rows, and the net amounts of sales."""

    table: str
    read: int
    duplicate: int
    rejected: int
    skipped: int
    """Rows that were left out and name no fact."""
    money: dict[str, Sums]
    """`read`, `duplicate`, `rejected` and `skipped`; what is absent is 0."""


@dataclass
class Removals:
    """What became of the rows that remove facts, by kind: `deleted`, `skipped`, `unchanged`."""

    rows: dict[str, int] = field(default_factory=dict)
    money: dict[str, Sums] = field(default_factory=dict)
    """Their own net amounts, as far as they have one that can be read."""

    def add(self, kind: str, rows: int, net: Sums) -> None:
        """Count rows of a kind."""
        self.rows[kind] = self.rows.get(kind, 0) + rows
        self.money[kind] = plus(self.money.get(kind, {}), net)

    def move(self, kind: str, to: str, rows: int, net: Sums) -> None:
        """Count rows as another kind than before."""
        self.add(to, rows, net)
        self.add(kind, -rows, minus({}, net))


@dataclass
class Movement:
    """What the loader says it has done to the facts and their net amount."""

    rows_before: int = 0
    before: Sums = field(default_factory=dict)
    rows_inserted: int = 0
    inserted: Sums = field(default_factory=dict)
    corrected: Sums = field(default_factory=dict)
    rows_removed: int = 0
    removed: Sums = field(default_factory=dict)


@dataclass(frozen=True)
class Claims:
    """What the stages of a run say that they have done: the validator holds it against the star."""

    inputs: dict[str, Input]
    """By source."""
    dimensions: dict[str, MemberCounts]
    """By table."""
    facts: FactCounts
    members_before: dict[str, int]
    """By dimension, without the Unknown member."""
    net_unchanged: Sums
    """The net amount of facts that were there just so."""
    removals: Removals
    movement: Movement
    keys_found: int
    """`schema.key_sum` of the facts that were written."""
    lost: int
    """Facts whose members were not found, although they had been refused or inferred before."""


def plain(value: Any) -> Any:
    """A result as `json.dumps` takes it: dataclasses as dicts, amounts as text with four decimals.

    What a run has not come to (a reconciliation, the look at references) is left out.
    """
    if is_dataclass(value) and not isinstance(value, type):
        named = {f.name: getattr(value, f.name) for f in fields(value)}
        return {n: plain(v) for n, v in named.items() if v is not None or n not in _LEFT_OUT}
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return f"{value:.4f}" if isinstance(value, Decimal) else value


_LEFT_OUT = (
    "reconciliation", "references", "money", "currencies", "period",
    "before", "inserted", "corrected", "removed", "after", "rejected_money",
)  # fmt: skip
