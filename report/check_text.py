"""What `check` has found, for people: how a run would end, why, and what comes next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from common.results import SKIPPED
from common.source_settings import SourceSettings
from common.star_model import Source
from config import StarSchemaConfig
from report.screen import NARROW, Column, Piece, Screen, Shown
from run.check import EXAMPLES, Findings, Refusal, SourceFindings, Strangers
from run.logs import one_line
from sources.joins import orders_of
from sources.pieces import OpenSource
from sources.raw_source import IGNORED

_FILES_SHOWN = 5
_COLUMNS_SHOWN = 50
_WIDTH = 30
_LEAST_SIDE = 18
"""So wide a row stands beside others at least, where each column has a line."""
_LABEL = 12
_MANY = 0.05  # of the sales: more that name unknown members are worth a warning
_IN = 3
"""How far what belongs to a source stands further in."""
NOT_JUDGED = (
    "what only the warehouse knows: members that the sources lack, rows that EXTRACT would take "
    "away, its keys, rights and triggers, and the audit of the star; "
    "`python main.py --dry-run` tries all of it"
)


def render(
    findings: Findings, config: StarSchemaConfig, screen: Screen, proposed: Sequence[str] = ()
) -> str:
    """How a run would end; then each source, the warehouse, what could not be judged, the settings
    that are `proposed`; and at last what comes next.
    """
    page = _Page(screen)
    page.verdict(findings)
    for source in config.star.sources:
        found = findings.sources.get(source.name)
        if found is not None:
            page.source(source, found, config, findings)
    if config.join is not None and config.join.source in findings.sources:
        orders = orders_of(config.star.sales, config.join)
        page.source(orders, findings.sources[orders.name], config, findings)
    page.absent([s.name for s in config.star.sources if s.name not in findings.sources])
    page.warehouse(findings)
    page.say(NOT_JUDGED, "not judged")
    for line in proposed:
        further = len(line) - len(line.lstrip())
        page.lines.append(screen.line(" " * (1 + further), line.strip(), indent=3 + further))
    page.next(findings, is_proposed=bool(proposed))
    return screen.render(page.lines)


class _Page:
    """The lines, as they are put together."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        self.lines: list[Shown] = []

    # --- how a run would end, and what comes next ---------------------------------------------

    def verdict(self, findings: Findings) -> None:
        """The first line."""
        meaning, words = verdict(findings)
        sign = (self.screen.sign(meaning), meaning)
        end = f"a run {words}"
        self.lines.append(
            self.screen.line(" ", sign, " ", (end, meaning), *why(findings), indent=3)
        )

    def next(self, findings: Findings, *, is_proposed: bool) -> None:
        """The last line."""
        meaning, words = verdict(findings)
        setup = "take the settings above, or let python main.py setup write them; then "
        step = {
            "good": "python main.py",
            "look": "correct what is refused, or its setting; then python main.py check",
            "bad": f"correct what is marked {self.screen.sign('bad')}; then python main.py check",
        }[meaning]
        step = f"{setup}python main.py check" if is_proposed else step
        sign = (self.screen.sign(meaning), meaning)
        line = self.screen.line(
            " ", sign, " ", f"a run {words}", ("  next ", "dim"), step, indent=3
        )
        self.lines += [self.screen.line(""), line]

    # --- the sources --------------------------------------------------------------------------

    def source(
        self, source: Source, found: SourceFindings, config: StarSchemaConfig, findings: Findings
    ) -> None:
        """A source: its files, its columns, its first rows, and what would be refused."""
        cleaned, name = found.cleaned, source.name
        is_full = name in findings.at_fault and not found.looked.problems
        is_odd = is_full or bool(found.refusals)
        meaning = "bad" if found.looked.problems else "look" if is_odd else "good"
        rows = "" if cleaned is None else f"  {cleaned.rows:,} of {cleaned.read:,} rows would load"
        sign = (self.screen.sign(meaning), meaning)
        self.lines += [
            self.screen.line(""),
            self.screen.line(" ", sign, " ", (name, "strong"), rows, indent=_IN),
        ]
        for problem in found.looked.problems:
            self.mark("bad", problem)
        self._files(found, config.source(name))
        self._columns(found, source)
        self._sample(found)
        for warning in warnings_of(found):
            self.mark("look", warning)
        self._refusals(found, config)
        for each in findings.strangers if source.describes_facts else []:
            self._strangers(each, config.orphan_policy)

    def _files(self, found: SourceFindings, settings: SourceSettings) -> None:
        files = found.looked.opened
        for file in files[:_FILES_SHOWN]:
            delimiter = f", delimiter {file.delimiter!r}" if file.delimiter else ""
            self.say(f"{file.label}: {file.format}{delimiter}, {len(file.columns)} columns", "file")
        if more := len(files[_FILES_SHOWN:]):
            self.say(f"and {more:,} more, {len(files):,} in all", "file")
        self.say(
            f"encoding {settings.encoding}, dates {' or '.join(settings.date_formats)}, "
            f"decimal separator {settings.decimal_separator!r}",
            "read as",
        )

    def _columns(self, found: SourceFindings, source: Source) -> None:
        """Those of another name each on a line, those of their own name in one."""
        mapping = found.looked.mapping
        own = [ours for ours, theirs in (mapping or {}).items() if theirs == [ours]]
        self._listed("columns", own)
        for ours, theirs in (mapping or {}).items():
            if ours == SKIPPED:
                self.say(f"asks {', '.join(theirs)}", "skip when")
            elif ours not in own:
                required = ", which is required" * (ours in source.required)
                self.say(f"{ours} from {' + '.join(theirs)}{required}", "column")
        if mapping is not None:
            absent = [column for column in source.optional if column not in mapping]
            unused = found.looked.unused()
            self._listed("not found", absent)
            self._listed("not used", unused)
            if absent and unused:
                setting = f"{source.name.upper()}__COLUMNS"
                self.say(f"{setting} maps columns that have other names")
        self._listed("inside", found.inside, "to be mapped by these names: ")

    def _sample(self, found: SourceFindings) -> None:
        sample = found.sample
        if sample is None or not len(sample.read):
            return
        self.say("", "the first rows as they are read")
        self._rows(sample.read)
        if len(sample.stored):
            self.say("", "as they would be stored")
            self._rows(sample.stored)
        else:
            self.say("none of them would be stored")

    def _rows(self, table: pa.Table) -> None:
        """Rows below each other, or side by side where they are too wide: a column a line."""
        names, indent = table.column_names, _IN + 2
        rows = [[*map(_shown, row.values())] for row in table.to_pylist()]
        columns = [Column(name, right=False) for name in names]
        if self.screen.has_room(columns, rows, indent=indent):
            self.lines += self.screen.table(columns, rows, indent=indent)
            return
        filled = [at for at in range(len(names)) if any(row[at] for row in rows)]
        room = self.screen.width - indent - max(len(names[at]) for at in filled) - 2
        count = max(1, min(len(rows), room // _LEAST_SIDE))
        each = max(room // count - 2, 1)
        turned: list[list[Piece]] = [
            [(names[at], "dim"), *(row[at][:each] for row in rows[:count])] for at in filled
        ]
        self.lines += self.screen.table([Column(right=False)] * (count + 1), turned, indent=indent)

    def _refusals(self, found: SourceFindings, config: StarSchemaConfig) -> None:
        """Per reason how many rows, what would help, and the first of them."""
        source = found.cleaned
        if source is None:
            return
        of = f"of {source.read:,} rows"
        for reason, refusal in found.refusals.items():
            words = f"{refusal.rows:,} {of} would be rejected: {reason}"
            self.mark("look", words + _helped(found.advice.get(reason)))
            for line in _first(refusal, found.looked.opened):
                self.lines.append(self.screen.line(" " * (_IN + 4), line, indent=_IN + 6))
        if rejected := sum(source.rejected.values()):
            limit = config.max_reject_rate
            where = "`python main.py --dry-run --rejects` writes them all to REJECTS_DIR"
            if rejected > limit * source.read:
                self.mark("look", f"above MAX_REJECT_RATE={limit}: {rejected:,} {of}; {where}")
            else:
                self.say(f"within MAX_REJECT_RATE={limit}: {rejected:,} {of}; {where}")
        for name, count in source.issues.items():
            words = f"{count:,} {of}: {name} is not usable, and left empty"
            self.mark("look", words + _helped(found.advice.get(name)))
        if left_out := source.skipped + sum(source.removing):
            lists = config.source(found.looked.name).explode
            empty = f" (or have nothing in {lists!r}, and make no row)" if lists else ""
            self.say(
                f"{left_out:,} {of} are flagged as deleted or left out by SKIP_WHEN: their sales "
                f"would go, if the star has them{empty}"
            )
        if source.duplicates:
            are = "is" if source.duplicates == 1 else "are"
            self.say(f"{source.duplicates:,} {of} {are} there twice: one counts")

    def _strangers(self, found: Strangers, policy: str) -> None:
        outcome = "get an inferred member" if policy == "infer" else "are rejected"
        words = (
            f"{found.rows:,} of {found.sales:,} sales name {found.ids:,} {found.column} that "
            f"{found.source} lacks, such as {found.example!r}: they {outcome}, unless the "
            "warehouse knows them"
        )
        if policy == "reject" or found.rows > _MANY * found.sales:
            self.mark("look", words)
        else:
            self.say(words)

    def absent(self, names: Iterable[str]) -> None:
        """The sources that are not configured."""
        for name in names:
            sign = (self.screen.sign("none"), "dim")
            words = f"  not configured (set {name.upper()}__PATH); not required"
            self.lines += [
                self.screen.line(""),
                self.screen.line(" ", sign, " ", name, (words, "dim"), indent=_IN),
            ]

    def warehouse(self, findings: Findings) -> None:
        """The warehouse, and the places that a run writes to."""
        where, *told = findings.warehouse
        problems = [line.strip() for line in told if line.strip().startswith("problem: ")]
        meaning = "bad" if problems or findings.places else "good"
        name, _, url = where.partition(": ")
        sign = (self.screen.sign(meaning), meaning)
        self.lines += [
            self.screen.line(""),
            self.screen.line(" ", sign, " ", (name, "strong"), f"  {url}", indent=_IN),
        ]
        for line in told:
            if line.strip() in problems:
                self.mark("bad", line.strip().removeprefix("problem: "))
            else:
                self.say(line.strip())
        for place in findings.places:
            self.mark("bad", place)
        self.lines.append(self.screen.line(""))

    # --- lines --------------------------------------------------------------------------------

    def say(self, text: str, label: str = "") -> None:
        """A line of a source."""
        is_wide = bool(label and text) and self.screen.width >= NARROW
        begins = f"{label:<{_LABEL}}" if is_wide else f"{label}  " if label else ""
        further = _LABEL if is_wide else 2
        self.lines.append(self.screen.line(" " * _IN, (begins, "dim"), text, indent=_IN + further))

    def mark(self, meaning: str, text: str) -> None:
        """A line that is worth a look."""
        sign = (self.screen.sign(meaning), meaning)
        self.lines.append(self.screen.line(" " * _IN, sign, f" {text}", indent=_IN + 2))

    def _listed(self, what: str, names: Sequence[str], begins: str = "") -> None:
        if names:
            more = f" and {len(names) - _COLUMNS_SHOWN} more" if names[_COLUMNS_SHOWN:] else ""
            self.say(f"{begins}{', '.join(names[:_COLUMNS_SHOWN])}{more}", what)


def verdict(findings: Findings) -> tuple[str, str]:
    """How a run would end: `good`, `look` or `bad`, and in words."""
    return {
        0: ("good", "would publish"),
        3: ("look", "would be refused"),
        2: ("bad", "cannot start"),
    }[findings.exit_code]


def why(findings: Findings) -> Iterator[str]:
    """What is to be known of that end."""
    seen = f", by the first {findings.rows:,} rows or so of each source" if findings.rows else ""
    if findings.exit_code == 2:
        faulty = [name for name, found in findings.sources.items() if found.looked.problems]
        if findings.places or not findings.fits:
            faulty.append("warehouse")
        yield f": see {', '.join(faulty)}"
    elif findings.over_limit:
        yield f"{seen}: {'; '.join(findings.over_limit)}"
    else:
        cleaned = [f.cleaned for f in findings.sources.values() if f.cleaned is not None]
        rows = ", ".join(f"{s.name} {s.rows:,} of {s.read:,} rows" for s in cleaned)
        if findings.asks_warehouse:
            seen += ", if the warehouse knows the members that the sources lack"
        yield f"{seen}: {rows}"


def warnings_of(found: SourceFindings) -> Iterator[str]:
    """What the run would warn of; columns that are not used are listed already."""
    extracted, name = found.looked.extracted, found.looked.name
    for warning in [] if extracted is None else extracted.warnings:
        plain = warning.removeprefix(f"{name}: ")
        if not plain.startswith(IGNORED):
            yield plain


def _shown(value: Any) -> str:
    """The beginning of a value, if it is one."""
    return "" if value is None else one_line(str(value)[:_WIDTH])


def _first(refusal: Refusal, files: Sequence[OpenSource]) -> list[str]:
    unit = {file.label: "line" if file.format == "csv" else "record" for file in files}
    lines = [
        f"{f'{place.label}, ' if len(files) > 1 else ''}{unit[place.label]} {place.line}"
        + (f": {place.detail[:100]!r}" if place.detail else "")
        for place in refusal.first[:EXAMPLES]
    ]
    more = refusal.rows - len(lines)
    return [*lines, f"and {more:,} more"] if more else lines


def _helped(advice: str | None) -> str:
    return f"; {advice}" if advice else ""
