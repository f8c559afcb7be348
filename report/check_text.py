"""What `check` has found, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from common.results import SKIPPED
from common.source_settings import SourceSettings
from common.star_model import Source
from config import StarSchemaConfig
from report.text_tables import aligned
from run.check import EXAMPLES, Findings, Refusal, SourceFindings, Strangers
from run.logs import one_line
from sources.joins import orders_of
from sources.pieces import OpenSource
from sources.raw_source import IGNORED

_FILES_SHOWN = 5
_COLUMNS_SHOWN = 50
_WIDTH = 30
_MANY = 0.05  # of the sales: more that name unknown members are worth a warning


def render(findings: Findings, config: StarSchemaConfig, proposed: Sequence[str] = ()) -> list[str]:
    """Each source, the warehouse, what could not be judged, the settings that are `proposed`, and
    at last how a run would end.
    """
    lines = []
    for source in config.star.sources:
        name = source.name
        found = findings.sources.get(name)
        if found is None:
            lines += [f"{name}: not configured (set {name.upper()}__PATH); not required", ""]
        else:
            lines += [*_source(source, found, config, findings), ""]
    join = config.join
    if join is not None and join.source in findings.sources:
        found, orders = findings.sources[join.source], orders_of(config.star.sales, join)
        lines += [*_files(found, config.source(join.source)), *_columns(found, orders)]
        lines += [*(f"  problem: {problem}" for problem in found.looked.problems), ""]
    lines += [*findings.warehouse, *(f"  problem: {place}" for place in findings.places), ""]
    lines += [_NOT_JUDGED, *proposed, "", _verdict(findings)]
    return [one_line(line) for line in lines]


_NOT_JUDGED = (
    "not judged: what only the warehouse knows: members that the sources lack, rows that EXTRACT "
    "would take away, its keys, rights and triggers, and the audit of the star; "
    "`python main.py --dry-run` tries all of it"
)


def _verdict(findings: Findings) -> str:
    seen = f", by the first {findings.rows:,} rows or so of each source" if findings.rows else ""
    if not findings.can_start:
        return "A run cannot start: see above."
    if findings.over_limit:
        return f"A run would be refused{seen}: {'; '.join(findings.over_limit)}."
    cleaned = [f.cleaned for f in findings.sources.values() if f.cleaned is not None]
    rows = ", ".join(f"{s.name} {s.rows:,} of {s.read:,} rows" for s in cleaned)
    asks = ", if the warehouse knows the members that the sources lack" * findings.asks_warehouse
    return f"A run would publish{seen}{asks}: {rows}."


def _source(
    source: Source, found: SourceFindings, config: StarSchemaConfig, findings: Findings
) -> list[str]:
    name = source.name
    strangers = findings.strangers if source.describes_facts else []
    return [
        *_files(found, config.source(name)),
        *_columns(found, source),
        *_sample(found),
        *_warnings(found),
        *_refusals(found, config),
        *(_told_strangers(each, config.orphan_policy) for each in strangers),
        *(f"  problem: {problem}" for problem in found.looked.problems),
    ]


def _files(found: SourceFindings, settings: SourceSettings) -> list[str]:
    files = found.looked.opened
    lines = [
        f"{found.looked.name}: {len(files)} file(s), encoding {settings.encoding}, dates "
        f"{' or '.join(settings.date_formats)}, decimal separator {settings.decimal_separator!r}"
    ]
    for file in files[:_FILES_SHOWN]:
        delimiter = f", delimiter {file.delimiter!r}" if file.delimiter else ""
        lines.append(f"  {file.label}: {file.format}{delimiter}, {len(file.columns)} columns")
    if more := len(files[_FILES_SHOWN:]):
        lines.append(f"  ... and {more} more")
    return lines


def _columns(found: SourceFindings, source: Source) -> list[str]:
    name, mapping, lines = found.looked.name, found.looked.mapping, []
    for canonical, own in (mapping or {}).items():
        if canonical == SKIPPED:
            lines.append(f"    {name.upper()}__SKIP_WHEN asks {', '.join(own)}")
            continue
        star = "*" if canonical in source.required else " "
        lines.append(f"  {star} {canonical:<18} <- {' - '.join(own)}")
    if mapping is not None:
        absent = [column for column in source.optional if column not in mapping]
        unused = found.looked.unused()
        lines += _listed("not found", absent) + _listed("not used", unused)
        if absent and unused:
            lines.append(f"  ({name.upper()}__COLUMNS maps columns that have other names)")
    return lines + _listed("inside, to be mapped by these names", found.inside)


def _listed(what: str, names: Sequence[str]) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - _COLUMNS_SHOWN} more" if names[_COLUMNS_SHOWN:] else ""
    return [f"  {what}: {', '.join(names[:_COLUMNS_SHOWN])}{more}"]


def _sample(found: SourceFindings) -> list[str]:
    sample = found.sample
    if sample is None or not len(sample.read):
        return []
    lines = ["  as they are read:", *_rows(sample.read), "  as they would be stored:"]
    return lines + (_rows(sample.stored) if len(sample.stored) else ["  none of them"])


def _rows(table: pa.Table) -> list[str]:
    rows = [tuple(_shown(value) for value in row.values()) for row in table.to_pylist()]
    return aligned(tuple(table.column_names), rows)


def _shown(value: Any) -> str:
    """The beginning of a value, if it is one."""
    return "" if value is None else one_line(str(value)[:_WIDTH])


def _warnings(found: SourceFindings) -> list[str]:
    """What the run would warn of; columns that are not used are listed already."""
    extracted, name = found.looked.extracted, found.looked.name
    warnings = [] if extracted is None else extracted.warnings
    plain = [warning.removeprefix(f"{name}: ") for warning in warnings]
    return [f"  warning: {warning}" for warning in plain if not warning.startswith(IGNORED)]


def _refusals(found: SourceFindings, config: StarSchemaConfig) -> list[str]:
    """Per reason how many rows, what would help, and the first of them."""
    source = found.cleaned
    if source is None:
        return []
    files = found.looked.opened
    lines = []
    for reason, refusal in found.refusals.items():
        lines.append(
            f"  warning: {refusal.rows:,} of {source.read:,} rows would be rejected: "
            f"{reason}{_helped(found.advice.get(reason))}"
        )
        lines += _first(refusal, files)
    if rejected := sum(source.rejected.values()):
        limit = config.max_reject_rate
        side = "warning: above" if rejected > limit * source.read else "within"
        lines.append(
            f"  {side} MAX_REJECT_RATE={limit}: {rejected:,} of {source.read:,} rows; "
            "`python main.py --dry-run` writes them all to REJECTS_DIR"
        )
    lines += [
        f"  warning: {count:,} of {source.read:,} rows: {name} is not usable, and left empty"
        f"{_helped(found.advice.get(name))}"
        for name, count in source.issues.items()
    ]
    if left_out := source.skipped + sum(source.removing):
        lists = config.source(found.looked.name).explode
        empty = f" (or have nothing in {lists!r}, and make no row)" if lists else ""
        lines.append(
            f"  {left_out:,} of {source.read:,} rows are flagged as deleted or left out by "
            f"SKIP_WHEN: their sales would go, if the star has them{empty}"
        )
    if source.duplicates:
        lines.append(f"  {source.duplicates:,} of {source.read:,} rows are there twice: one counts")
    return lines


def _first(refusal: Refusal, files: Sequence[OpenSource]) -> list[str]:
    unit = {file.label: "line" if file.format == "csv" else "record" for file in files}
    lines = [
        f"    {f'{place.label}, ' if len(files) > 1 else ''}{unit[place.label]} {place.line}"
        + (f": {place.detail[:100]!r}" if place.detail else "")
        for place in refusal.first[:EXAMPLES]
    ]
    more = refusal.rows - len(lines)
    return [*lines, f"    ... and {more:,} more"] if more else lines


def _helped(advice: str | None) -> str:
    return f"; {advice}" if advice else ""


def _told_strangers(found: Strangers, policy: str) -> str:
    outcome = "get an inferred member" if policy == "infer" else "are rejected"
    is_much = policy == "reject" or found.rows > _MANY * found.sales
    return (
        f"  {'warning: ' if is_much else ''}{found.rows:,} of {found.sales:,} sales name "
        f"{found.ids:,} {found.column} that {found.source} lacks, such as {found.example!r}: "
        f"they {outcome}, unless the warehouse knows them"
    )
