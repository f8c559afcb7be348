"""The frame of a run: what it owns while it lasts, and how it begins, is tried again, and ends."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from sqlalchemy.exc import SQLAlchemyError
from tenacity import RetryCallState

from common.duck import is_interruption
from common.key_rules import KEY_RULES
from common.outcomes import PhaseResult
from common.parallel import Workers
from common.rejects import RejectFiles
from common.run_totals import Totals
from common.spool import Spool
from common.star_model import MOST_FILES
from common.version import VERSION
from config import StarSchemaConfig
from errors import BusyError, ConfigError, EtlError, OutcomeUnknownError, TransientError
from run import logs, outliers, progress, quality, unchanged
from run.changes import ChangeFile
from run.clean_source import CleanSource
from run.clock import PhaseClock
from run.examples import Firsts
from run.failures import in_words
from run.first_run import absent_sources
from run.notify import told_of
from run.refused import in_file_order
from run.replay import Replay
from run.signals import PATIENCE_SECONDS, SIGNALS, Watch
from run.summary import PHASES, SHORT, Extraction, Failure, Outcomes, RunSummary
from run.terminal import kernel_shell
from run.workers import workers_for
from schema import etl_run
from sources.raw_source import RawSource
from warehouse import Warehouse, explain, history, new_run_id, open_warehouse, tries
from warehouse.growth import begin_load
from warehouse.runs import PastRun

_TRIES = 4
T = TypeVar("T")


class Run:
    """One run: its id, its open warehouse, its working folder, its rejects and its summary."""

    warehouse: Warehouse
    """Open within `opened`."""
    spool: Spool
    workers: Workers
    rejects: RejectFiles
    row: Mapping[str, Any] = MappingProxyType({})
    """Its row in `etl_run`, once written."""

    def __init__(
        self, config: StarSchemaConfig, *, quiet: bool, is_shown: bool = False,
        replay: Replay | None = None, changes: Path | None = None, writes_rejects: bool = True,
        is_rehearsal: bool = False,
    ) -> None:  # fmt: skip
        """With `is_shown` the caller shows errors and warnings; `changes` is a file for changes."""
        self.id = new_run_id()
        self.config = config
        self.replay = replay
        self.quiet = quiet
        self.is_shown = is_shown or (not quiet and kernel_shell() is not None)
        self.change_file = None if changes is None else ChangeFile(changes)
        self.writes_rejects = writes_rejects
        self.summary = RunSummary(self.id, str(config.rejects_dir / self.id) * writes_rejects)
        self.summary.keeps_personal_changes = config.keep_personal_changes
        self.is_rehearsal = is_rehearsal
        """Whether it is a dry run: nobody is notified of it."""
        self._absent_sources: list[str] = []
        self.signature = unchanged.signature(config, f"{VERSION}, {KEY_RULES}")
        """Of the settings and the code: see `unchanged`."""
        if replay is not None:  # nothing that a later run reads is the same input
            self.signature = f"replay of {replay.run_id}"
            self.summary.replays_run = replay.run_id
        self.previous: history.Past | None = None
        """The run that was published last."""
        self.last_mark = ""
        """What the last published run noted of the star."""
        self.sources: dict[str, Any] = {}
        """The files that were read, by source, as `etl_run` keeps them."""
        self.watermarks: dict[str, Any] = {}
        """How far each source was read, as `etl_run` keeps it of a published run."""
        self.currencies: dict[str, int] = {}
        """In how many amounts each currency was seen last, in all runs of the star."""
        self.display = progress.Display()
        self.progress = self.display.phase(SHORT["opening"])
        self.watch = Watch()
        self._clock = PhaseClock()
        self._opening, self._phase = "warehouse", "opening"
        self.summary.outcomes.phases[self._phase].status = "failed"  # until it is done
        self._error_class: str | None = None
        self._warehouse_warnings: list[str] = []

    # --- how it begins and ends --------------------------------------------------------------

    @contextmanager
    def logged(self) -> Iterator[None]:
        """Log to the file and to stderr, and hear of signals; at the end tell NOTIFY_URL.

        In a wrong folder there is no file. Raises `ConfigError` when the file cannot be written.
        """
        with self._log():
            try:
                plan, ending = [*SHORT.values()], self.summary.in_a_line
                shown = progress.live_progress(quiet=self.quiet, plan=plan, ending=ending)
                with shown as display, self.watch.kept():
                    self.display = display
                    logs.logger.info("run %s begins", self.id)
                    self.progress = display.phase(SHORT["opening"])
                    yield
            finally:
                if not self.is_rehearsal:
                    told_of(self.config, self.summary, logs.logger.warning)

    def _log(self) -> AbstractContextManager[None]:
        config = self.config
        self._absent_sources = absent_sources(config)
        if self._absent_sources:
            return logs.logging_to_stderr(config.log_level, quiet=self.quiet)
        return logs.logging_to(
            config.log_file, config.log_level, self.id, quiet=self.quiet, form=config.log_format
        )

    def _refuse_absent_sources(self) -> None:
        """Before anything is made. It is told as the extraction would.

        Raises `ConfigError`.
        """
        if self._absent_sources:
            with self.phase("extraction"):
                self.summary.outcomes.extraction = Extraction(
                    extraction_errors=self._absent_sources
                )
                raise ConfigError(self._absent_sources)

    @contextmanager
    def reported(self) -> Iterator[None]:
        """The one boundary: a failure of the block ends up in the summary and in `etl_run`.

        Only KeyboardInterrupt and SystemExit pass through.
        """
        try:
            yield
        except KeyboardInterrupt:
            self._log_interruption()
            raise
        except Exception as error:  # whatever it is, it is reported
            if is_interruption(error) or self.watch.has_intervened or SIGNALS.has_interrupted:
                self._log_interruption()
                raise KeyboardInterrupt from error
            self._record_failure(error)
        self.summary.total_duration_seconds = self._clock.read(self.summary.outcomes.phases)
        is_recorded = not self.is_rehearsal and self.summary.status in ("failed", "gate_failed")
        if is_recorded and self.summary.exit_code is None and self.watch.waiting is not None:
            self._write_failed_run()

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Take the warehouse's lock before a million rows are read; make the working folder."""
        self._refuse_absent_sources()
        with ExitStack() as stack:
            self.warehouse = stack.enter_context(open_warehouse(self.config, self.id))
            self.summary.schema = self.warehouse.schema
            self.spool = stack.enter_context(Spool(self.config.work_dir))
            self._opening = "cluster"
            self.workers = stack.enter_context(workers_for(self.config, self.spool.folder))
            self._opening = "warehouse"  # which is looked at next
            self.watch.waiting, self.watch.workers = self.warehouse, self.workers
            self._warehouse_warnings = self.warehouse.warnings
            self.warn(*self.warehouse.warnings, *self.workers.warnings)
            self.warn(*(self.replay.warnings if self.replay else ()))
            self.warehouse.spill_into(self.spool.folder)
            sources = self.config.sources.items()
            formats = {name: (s.delimiter or ",", s.encoding) for name, s in sources}
            folder = self.config.rejects_dir / self.id
            self.rejects = RejectFiles(folder, formats, self.config.workers)
            if self.change_file is not None:
                stack.enter_context(self.change_file)
            yield

    def to_read(self) -> StarSchemaConfig:
        """The settings by which sources are read."""
        return self.config if self.replay is None else self.replay.to_read(self.config)

    # --- what happens within -----------------------------------------------------------------

    @contextmanager
    def phase(self, name: str) -> Iterator[PhaseResult]:
        """One of `PHASES`; the block says how many rows it handled. The time until the next one
        begins is its.
        """
        self._phase = name
        self._clock.turn_to(name)
        phases, title = self.summary.outcomes.phases, PHASES[name]
        result = phases[name]
        self.progress = self.display.phase(SHORT[name], title)
        result.status = "failed"
        if name != "opening":  # which the beginning of the run has told
            logs.logger.info("%s begins", title)
        try:
            yield result
            if name != "publishing":  # what is published cannot fail any more
                self.workers.check()
            result.status = "success"
        finally:
            self._clock.read(phases)
            self.progress.finish(result.rows, failed=result.status == "failed")
        rows = f": {result.rows:,} rows" if result.rows else ""
        logs.logger.info("%s done%s in %.2f s", title, rows, result.duration_seconds)

    def retried(self, step: Callable[[], T]) -> T:
        """A step with a transaction of its own: again as a whole, and on a new connection, where
        a disturbance may have passed.

        Raises `TransientError` where it did not pass.
        """
        was_disturbed = False

        def attempt() -> T:
            try:
                if was_disturbed:
                    self.warehouse.reconnect()
                return step()
            except Exception as error:  # the warehouse knows its own; others go on
                transient = self.warehouse.transient(error)
                if transient is None or self.watch.has_intervened:
                    raise
                raise transient from error

        def take_back(state: RetryCallState) -> None:
            nonlocal was_disturbed
            was_disturbed, self.watch.is_committing = True, False
            self.summary.retries += 1
            error = state.outcome.exception() if state.outcome else None
            self.warn(f"{self._doing} is tried again: {error}", at_once=True)
            self.summary.outcomes.forget_loading()
            self.summary.changes = None

        retrying = tries(_TRIES, self.config.retry_seconds, before_sleep=take_back)
        try:
            result: T = retrying(attempt)
        except TransientError as error:
            done = retrying.statistics["attempt_number"]
            raise TransientError(f"{error}; given up after {done} of {_TRIES} tries") from error
        return result

    def follow(self, previous: history.Past | None) -> None:
        """Take up what the last published run knew."""
        self.previous = previous
        if previous is not None:
            self.summary.follows_run = previous.run_id
            self.summary.known = previous.warnings
            self.watermarks, self.currencies = previous.watermarks, previous.currencies
            self.warn(*filter(None, [previous.damage]))

    def warn(self, *warnings: str, at_once: bool = False) -> None:
        """Put warnings into the summary and the log. Who shows the summary need not be told before,
        but for what is wanted `at_once`.
        """
        later = {"file_only": self.is_shown and not at_once}
        for warning in warnings:
            self.summary.warnings.append(warning)
            logs.logger.warning("%s", warning, extra=later)

    def judge_quality(self) -> None:
        """Warn of rejects, inferred members and values that were not usable, once each."""
        outcomes, star, limit = (
            self.summary.outcomes,
            self.config.star,
            self.config.warn_reject_rate,
        )
        self.summary.alarm = quality.alarm(outcomes, star, limit)
        found = quality.warnings(outcomes, star, limit)
        self.summary.states = frozenset(found) - {self.summary.alarm}
        self.warn(*(w for w in found if w not in self.summary.warnings))

    def unlike_others(self) -> list[str]:
        """How the run differs from those before it; a replay is like none of them."""
        if self.replay is not None:
            return []
        seconds = self._clock.read(self.summary.outcomes.phases)
        totals = Totals.of(self.summary.outcomes.as_dict())
        found = outliers.of_tonight(self.warehouse, self.summary.started_at, totals, seconds)
        return [f"unlike the runs before: {each}" for each in found]

    def report_cleaned(self, source: CleanSource, extracted: RawSource) -> None:
        """Say what cleaning made of a source, and bring the rows it has lost to disk."""
        table = self.config.star.table_of(source.name)
        told = self.summary.outcomes.tables[table.name] = source.told()
        firsts = Firsts(table)
        rows = firsts.noted(in_file_order(extracted, source.kept))
        if not self.writes_rejects:
            for batch in rows:
                batch()
            told.first = firsts.places
            return
        self.rejects.write(source.name, extracted.columns, rows)
        told.first = firsts.places
        for orders in extracted.joined:
            self.rejects.write(orders.name, orders.columns, in_file_order(orders, orders.kept))

    @contextmanager
    def repeating(self, previous: history.Past, outcomes: Outcomes) -> Iterator[None]:
        """Take the previous run's files and rejects for this one's while the block publishes its
        `outcomes`.

        Where it fails, or is interrupted, the summary says nothing of a run that was not made.
        """
        summary = self.summary
        before = summary.outcomes, summary.rejects_dir
        summary.outcomes, summary.repeats_run = outcomes, previous.run_id
        if self.writes_rejects:
            run_id, counts = previous.run_id, previous.counts
            folder = unchanged.rejects_folder(self.config.rejects_dir, run_id, counts)
            summary.rejects_dir = str(folder)
        outcomes.phases["opening"] = before[0].phases["opening"]
        self.sources = previous.sources
        try:
            yield
        except BaseException:  # an interruption too
            before[0].phases["publishing"] = outcomes.phases["publishing"]
            (summary.outcomes, summary.rejects_dir), summary.repeats_run = before, None
            summary.status = "failed"
            raise

    # --- its row -----------------------------------------------------------------------------

    def insert_row(self, warehouse: Warehouse, status: str) -> None:
        """Add the row of this run to `etl_run`."""
        self.row = self._row(warehouse, status)
        history.add(warehouse, self.row)

    def past(self) -> PastRun:
        """This run as its row has it, whether or not there was a warehouse to take the row."""
        is_kept = self.row.get("status") == self.summary.status  # it may have been rolled back
        return PastRun.of(self.row if is_kept else self._row(None, self.summary.status))

    def _row(self, warehouse: Warehouse | None, status: str) -> dict[str, Any]:
        if status == "published":  # which is what the row says, if it is there to be read
            self._clock.read(self.summary.outcomes.phases)
        counts = self.summary.outcomes.as_dict()
        if status == "published":
            counts["phases"]["publishing"]["status"] = "success"
        counts |= {**self.summary.told(), "warehouse_warnings": self._warehouse_warnings}
        counts |= {"currencies": self.currencies} if self.currencies else {}
        if status == "published" and warehouse is not None:
            counts |= self._proof(warehouse)
            self.warn(*history.thin(warehouse))
        return {
            "run_id": self.id,
            "started_at": self.summary.started_at,
            "ended_at": datetime.now(UTC),
            "status": status,
            "counts": json.dumps(counts),
            "sources": json.dumps(self.sources),
            "error_class": self._error_class,
            "code_version": VERSION,
            "key_rules": KEY_RULES,
            "watermarks": json.dumps(self.watermarks if status == "published" else {}),
            "files": self._files_of_facts() if status == "published" else None,
        }

    def _files_of_facts(self) -> str | None:
        """The files that the numbers in the facts of this run stand for, as JSON. It is kept for
        ever: a run that has written no fact needs none.
        """
        facts = self.summary.outcomes.facts
        if facts is None or not facts.records_inserted + facts.records_updated:
            return None
        files = self.sources.get(self.config.star.sales.name, [])[:MOST_FILES]
        return json.dumps([file["path"] for file in files])

    def _proof(self, warehouse: Warehouse) -> dict[str, Any]:
        """By what the next run recognises that it is given the same input, and the same star."""
        outcomes = self.summary.outcomes
        rows = outcomes.validation.row_counts if outcomes.validation else {}
        folder = Path(self.summary.rejects_dir)
        return {
            "signature": self.signature,
            "mark": warehouse.snapshot(unchanged.tables(self.config.star), rows, self.last_mark),
            "reject_files": unchanged.reject_hashes(folder, outcomes.tables),
            **({} if folder.name == self.id else {unchanged.REJECTS_OF: folder.name}),
        }

    def _write_failed_run(self) -> None:
        """A failed run leaves one row behind, written on its own."""
        try:
            seconds = min(self.config.retry_seconds, PATIENCE_SECONDS)  # it has cost enough
            patient = self.config.model_copy(update={"retry_seconds": seconds})
            with open_warehouse(patient, self.id) as warehouse:
                begin_load(warehouse, [etl_run])
                self.insert_row(warehouse, self.summary.status)
                warehouse.commit()
        except (EtlError, SQLAlchemyError) as error:
            logs.logger.warning("the failed run could not be recorded: %s", explain(error))

    # --- what went wrong ---------------------------------------------------------------------

    @property
    def _doing(self) -> str:
        """What the run is at, in words."""
        title = PHASES[self._phase]
        named = {"opening": f"{title} the {self._opening}", "publishing": title}
        return named.get(self._phase, f"{title} phase")

    def _record_failure(self, error: Exception) -> None:
        self.summary.status = getattr(error, "status", "failed")
        message = in_words(error, self.config)
        problems = getattr(error, "problems", ())
        self.summary.failure = Failure(self._doing, message, tuple(problems))
        self._error_class = type(error).__name__
        if isinstance(error, ConfigError):  # it touches nothing, not even etl_run
            self.summary.exit_code = error.exit_code
        if self._phase == "opening":
            if not isinstance(error, BusyError):
                message = f"The {self._opening} cannot be opened: {message}"
        elif not isinstance(error, OutcomeUnknownError):
            message = f"{self._doing} failed: {message}"
        self.summary.errors.append(message)
        logs.logger.error("%s", message, extra={"file_only": self.is_shown})

    def _log_interruption(self) -> None:
        outcome = "rolled back"
        if self.watch.is_committing:
            outcome = f"it was committing: a row of run {self.id} in etl_run tells whether it did"
        message = f"{self._doing} interrupted; {outcome}"
        self.summary.failure = Failure(
            self._doing, "", is_interrupted=True, was_committing=self.watch.is_committing
        )
        self.summary.status = "interrupted"
        self.summary.exit_code = 128 + (SIGNALS.received or signal.SIGINT)
        self.summary.errors.append(message)
        logs.logger.error("%s", message, extra={"file_only": self.is_shown})
