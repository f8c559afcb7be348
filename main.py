"""The nightly run: extract, transform, load dimensions, load facts, validate, publish.

`python main.py` from a shell or cron; `StarSchemaETLPipeline(load_config())` in a notebook.
"""

from __future__ import annotations

if __name__ == "__main__":  # before the imports below, so that --help answers at once
    import cli

    cli.program()

from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path

import pyarrow as pa
import sqlalchemy as sa

from common.outcomes import Claims, SourceRead
from common.setting_texts import Moment, parse_moment
from common.star_model import references, target_of
from common.version import VERSION
from config import StarSchemaConfig
from errors import EXIT_CODES, ExtractionError, GateError
from extract import DataExtractor
from load_dimensions import DimensionLoader
from load_facts import FactLoader
from pages.results import Results
from report.run_text import in_log
from run import (
    afterwards,
    changes,
    currencies,
    logs,
    looks,
    members,
    retention,
    unchanged,
    watermarks,
)
from run.absence import absence_in, absences_of_members, may_remove
from run.clean_source import CleanSource
from run.frame import Run
from run.handed import Facts, Members
from run.later_rows import without_later
from run.orphans import without_orphans
from run.reject_limit import refuse_too_many
from run.replay import Replay
from run.staging import clean_sources
from run.summary import Extraction, Outcomes, RunSummary
from schema import etl_run
from sources.raw_source import RawSource
from transform import StarSchemaTransformer, batch_rules
from validate import StarSchemaValidator
from warehouse import drift, for_others, growth, history

__version__ = VERSION


class StarSchemaETLPipeline:
    """One run: its phases in sequence, one transaction, a summary of what happened."""

    def __init__(
        self,
        config: StarSchemaConfig,
        *,
        dry_run: bool = False,
        quiet: bool = False,
        full_refresh: bool = False,
        since: Moment | str | None = None,
        until: date | str | None = None,
        replay: Replay | None = None,
        changes: Path | str | None = None,
        rejects: bool = False,
        before_commit: Callable[[], None] = lambda: None,
        is_shown: bool = False,
    ) -> None:
        """`dry_run` does everything but publish; it writes rejects if `rejects` says so. `quiet`
        says nothing on stderr but errors, and to who shows the summary (`is_shown`) not even
        these. `changes` is a file for all that the run changes.

        `full_refresh`, `since` and `until` say which part of the sources the run is of, see
        `StarSchemaConfig.for_run`; `since` also overrides what a WATERMARK remembers.
        With a `replay` only its reject files are loaded, and what they do not have stays.
        `before_commit` is called when all is done but the commit; what it raises ends the run.

        Raises `ConfigError` where these options do not fit the settings.
        """
        self.replay = replay
        if replay is None:
            config = config.for_run(full_refresh=full_refresh, since=since, until=until)
        self.config = config if replay is None else replay.settings(config)
        self.since = parse_moment(since)
        self.is_repeatable = not full_refresh and since is None and replay is None
        """Whether the run may be taken for a repetition of the last one."""
        self.star = config.star
        self.dry_run = dry_run
        self.quiet = quiet
        self.is_shown = is_shown
        self._changes = None if changes is None else Path(changes)
        self._writes_rejects = rejects or not dry_run
        self._before_commit = before_commit
        self.summary: RunSummary | None = None
        """What the last run says of itself."""
        self._transformer = StarSchemaTransformer(self.config)

    def __repr__(self) -> str:
        read = [name for name, source in self.config.sources.items() if source.path is not None]
        return f"<{type(self).__name__} of {', '.join(read)} into {self.config.place}>"

    def run_full_pipeline(self) -> Results:
        """Run everything; returns the summary, a dict that `json.dumps` accepts.

        A failed run is reported there, not raised. Only KeyboardInterrupt and SystemExit pass
        through, after the rollback. Raises `ConfigError` when the log file cannot be written.
        """
        run = Run(
            self.config, quiet=self.quiet, is_shown=self.is_shown, replay=self.replay,
            changes=self._changes, writes_rejects=self._writes_rejects,
            is_rehearsal=self.dry_run,
        )  # fmt: skip
        self.summary = run.summary
        with run.logged():
            with run.reported(), run.opened():
                if not run.retried(partial(self._repeat_previous, run)):
                    extracted = self._run_extraction_phase(run)
                    cleaned = self._run_transformation_phase(run, extracted)
                    run.retried(partial(self._load_and_publish, run, extracted, cleaned))
                if run.summary.status == "published":
                    run.warn(*retention.tidy(self.config, run.warehouse, run.summary.rejects_dir))
                    self._write_page(run)
            if run.summary.code in (EXIT_CODES["failed"], EXIT_CODES["gate_failed"]):
                self._write_page(run)
            self._log_pipeline_summary(run.summary)
        return Results(run.summary, self.config)

    @property
    def run_id(self) -> str:
        """The id of the run that was begun last; blank before the first one."""
        return self.summary.run_id if self.summary else ""

    def _load_and_publish(
        self, run: Run, extracted: dict[str, RawSource], cleaned: dict[str, CleanSource]
    ) -> None:
        """One transaction from the first member to the commit."""
        loaded = self._run_dimension_loading_phase(run, extracted, cleaned)
        facts = self._run_fact_loading_phase(run, extracted, loaded)
        self._run_validation_phase(run, extracted, loaded, facts)
        with run.phase("publishing"):
            run.progress.advance("keys and indexes")
            growth.complete(run.warehouse, loaded.grown)
            self._publish(run, grown=bool(loaded.grown.gained))
            if run.summary.status == "published":
                run.warn(*growth.complete_apart(run.warehouse, loaded.grown))

    def _repeat_previous(self, run: Run) -> bool:
        """Whether input and star are as the last published run left them. Its results stand then,
        and are published as this run's.
        """
        with run.phase("opening"):
            found = self._repetition(run)
        if found is None:
            return False
        previous, outcomes = found
        with run.repeating(previous, outcomes), run.phase("publishing"):
            self._publish(run)
        logs.logger.info(
            "the input is that of run %s, and the star is as it left it: all rows are unchanged",
            previous.run_id,
        )
        return True

    def _repetition(self, run: Run) -> tuple[history.Past, Outcomes] | None:
        """The last published run and the outcomes of repeating it, in a transaction that has begun;
        or None, and no transaction.
        """
        warehouse = run.warehouse
        warehouse.begin()
        found = drift.compare(warehouse, self.star.tables)
        drift.refuse(warehouse, found)
        if may_remove(self.config):
            drift.refuse_removals(warehouse, found, self.star.fact)
        previous = history.last_published(warehouse) if found.is_whole(etl_run) else None
        warehouse.rollback()  # no transaction stays open while sources are read
        run.follow(previous)
        if previous is None or not found.is_grown:
            return None
        run.last_mark = previous.snapshot
        if not self.is_repeatable:
            return None
        run.progress.advance(f"is it the input of {previous.run_id}?")
        outcomes = unchanged.repeated(self.config, run.signature, previous, run.workers)
        if outcomes is None:
            return None
        warehouse.begin()
        if not warehouse.untouched_since(run.last_mark, unchanged.tables(self.star)):
            warehouse.rollback()
            return None
        return previous, outcomes

    # --- the phases: each takes what it needs, adds to the summary, and returns what it made ---

    def _run_extraction_phase(self, run: Run) -> dict[str, RawSource]:
        """Read every source into the working folder."""
        with run.phase("extraction") as phase:
            found = run.summary.outcomes.extraction = Extraction()
            starts = watermarks.begin(self.config, run.watermarks, self.since)
            began = datetime.now(UTC)
            try:
                extractor = DataExtractor(run.to_read(), starts)
                extracted = extractor.extract(run.spool.folder, run.progress, run.workers)
                run.watermarks, notes = watermarks.moved(
                    self.config, run.watermarks, starts, extracted, began
                )
            except ExtractionError as error:
                found.extraction_errors = error.problems
                raise
            read = [one for source in extracted.values() for one in (source, *source.joined)]
            for source in read:
                found.sources[source.name] = SourceRead(source.records, source.files)
                run.warn(*source.warnings)
                logs.logger.info("%s: %s records read", source.name, f"{source.records:,}")
            run.warn(*notes)
            run.sources = {source.name: source.files for source in read}
            found.total_records = sum(source.records for source in read)
            found.success = True
            phase.rows = found.total_records
        return extracted if self.replay is None else self.replay.with_others(self.config, extracted)

    def _run_transformation_phase(
        self, run: Run, extracted: dict[str, RawSource]
    ) -> dict[str, CleanSource]:
        """Clean every batch, resolve duplicates, write the rejects."""
        with run.phase("transformation") as phase:
            cleaned = clean_sources(
                extracted.values(),
                batch_rules,
                self.config,
                run.spool.folder,
                run.workers,
                progress=run.progress,
            )
            for name, source in cleaned.items():
                run.report_cleaned(source, extracted[name])
                run.warn(*source.marked.warnings(name, source.read))
                run.warn(*filter(None, [] if self.replay else [source.doubt]))
            currencies.take(run, extracted, cleaned)
            refuse_too_many(run.summary, self.config, extracted, cleaned, batch_rules)
            phase.rows = sum(source.rows for source in cleaned.values())
        return cleaned

    def _run_dimension_loading_phase(
        self, run: Run, extracted: dict[str, RawSource], cleaned: dict[str, CleanSource]
    ) -> Members:
        """Begin the transaction; merge the dimensions."""
        with run.phase("dimension_loading") as phase:
            grown = growth.begin_load(run.warehouse, self.star.tables, apart=not self.dry_run)
            run.warn(*grown.warnings)
            record = changes.begin(
                run.warehouse, self.config, grown, dry_run=self.dry_run, file=run.change_file
            )
            run.summary.changes = record.told
            if any(cleaned[self.star.sales.name].removing):
                drift.refuse_removals(run.warehouse, grown, self.star.fact)
            if self.replay is not None:
                cleaned = without_later(run, self.replay, extracted, cleaned)
            before = members.counts(run.warehouse, self.star)
            with DimensionLoader(self.config, run.warehouse, record) as loader:
                described = self._described(cleaned)
                run.warn(*members.take_over(run.warehouse, self.star, extracted, cleaned, record))
                known = cleaned
                if self.config.orphan_policy == "reject":
                    known = self._refuse_orphans(run, loader, extracted, cleaned, described)
                absences, doubts = absences_of_members(self.config, extracted, cleaned)
                rows = self._dimension_rows(run, known, described)
                run.progress.expect(sum(len(part) for parts in rows.values() for part in parts))
                keys = loader.load_all_dimensions(rows, run.progress, absences)
                run.warn(*doubts, *loader.warnings)
                run.warn(*changes.unusual(run.warehouse, self.star, record.told, before))
            run.summary.outcomes.dimensions = loader.results
            phase.rows = sum(counts.rows for counts in loader.results.values())
        sales = self.star.sales.name
        refused = cleaned[sales].rows - known[sales].rows
        settings, raw = self.config.source(sales), extracted[sales]
        by_currency = currencies.is_by_currency(self.star, settings, raw, run)
        return Members(keys, before, known, refused, grown, by_currency, record)

    def _run_fact_loading_phase(
        self, run: Run, extracted: dict[str, RawSource], loaded: Members
    ) -> Facts:
        """Merge the facts."""
        with run.phase("fact_loading") as phase:
            sales = loaded.cleaned[self.star.sales.name]
            raw, by_currency = extracted[sales.name], loaded.by_currency
            with FactLoader(
                self.config, run.warehouse, run.id, mapped=raw.mapped, by_currency=by_currency,
                record=loaded.record,
            ) as loader:  # fmt: skip
                run.progress.expect(sales.rows)
                loader.load_sales_facts(
                    sales.tasks(),
                    loaded.keys,
                    run.progress,
                    sales.removals(),
                    absence_in(self.config, raw, sales)[0],
                )
                run.warn(*loader.warnings, *loaded.record.warnings)
            counts = loader.counts
            lost = counts.orphaned_records
            counts.records_failed = counts.orphaned_records = lost + loaded.refused_orphans
            run.summary.outcomes.facts = counts
            references = looks.references(
                self.star, raw.mapped, sales, loaded.keys, loader.named, loaded.cleaned
            )
            counts.references = looks.summary(references)
            run.warn(*looks.look(run.warehouse, references))
            phase.rows = counts.rows
        keys_found = loader.key_sum - loader.key_sum_unchanged
        return Facts(
            counts, loader.net_unchanged, keys_found, lost, loader.removals, loader.movement
        )

    def _run_validation_phase(
        self, run: Run, extracted: dict[str, RawSource], loaded: Members, facts: Facts
    ) -> None:
        """Prove the star and close the accounts, inside the transaction.

        Raises `GateError` where a check fails or the accounts do not close.
        """
        with run.phase("validation") as phase:
            late = loaded.grown.late_in(self.star.fact)
            validator = StarSchemaValidator(
                self.config, run.warehouse, run.id, run.last_mark, late,
                by_currency=loaded.by_currency,
            )  # fmt: skip
            found = run.summary.outcomes.validation = validator.check_star(run.progress)
            outcomes = run.summary.outcomes
            inputs = {
                name: source.input(self.star.table_of(name).name)
                for name, source in loaded.cleaned.items()
            }
            validator.check_run(
                found,
                Claims(
                    inputs, outcomes.dimensions, facts.counts, loaded.before,
                    facts.net_unchanged, facts.removals, facts.movement, facts.keys_found,
                    facts.lost,
                ),
            )  # fmt: skip
            refuse_too_many(run.summary, self.config, extracted, loaded.cleaned, batch_rules)
            if found.validation_errors:
                raise GateError(f"{'; '.join(found.validation_errors)}; nothing was published")
            phase.rows = sum(found.row_counts.values())
            run.warn(*run.unlike_others())

    # --- helpers of the phases ---------------------------------------------------------------

    def _publish(self, run: Run, *, grown: bool = False) -> None:
        """Write the run's row and commit, last of all; or roll back what was only tried."""
        run.judge_quality()
        logs.sync_log()
        if run.change_file is not None:
            run.change_file.finish()
        if self.dry_run:
            run.warehouse.rollback()
            run.summary.status = "dry_run"
            return
        last = run.previous
        is_as_before = not grown and last is not None and last.signature == run.signature
        run.warn(*for_others.complete(run.warehouse, self.star, is_as_before=is_as_before))
        mine = etl_run.c.run_id == run.id
        run.insert_row(run.warehouse, "published")
        run.workers.check()
        self._before_commit()
        run.watch.is_committing = True
        run.progress.advance("commit")
        run.warehouse.commit(
            proof=sa.select(etl_run.c.status).where(mine, etl_run.c.status == "published")
        )
        run.summary.status = "published"

    def _described(self, cleaned: dict[str, CleanSource]) -> dict[str, list[pa.Table]]:
        """By source of members, the rows that describe them; none where there is no source."""
        return {
            s.name: [task() for task in cleaned[s.name].tasks()] if s.name in cleaned else []
            for s in self.star.members
        }

    def _dimension_rows(
        self,
        run: Run,
        cleaned: dict[str, CleanSource],
        described: dict[str, list[pa.Table]],
    ) -> dict[str, list[pa.Table]]:
        """What each dimension is loaded from: its source, then placeholders for ids without one."""
        sales = cleaned[self.star.sales.name]
        calendar = self.star.calendar
        rows = {calendar.name: [members.whole_years(run.warehouse, calendar, sales)]}
        for name, batches in described.items():
            ids = sales.strangers(self.star.source(name).key)
            rows[self.star.table_of(name).name] = list(batches)
            if name not in cleaned or self.config.orphan_policy == "infer":
                placeholders = self._transformer.members_without_source(name, ids, batches)
                rows[self.star.table_of(name).name].append(placeholders)
        return rows

    def _refuse_orphans(
        self,
        run: Run,
        loader: DimensionLoader,
        extracted: dict[str, RawSource],
        cleaned: dict[str, CleanSource],
        described: dict[str, list[pa.Table]],
    ) -> dict[str, CleanSource]:
        """The sources without the sales of members that neither their source describes nor the
        star knows. What is refused here leaves no trace in any table.
        """
        known = {
            key: loader.known_keys(target_of(key), described[source.name])
            for key in references(self.star.fact)
            if (source := self.star.source_of(target_of(key))).name in cleaned
        }
        name = self.star.sales.name
        sales = without_orphans(cleaned[name], known, run.spool.folder, run.workers)
        run.report_cleaned(sales, extracted[name])
        return {**cleaned, name: sales}

    def _write_page(self, run: Run) -> None:
        """The page of the run, with its charts; what fails there is a warning."""

        def write() -> None:
            from pages.writing import write  # noqa: PLC0415  # where it is wanted

            write(run)

        if self.config.reports_dir is not None and not self.dry_run:
            afterwards.attempt(run, "REPORTS_DIR", write)

    def _log_pipeline_summary(self, summary: RunSummary) -> None:
        """The summary to the log file: line by line, or as JSON."""
        logs.summarize(in_log(summary, self.config), summary.as_dict())
