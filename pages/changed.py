"""What a run changed in the star: table by table, attribute by attribute, with examples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from sqlalchemy import Table

from common.changes import Change
from common.outcomes import FactCounts, MemberCounts
from common.star_model import DELETED_FLAG, INFERRED_FLAG
from pages.shown import called, count, words
from pages.story import Story

_KINDS = ("new", "inferred", "changed", "healed", "flagged", "removed", "unchanged")
_ALWAYS = ("new", "changed")
"""What is shown even if there is none of it."""
_ATTRIBUTES, _EXAMPLES = 12, 20


@dataclass(frozen=True)
class Changed:
    """What happened to the rows of a table."""

    name: str
    rows: list[str]
    """Of each kind that is shown, how many."""
    now: str


@dataclass(frozen=True)
class Attribute:
    """In how many rows an attribute was overwritten; `share` of the most overwritten one."""

    table: str
    name: str
    rows: str
    share: float
    is_personal: bool


@dataclass(frozen=True)
class Example:
    """A value that was overwritten."""

    table: str
    key: str
    attribute: str
    before: str
    after: str
    kind: str
    is_masked: bool = False
    """Whether its values are somebody's own, and not shown."""


@dataclass(frozen=True)
class Changes:
    """All that is told of what changed."""

    kinds: list[str] = field(default_factory=list)
    """What has happened to any row."""
    tables: list[Changed] = field(default_factory=list)
    attributes: list[Attribute] = field(default_factory=list)
    more_attributes: int = 0
    examples: list[Example] = field(default_factory=list)


def changes(story: Story) -> Changes:
    """What the run of a story changed; nothing of one that was not published."""
    outcomes, star = story.summary.outcomes, story.config.star
    if not story.summary.success:
        return Changes()
    found = {
        table.name: _members(story, table, outcomes.dimensions[table.name])
        for table in star.dimensions
        if table.name in outcomes.dimensions
    }
    if outcomes.facts is not None:
        found[star.fact.name] = _facts(outcomes.facts)
    kinds = [k for k in _KINDS if k in _ALWAYS or any(rows.get(k) for rows in found.values())]
    attributes = _attributes(story)
    return Changes(
        kinds,
        [
            Changed(
                _called(story, table),
                [count(rows.get(kind)) for kind in kinds],
                count(_now(story, table)),
            )
            for table, rows in found.items()
        ],
        attributes[:_ATTRIBUTES],
        len(attributes[_ATTRIBUTES:]),
        _examples(story),
    )


def _called(story: Story, table: str) -> str:
    """What people call the rows of a table."""
    star = story.config.star
    return called(star).get(table, words(table))


def _overwritten(story: Story, table: str, attribute: str | None) -> int:
    return sum(n for name, own, n in story.overwritten if (name, own) == (table, attribute))


def _now(story: Story, table: str) -> int:
    """How many rows a table has, of a dimension without the Unknown member."""
    validation = story.summary.outcomes.validation
    rows = validation.row_counts.get(table, 0) if validation else 0
    return rows if table == story.config.star.fact.name else max(rows - 1, 0)


def _members(story: Story, table: Table, counts: MemberCounts) -> dict[str, int]:
    told = story.summary.changes.tables.get(table.name) if story.summary.changes else None
    # A record that comes takes away the flag of the placeholder.
    healed = told.healed if told else _overwritten(story, table.name, INFERRED_FLAG)
    healed = min(healed, counts.updated)
    return {
        "new": counts.inserted,
        "inferred": counts.inferred,
        "changed": counts.updated - healed,
        "healed": healed,
        "flagged": counts.deleted,
        "unchanged": counts.unchanged,
    }


def _facts(counts: FactCounts) -> dict[str, int]:
    gone = counts.records_deleted
    return {
        "new": counts.records_inserted,
        "changed": counts.records_updated,
        "removed": gone.by_flag + gone.by_absence,
        "unchanged": counts.records_unchanged,
    }


def _attributes(story: Story) -> list[Attribute]:
    star = story.config.star
    tables = {table.name: table for table in star.tables}
    found = [
        (name, attribute, rows)
        for name, attribute, rows in story.overwritten
        if attribute and attribute not in (INFERRED_FLAG, DELETED_FLAG)
    ]
    most = max((rows for *_, rows in found), default=1)
    return [
        Attribute(
            _called(story, name),
            words(attribute),
            count(rows),
            round(100 * rows / most, 1),
            _is_personal(tables.get(name), attribute),
        )
        for name, attribute, rows in sorted(found, key=lambda each: -each[2])
    ]


def _is_personal(table: Table | None, attribute: str | None) -> bool:
    """Whether a column holds personal data; one that the star does not know may."""
    if table is None or attribute is None or attribute not in table.columns:
        return True
    return bool(table.columns[attribute].info.get("is_personal"))


def _examples(story: Story) -> list[Example]:
    """The first changes of each table, as many of one as of another."""
    tables = {table.name: table for table in story.config.star.tables}
    each = max(_EXAMPLES // max(len(story.examples), 1), 1)
    found: list[Example] = []
    for name, some in story.examples.items():
        rows: dict[tuple[str, str], list[Change]] = {}
        for change in some:
            rows.setdefault((change.key, change.kind), []).append(change)
        shown = [
            row for of_row in rows.values() for row in _of_row(story, tables.get(name), of_row)
        ]
        called = _called(story, name)
        found += [replace(example, table=called) for example in shown[:each]]
    return found[:_EXAMPLES]


def _of_row(story: Story, table: Table | None, changes: list[Change]) -> Iterator[Example]:
    """The changes of a row: each value that may be shown, and together the names of those that may
    not.
    """
    hidden = []
    for change in changes:
        name = words(change.attribute or "")
        is_personal = change.is_personal or (name and _is_personal(table, change.attribute))
        if is_personal and not story.config.report_personal:
            hidden.append(name)
            continue
        before, after = _value(change.before), _value(change.after)
        yield Example("", change.key, name, before, after, change.kind)
    if hidden:
        first = changes[0]
        yield Example("", first.key, ", ".join(hidden), "", "", first.kind, is_masked=True)


def _value(value: str | None) -> str:
    return value or "(empty)"
