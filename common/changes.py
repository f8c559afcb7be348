"""What a run changes in the star, in short: what its summary and a preview tell of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from decimal import Decimal
from typing import Any

from common.outcomes import plain
from common.sums import Sums

FLAG, SKIPPED, ABSENCE = "flag", "skipped", "absence"
"""Why a fact is removed: its row says so, SKIP_WHEN leaves it out, or no row bears its key."""


@dataclass(frozen=True)
class Change:
    """A value of a row that is overwritten; without `attribute` the row itself is removed."""

    key: str
    attribute: str | None
    before: str | None
    after: str | None
    kind: str
    """`changed`, `healed`, `flagged`, `removed` or `rekeyed`."""
    is_personal: bool = False

    def discreet(self) -> Change:
        """The same without values, if they are personal."""
        return replace(self, before=None, after=None) if self.is_personal else self


@dataclass(frozen=True)
class Alike:
    """How many rows change in the same way."""

    attribute: str
    before: str | None
    after: str | None
    rows: int
    is_personal: bool = False


@dataclass
class TableChanges:
    """What happens to the rows of a table."""

    new: int = 0
    inferred: int = 0
    """New members that nothing describes."""
    changed: int = 0
    """Rows with another value, those apart that are `healed` or `flagged`."""
    healed: int = 0
    """Inferred members whose record has come."""
    flagged: int = 0
    """Members that are gone from a full extract."""
    removed: dict[str, int] = field(default_factory=dict)
    """By why."""
    attributes: dict[str, int] = field(default_factory=dict)
    """In how many rows each has another value; of those that are healed, none."""
    alike: list[Alike] = field(default_factory=list)
    """The most frequent changes, of dimensions."""
    examples: list[Change] = field(default_factory=list)
    """All changes of the first rows, in the order of their keys."""
    first_new: list[str] = field(default_factory=list)
    """The first keys that are new, if a preview was asked for."""

    @property
    def touched(self) -> int:
        """How many rows that were there are not as they were."""
        return self.changed + self.healed + self.flagged + sum(self.removed.values())

    @property
    def rows(self) -> int:
        """How many rows are new, or not as they were."""
        return self.new + self.inferred + self.touched


@dataclass
class MonthEffect:
    """What happens to the net amount of the sales of a month, in one currency."""

    month: str
    currency: str
    """Empty where the source does not say."""
    difference: Decimal
    before: Decimal | None = None
    """None unless a preview was asked for."""
    after: Decimal | None = None


@dataclass
class Changes:
    """What a run changes, table by table, and what that does to the net amount of the sales."""

    tables: dict[str, TableChanges] = field(default_factory=dict)
    months: list[MonthEffect] = field(default_factory=list)
    is_preview: bool = False
    """Whether somebody asked to see them: they have personal values then."""
    file: str | None = None
    """The file that has all of them, if one was asked for."""

    def of(self, table: str) -> TableChanges:
        """The changes of a table."""
        return self.tables.setdefault(table, TableChanges())

    def move(self, month: str, net: Sums, sign: int = 1) -> None:
        """Add amounts, by currency, to those of a month, or take them away."""
        known = {(each.month, each.currency): each for each in self.months}
        for currency, amount in net.items():
            effect = known.get((month, currency))
            if effect is None:
                effect = MonthEffect(month, currency, Decimal(0))
                self.months.append(effect)
            effect.difference += sign * amount

    def settle(self, after: Mapping[tuple[str, str], Decimal] | None = None) -> None:
        """Put the months in order, without those that stay as they were; `after` is what each has
        then, by month and currency.
        """
        moved = [effect for effect in self.months if effect.difference]
        self.months = sorted(moved, key=lambda effect: (effect.month, effect.currency))
        for effect in self.months if after is not None else ():
            effect.after = (after or {}).get((effect.month, effect.currency), Decimal(0))
            effect.before = effect.after - effect.difference

    def discreet(self) -> Changes:
        """The same without personal values."""
        tables = {
            name: replace(
                table,
                alike=[each for each in table.alike if not each.is_personal],
                examples=[each.discreet() for each in table.examples],
            )
            for name, table in self.tables.items()
        }
        return replace(self, tables=tables)

    def as_dict(self, *, with_personal: bool) -> dict[str, Any]:
        """As `json.dumps` takes it; without personal values unless these are kept anyway."""
        tables = {}
        for name, table in self.tables.items():
            if not table.rows and not table.attributes:
                continue
            found = {f.name: plain(getattr(table, f.name)) for f in fields(table)}
            alike = [each for each in table.alike if with_personal or not each.is_personal]
            found["alike"] = [_shown(each) for each in alike]
            found["examples"] = [_shown(each, masked=not with_personal) for each in table.examples]
            tables[name] = found
        months = [plain(effect) for effect in self.months]
        return {"tables": tables, "net_by_month": months, "file": self.file}


def _shown(change: Change | Alike, *, masked: bool = False) -> dict[str, Any]:
    found = asdict(change)
    is_personal = found.pop("is_personal")
    return found | ({"before": None, "after": None} if masked and is_personal else {})
