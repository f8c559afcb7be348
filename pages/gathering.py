"""What the page of a run tells, gathered from the run, its warehouse, and pages of earlier runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from common.changes import Change
from common.duck import is_interruption
from common.star_model import DELETED_FLAG, Star, business_key
from config import StarSchemaConfig
from errors import EtlError
from pages.business import Business, ask
from pages.keeping import figures_in
from pages.story import Story
from run.failures import in_words
from run.frame import Run
from run.past_summary import summary_of
from run.summary import RunSummary
from warehouse import Warehouse, reading
from warehouse.runs import (
    PastRun,
    changes_of,
    first_changes,
    known_runs,
    last_published,
    runs_before,
    runs_called,
)  # fmt: skip

T = TypeVar("T")
_FORMER, _EXAMPLES = 30, 20
"""How many runs before it a page shows, and how many changes of each table."""
_REPETITIONS = 5
"""So many runs that repeat each other are followed to find a page with figures."""
_TRIES = 3
"""So often the star is asked while runs publish."""


@contextmanager
def of_run(run: Run) -> Iterator[tuple[Story, Warehouse | None]]:
    """The story of a run that has ended, and, for the block, a warehouse that knows the run; None
    where there is none that answers.

    Of a run that has repeated another one, or has failed, the business is what the page of the run
    says that has published the star; it is asked where there is no such page.
    """
    config, past, summary = run.config, run.past(), _as_of_its_end(run)
    with ExitStack() as stack:
        problems = list[str]()
        is_published = summary.status == "published"
        warehouse = run.warehouse if is_published else _after_failure(run, stack, problems)
        if warehouse is None:
            yield Story(config, past, summary, problems=problems), None
            return
        asking = _Asking(config, warehouse, lambda: run.watch.has_intervened)
        base = past if is_published else asking.last_published()
        is_as_before = base is not past or bool(past.totals.repeats)
        figures = asking.kept(base, past) if is_as_before else None
        story = asking.story(past, summary, figures or asking.business(base))
        yield story, warehouse if is_published or asking.knows(run.id) else None


def of_past(config: StarSchemaConfig, warehouse: Warehouse, past: PastRun) -> Story:
    """The story of a run in `etl_run`, as far as it is kept. The business is asked, if no other run
    has published since; else it is what its page says, or, where there is none, that of now.
    """
    asking = _Asking(config, warehouse, lambda: False)
    summary, lost = summary_of(past, config.rejects_dir)
    base, newest = asking.last_published(past), asking.last_published()
    figures = None
    if base is not None and newest is not None and base.run_id != newest.run_id:
        figures = asking.kept(base, past)
        if figures is None:
            lost.append(
                f"the business as run {base.run_id} has published it is not kept: it is shown as "
                f"of run {newest.run_id}, the last one that has published"
            )
    if base is not None and figures is None:
        figures = asking.business(newest)
    story = asking.story(past, summary, figures)
    return replace(story, problems=[*lost, *story.problems])


def _as_of_its_end(run: Run) -> RunSummary:
    """What a run says of itself, with the times that its row has: the page itself is in none of
    them.
    """
    kept, _ = summary_of(run.past(), run.config.rejects_dir)
    outcomes = replace(run.summary.outcomes, phases=kept.outcomes.phases)
    changes = run.summary.changes
    if changes is not None and not run.config.report_personal:
        changes = changes.discreet()
    seconds = kept.total_duration_seconds
    return replace(run.summary, outcomes=outcomes, total_duration_seconds=seconds, changes=changes)


def _after_failure(run: Run, stack: ExitStack, problems: list[str]) -> Warehouse | None:
    """The warehouse that a failed run has left, for reading; None where it could not even take the
    row of the run, or is away now.
    """
    if run.row.get("status") != run.summary.status:
        return None
    try:
        warehouse = stack.enter_context(reading(run.config))
    except (EtlError, SQLAlchemyError) as error:
        problems.append(f"the star could not be asked: {in_words(error, run.config)}")
        return None
    run.watch.waiting = warehouse
    return warehouse


class _Asking:
    """Asks a warehouse part by part; a part that fails is a problem, and the others are asked."""

    def __init__(
        self, config: StarSchemaConfig, warehouse: Warehouse, is_disturbed: Callable[[], bool]
    ) -> None:
        """`is_disturbed` tells whether a signal has ended what was waited for."""
        self.config = config
        self.warehouse = warehouse
        self.problems: list[str] = []
        self._is_disturbed = is_disturbed

    def part(self, what: str, ask_for: Callable[[], T], otherwise: T) -> T:
        """Ask, in a transaction of its own that is rolled back. Raises KeyboardInterrupt where a
        signal was why that failed.
        """
        try:
            self.warehouse.rollback()
            self.warehouse.begin()
            return ask_for()
        except Exception as error:  # whatever it is, the rest can be told
            if is_interruption(error) or self._is_disturbed():
                raise KeyboardInterrupt from error
            self.problems.append(f"{what} could not be asked: {in_words(error, self.config)}")
            return otherwise
        finally:
            with suppress(SQLAlchemyError):  # of a lost connection nothing is left to roll back
                self.warehouse.rollback()

    def last_published(self, until: PastRun | None = None) -> PastRun | None:
        """The run that has published the star, or had when `until` ended."""
        what = "the run that has published the star"
        return self.part(what, lambda: last_published(self.warehouse, until), None)

    def knows(self, run_id: str) -> bool:
        """Whether the warehouse has a run."""
        return bool(self.part("the run", lambda: known_runs(self.warehouse, [run_id]), list[str]()))

    def story(self, past: PastRun, summary: RunSummary, business: Business | None) -> Story:
        """The story of a run; the business is given."""
        none = list[PastRun]()
        ask_for = partial(runs_before, self.warehouse, past, _FORMER)
        former = self.part("the runs before it", ask_for, none)
        story = Story(self.config, past, summary, former, business)
        if past.status == "published":
            changed = self.part("what it has changed", lambda: self._changes(past.run_id), None)
            overwritten, examples = changed or _changes_told(summary)
            story = replace(story, overwritten=overwritten, examples=examples)
        return replace(story, problems=self.problems)

    def business(self, star_of: PastRun | None) -> Business | None:
        """The business of the star as that run has published it; None without one."""
        if star_of is None:
            return None
        return self.part("the business", lambda: self._business(star_of), None)

    def _business(self, star_of: PastRun) -> Business:
        """Asked without a lock, it may be of two runs: then it is asked again."""
        for _ in range(_TRIES):
            found = ask(
                self.warehouse, self.config.star, star_of.run_id,
                with_personal=self.config.report_personal,
            )  # fmt: skip
            if not self.warehouse.only_reads:
                return found
            self.warehouse.rollback()
            self.warehouse.begin()
            newest = last_published(self.warehouse)
            if newest is None or newest.run_id == star_of.run_id:
                return found
            star_of = newest
        raise EtlError("runs publish all the time; ask again later")

    def kept(self, base: PastRun | None, past: PastRun) -> Business | None:
        """The business of the star as `base` has published it, by the page of `past`, of `base`, or
        of the runs that this one repeats; None where none tells.
        """
        folder = self.config.reports_dir
        if base is None or folder is None:
            return None
        ids = [base.run_id]
        while len(ids) <= _REPETITIONS and base.totals.repeats not in ("", *ids):
            ids.append(base.totals.repeats)
            ask_for = partial(runs_called, self.warehouse, ids[-1:])
            found = self.part("the runs it repeats", ask_for, dict[str, PastRun]())
            base = found.get(ids[-1], base)
        with_personal = self.config.report_personal
        for run_id in dict.fromkeys([past.run_id, *ids]):
            figures = figures_in(folder, run_id, with_personal=with_personal)
            business = None if figures is None else _as_business(figures)
            if business is not None and business.run_id in ids:
                return replace(business, run_id=ids[0])
        return None

    def _changes(self, run_id: str) -> tuple[Overwritten, Examples] | None:
        if not self.config.keep_changes:
            return None
        examples: Examples = {}
        for table, key, *rest in first_changes(self.warehouse, run_id, _EXAMPLES):
            change = _change(self.config.star, table, key, *rest)
            shown = change if self.config.report_personal else change.discreet()
            examples.setdefault(table, []).append(shown)
        return changes_of(self.warehouse, run_id), examples


Overwritten = list[tuple[str, str | None, int]]
Examples = dict[str, list[Change]]


def _change(
    star: Star, table: str, key: str, attribute: str | None, before: str | None, after: str | None
) -> Change:
    """A change, from what `etl_change` has of it."""
    if attribute is None:
        return Change(key, attribute, before, after, "removed")
    known = next((each for each in star.tables if each.name == table), None)
    column = None if known is None else known.columns.get(attribute)
    if known is None or column is None:  # of a version that had it: nobody knows what it is
        return Change(key, attribute, before, after, "changed", is_personal=True)
    kind = "flagged" if attribute == DELETED_FLAG else "changed"
    kind = "rekeyed" if column is business_key(known) else kind
    is_personal = bool(column.info.get("is_personal"))
    return Change(key, attribute, before, after, kind, is_personal)


def _changes_told(summary: RunSummary) -> tuple[Overwritten, Examples]:
    """What a run has changed, by its own summary; nothing where that is not kept."""
    overwritten: Overwritten = []
    examples: Examples = {}
    for name, table in summary.changes.tables.items() if summary.changes else ():
        overwritten += [(name, attribute, rows) for attribute, rows in table.attributes.items()]
        if removed := sum(table.removed.values()):
            overwritten.append((name, None, removed))
        if table.examples:
            examples[name] = table.examples[:_EXAMPLES]
    return overwritten, examples


def _as_business(figures: Any) -> Business | None:
    """What a page remembers; None where another version wrote it, or another hand."""
    try:
        return Business.from_dict(figures)
    except ValueError:
        return None
