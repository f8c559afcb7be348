"""Sales that do not count, by their status: cancelled, voided, refunded, never finished."""

from __future__ import annotations

from dataclasses import dataclass, field

from proposal.roles import Reading
from proposal.words import is_flag, is_one_of, plain


@dataclass
class Statuses:
    """Which texts of a status mean that a sale does not count."""

    skip_when: dict[str, list[str]] = field(default_factory=dict)
    evidence: str = ""
    unknown: list[str] = field(default_factory=list)


def skipped(reading: Reading) -> Statuses:
    """The texts in the columns for a status by which sales are skipped."""
    found = Statuses()
    names = [reading.columns.get("status"), *reading.others.get("status", [])]
    flags = [*filter(is_flag, reading.table.shapes), reading.columns.get("cancelled_flag")]
    for flag in dict.fromkeys(filter(None, flags)):
        if _look_at_flag(found, reading, flag):
            names = [name for name in names if name != flag]
    for name in dict.fromkeys(filter(None, names)):
        _look(found, reading, name)
    cancelled = reading.columns.get("cancelled_at")
    if cancelled is not None and reading.shape("cancelled_at").filled:
        count = reading.shape("cancelled_at").filled
        found.unknown.append(
            f"{count:,} rows have a date in {cancelled}: they count as sales unless a status says "
            "otherwise"
        )
    return found


def _look(found: Statuses, reading: Reading, name: str) -> None:
    shape = reading.table.shapes[name]
    if shape.distinct > 60 or shape.is_number or shape.is_date:
        return
    none = [value for value in shape.values if is_one_of(value, "none") and len(value) > 1]
    unclear = [value for value in shape.values if is_one_of(value, "unclear")]
    known = {*none, *unclear, *(value for value in shape.values if is_one_of(value, "good"))}
    if not known:
        if reading.weight("status") >= 0.7 and reading.columns["status"] == name:
            texts = ", ".join(shape.values[:8])
            found.unknown.append(
                f"{name} is {texts}: if one of these means that a sale does not count, skip_when "
                "leaves it out"
            )
        return
    if none:
        _skip(found, reading, name, none, f"are {', '.join(none)}")
    strange = [value for value in shape.values if value not in known]
    if unclear or strange:
        texts = ", ".join([*unclear, *strange][:5])
        found.unknown.append(f"sales whose {name} is {texts} count; skip_when would leave them out")


_YES = {"true", "1", "y", "yes", "x", "j", "ja", "o", "oui", "s", "si", "sim", "t"}
_NO = {"false", "0", "n", "no", "nein", "non", "nao", "nee", "f"}


def _look_at_flag(found: Statuses, reading: Reading, name: str) -> bool:
    """Look at a column that says yes or no to whether a sale was cancelled; False if not."""
    values = reading.table.shapes[name].values
    if any(plain(value) not in _YES | _NO for value in values):
        return False
    if yes := [value for value in values if plain(value) in _YES]:
        _skip(found, reading, name, yes, f"have {', '.join(yes)} in {name}")
    return True


def _skip(found: Statuses, reading: Reading, name: str, texts: list[str], what: str) -> None:
    """Leave out the rows that have one of these texts."""
    shape = reading.table.shapes[name]
    rows = sum(n for v, n in zip(shape.values, shape.counts, strict=True) if v in texts)
    found.skip_when[name] = texts
    found.evidence += ("; " if found.evidence else "") + f"{rows:,} rows {what}"
