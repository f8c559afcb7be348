"""The first thing on a page: how the run ended, and what to do now."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal

from common.accounts import money_of
from common.outcomes import Reconciliation
from common.run_totals import Totals
from pages.shown import count, exact, moment, plural, short
from pages.story import Story
from report.failure import Told, ending, of_the_past, step, told
from report.figures import duration, percent, rate
from report.look_at import reasons
from run import quality
from run.summary import Failure, RunSummary

_SIGNS = {"good": "✔", "bad": "✘"}
_REASONS = 3
"""So many reasons of rejects are given an advice."""
_SHOWN = 4
"""So many warnings stand in the first screen, the others behind a click."""


@dataclass(frozen=True)
class Figure:
    """A number in large type."""

    label: str
    value: str
    note: str = ""
    whole: str = ""
    """The number with all its digits, where the value is short."""
    tone: str = ""


@dataclass(frozen=True)
class Cause:
    """Why a run was not published."""

    place: str
    because: str


@dataclass(frozen=True)
class Verdict:
    """What a page begins with."""

    tone: str
    """`good` or `bad`."""
    word: str
    """How it ended, in a word or two."""
    lead: str
    figures: list[Figure]
    facts: list[tuple[str, str]]
    """When, where, what."""
    causes: list[Cause] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    more_warnings: list[str] = field(default_factory=list)
    steps: list[tuple[str, str]] = field(default_factory=list)
    """What to do: a command or a place, and what for; either may be blank."""

    @property
    def sign(self) -> str:
        """The mark that says the same as the colour."""
        return _SIGNS[self.tone]


def verdict(story: Story) -> Verdict:
    """How the run of a story ended."""
    found = _published(story) if story.summary.success else _not_published(story)
    warnings = [*story.summary.warnings, *story.problems]
    return replace(
        found,
        facts=_facts(story),
        figures=_figures(story),
        warnings=warnings[:_SHOWN],
        more_warnings=warnings[_SHOWN:],
    )


def _published(story: Story) -> Verdict:
    summary, totals = story.summary, story.run.totals
    outcomes = summary.outcomes
    read = outcomes.extraction.total_records if outcomes.extraction else totals.read or 0
    seconds = summary.total_duration_seconds
    if summary.repeats_run:
        return Verdict(
            "good", "Nothing new",
            f"The files are those of run {summary.repeats_run}, and the star is as it left it.",
            [], [], steps=[("", "Nothing needs to be done.")],
        )  # fmt: skip
    word = "Would be published" if summary.status == "dry_run" else "Published"
    lead = f"{plural(read, 'row')} in {duration(seconds)}, {rate(read, seconds)}."
    if summary.replays_run:
        lead += f" They were the corrected rejects of run {summary.replays_run}."
    if proven := _proven(summary):
        lead += f" {proven}"
    steps = [("", "Nothing needs to be done.")]
    if summary.warnings or story.problems:
        steps = [("", "The star can be used; have a look at what stands below.")]
    if any(table.rejected for table in outcomes.tables.values()):
        steps = [(f"python main.py rejects {summary.run_id}", "shows what was refused, and why")]
    return Verdict("good", word, lead, [], [], steps=steps)


def _proven(summary: RunSummary) -> str:
    """That all checks hold and all accounts close, where they do."""
    found = summary.outcomes.validation
    if found is None or any(check.problems for check in found.checks):
        return ""
    if not _closes(found.reconciliation):
        return ""
    accounts = " and the accounts close to the last decimal" if found.reconciliation else ""
    return f"All checks of the star hold{accounts}."


def _closes(accounts: Reconciliation | None) -> bool:
    if accounts is None:
        return True
    rows = all(account.closed for account in accounts.sources.values())
    return rows and accounts.balance.closed and all(m.closed for m in money_of(accounts).values())


def _not_published(story: Story) -> Verdict:
    summary, config = story.summary, story.config
    failed = summary.failure or of_the_past(summary)
    word, texts = ending(summary, failed, config)
    parts = [told(problem) for problem in failed.problems or (failed.message,)]
    joint = ":" if summary.advice else ""  # how many rows were too many, not where it was
    during = f"{joint} {texts[0]}" if texts and texts[0] else ""
    last = _last_published(story)
    stays = "" if word == "outcome unknown" else " Nothing was published."
    untouched = f" The star of {last} is untouched." if last and stays else ""
    return Verdict(
        "bad",
        f"{word[:1].upper()}{word[1:]}",
        f"The run {'ended' if word == 'outcome unknown' else 'was ' * (word != 'failed')}"
        f"{'' if word == 'outcome unknown' else word}{during}.{stays}{untouched}",
        [],
        [],
        causes=[Cause(part.place, part.because) for part in parts],
        steps=_steps(summary, failed, parts),
    )


def _steps(summary: RunSummary, failed: Failure, parts: list[Told]) -> list[tuple[str, str]]:
    """What to do about a failure."""
    found = [part.step for part in parts if part.step]
    rejected = [reason for reason in reasons(summary.outcomes) if reason.source in summary.advice]
    found += [summary.advice[r.source].get(r.name, "") for r in rejected[:_REASONS]]
    told = [_as_command(text) for text in dict.fromkeys(filter(None, found))]
    if summary.status == "gate_failed" and reasons(summary.outcomes):
        told.append((f"python main.py rejects {summary.run_id}", "shows what was refused, and why"))
    return told or [_as_command(step(summary, failed, parts[0]))]


def _as_command(text: str) -> tuple[str, str]:
    """What to do, apart from why, where it is a command."""
    return (text, "") if text.startswith("python ") else ("", text)


def _last_published(story: Story) -> str:
    """When the run was that was published last before this one, where it is known."""
    return next((moment(r.started_at) for r in story.former if r.status == "published"), "")


def _figures(story: Story) -> list[Figure]:
    """What one wants to know first, as far as the run came."""
    summary, star = story.summary, story.config.star
    outcomes, sales = summary.outcomes, star.sales.called
    found: list[Figure] = []
    if outcomes.extraction is not None and outcomes.extraction.success:
        read = outcomes.extraction.total_records
        found.append(Figure("rows read", short(read), whole=f"{read:,}"))
        if outcomes.tables:
            found.append(_rejected(story, read))
    elif story.run.totals.read is not None:
        found += _of_totals(story.run.totals)
    if outcomes.facts is not None and outcomes.validation is not None:
        facts = outcomes.facts
        now = outcomes.validation.row_counts.get(star.fact.name, 0)
        parts = {
            "new": facts.records_inserted, "changed": facts.records_updated,
            "removed": facts.records_deleted.by_flag + facts.records_deleted.by_absence,
        }  # fmt: skip
        note = ", ".join(f"{short(rows)} {name}" for name, rows in parts.items() if rows)
        found.append(Figure(f"{sales} in the star", short(now), note or "none new", f"{now:,}"))
    found += _net(summary)
    found.append(Figure("took", duration(summary.total_duration_seconds)))
    return found


def _of_totals(totals: Totals) -> list[Figure]:
    """What is left of a run long ago."""
    counts = {
        "rows read": totals.read, "new rows": totals.new, "changed rows": totals.changed,
        "rows rejected": totals.rejected,
    }  # fmt: skip
    return [
        Figure(name, short(rows), whole=f"{rows:,}")
        for name, rows in counts.items()
        if rows is not None
    ]


def _rejected(story: Story, read: int) -> Figure:
    tables = story.summary.outcomes.tables.values()
    rejected = sum(sum(table.rejected.values()) for table in tables)
    limit = f"limit {percent(story.config.max_reject_rate)}"
    note = f"{quality.share(rejected, read)}, {limit}" if rejected else limit
    tone = "look" if rejected else ""
    return Figure("rows rejected", short(rejected), note, f"{rejected:,}", tone)


def _net(summary: RunSummary) -> list[Figure]:
    """The net amount of the star, by currency; of many currencies, none."""
    found = summary.outcomes.validation
    if found is None or found.reconciliation is None:
        return []
    accounts = found.reconciliation
    after: dict[str, tuple[Decimal, Decimal]] = {}
    if accounts.currencies is not None:
        balances = {name: each.balance for name, each in accounts.currencies.items()}
        after = {name: (each.before, each.after) for name, each in balances.items()}
    elif accounts.balance.after is not None:
        after = {"": (accounts.balance.before or Decimal(0), accounts.balance.after)}
    if len(after) > 3:
        return [Figure("currencies", count(len(after)))]
    return [
        Figure(
            f"net amount {name}".strip(),
            short(now),
            _moved(now - before) if before else "",
            exact(now),
        )
        for name, (before, now) in after.items()
    ]


def _moved(difference: Decimal) -> str:
    if not difference:
        return "as before"
    sign = "+" if difference > 0 else ""
    return f"{sign}{short(difference)}"


def _facts(story: Story) -> list[tuple[str, str]]:
    """When it ran, where, and by what; what is not known is left out."""
    run, summary, config = story.run, story.summary, story.config
    found = summary.outcomes.validation
    period = found.period if found is not None else None
    schema = config.warehouse_schema or summary.schema
    where = config.warehouse_url.render_as_string(hide_password=True)
    return [
        (name, text)
        for name, text in (
            ("Star", f"{where}{f', schema {schema}' if schema else ''}"),
            ("Period", f"{period.first} to {period.last}" if period else ""),
            ("Run", run.run_id),
            ("Number", f"{run.sequence:,} of this star's runs" if run.sequence else ""),
            ("Version", run.code_version),
            ("Retries", f"{summary.retries:,}" if summary.retries else ""),
        )
        if text
    ]
