"""Extraction: find the files of each source, map their columns, write their rows to the spool.

Nothing is cleaned here. The problems of all sources are reported together, before any other phase.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import Any

from sqlalchemy import URL
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_after_delay,
    wait_random_exponential,
)

from common.html import Displayed, frames_html
from common.parallel import Task, Workers
from common.progress import SILENT, Progress
from common.results import LINE
from common.setting_display import told
from common.since import Start
from common.spool import Spool
from common.star_model import Source
from config import StarSchemaConfig
from errors import ExtractionError, SourceLostError
from sources.batches import ReadOptions
from sources.continued import continuation, continue_rows
from sources.databases import Databases
from sources.inspection import inspect_rows
from sources.joins import all_sources, join_orders, lacking
from sources.mapping import (
    layout,
    names_used,
    refuse_without_watermark,
    resolve_mapping,
    source_columns_of,
)
from sources.mapping_errors import differing
from sources.pieces import OpenSource
from sources.places import find_places
from sources.problems import Problems
from sources.raw_source import RawSource, ReadSource, extraction_metadata, frame, join_files
from sources.read_files import Part, ReadFile, refuse_lost
from sources.sheet_places import with_sheets
from sources.source_files import SourceFile, first_rows, place_file


class DataExtractor:
    """Reads the configured sources."""

    def __init__(
        self,
        config: StarSchemaConfig,
        starts: Mapping[str, Start] | None = None,
        only: Mapping[str, str] | None = None,
    ) -> None:
        """`starts` says where to begin reading each source that has a WATERMARK. Of a source in
        `only`, just the file with that label is read.
        """
        self.config = config
        self.starts, self._only = starts or {}, only or {}
        self._sources = all_sources(config.star, config.join)

    def __repr__(self) -> str:
        read = (f"{n}: {told(s.path)}" for n, s in self.config.sources.items() if s.path)
        return f"<{type(self).__name__} of {', '.join(read)}>"

    def extract_all_sources(self) -> dict[str, Any]:
        """Every source as a whole, for a notebook; a pipeline run works batch by batch.

        Returns a dict with a DataFrame of canonical text columns for each of `customers`,
        `products`, `transactions` and `sales_reps` (empty when not configured), and `_metadata`.
        Raises `ExtractionError` naming every faulty source.
        """
        with Spool(self.config.work_dir) as made:
            extracted = self.extract(made.folder)
            frames: dict[str, Any] = {
                source.name: frame(extracted.get(source.name), source)
                for source in self.config.star.sources
            }
        metadata = extraction_metadata(extracted)
        return Displayed({**frames, "_metadata": metadata}, "sources", frames_html)

    def extract(
        self,
        folder: Path,
        progress: Progress = SILENT,
        workers: Workers | None = None,
    ) -> dict[str, RawSource]:
        """Read every configured source into `folder`. `progress` hears of each batch: its
        source, its records, and its share of all bytes where all sources are files on a disk.
        Without `workers` it has threads of its own.

        Raises `ExtractionError` with the problems of all sources.
        """
        looked = self.look(folder, progress, None, workers)
        problems = [problem for source in looked.values() for problem in source.problems]
        if problems:
            raise ExtractionError(problems)
        return {n: source.extracted for n, source in looked.items() if source.extracted is not None}

    def look(
        self,
        folder: Path,
        progress: Progress = SILENT,
        rows: int | None = None,
        workers: Workers | None = None,
    ) -> dict[str, ReadSource]:
        """Read every configured source into `folder`, and return its rows or its problems.

        With `rows`, only the batches with the first `rows` records of each source are read.
        """
        if workers is None:
            with Workers(self.config.workers) as own:
                return self.look(folder, progress, rows, own)
        problems = Problems(list(self.config.sources))
        names = [name for name, source in self.config.sources.items() if source.path is not None]
        found: dict[str, list[ReadFile]] = {}

        def read_all() -> None:
            waiting = [name for name in names if name not in found]
            found.update(self._read_sources(problems, waiting, folder, workers, progress, rows))
            if problems.lost and not problems.others:
                raise SourceLostError("; ".join(problems.messages()))

        def begin_again(_: RetryCallState) -> None:
            for name in self._to_read_again(problems):
                for read in found.pop(name):
                    progress.advance(name, -read.records)
                    read.discard()
            problems.begin_again()

        with suppress(SourceLostError):  # it is among the problems
            _again(self.config.retry_seconds, begin_again)(read_all)
        looked = {name: self._looked(name, found.get(name, []), problems) for name in names}
        self._join(looked, folder, workers)
        return looked

    def _join(self, looked: dict[str, ReadSource], folder: Path, workers: Workers) -> None:
        """Bring the orders to their lines: they are no source of the star by themselves."""
        sales = self.config.star.sales
        join = self.config.join
        if join is None:
            return
        of_lines, of_orders = looked[sales.name], looked[join.source]
        lines, orders = of_lines.extracted, of_orders.extracted
        of_orders.extracted = None
        if lines is None or orders is None:
            return
        problem = lacking(lines, orders, sales)
        if problem:
            of_lines.problems.append(problem)
        else:
            join_orders(lines, orders, join, folder, workers.count)

    def _looked(self, name: str, reads: list[ReadFile], problems: Problems) -> ReadSource:
        messages = problems.messages(name)
        settings = self.config.source(name)
        notes = [*self._start(name).notes, *problems.notes(name)]
        extracted = None if messages else join_files(self._source(name), settings, reads, notes)
        if extracted is not None:
            extracted.empty_files = problems.empty.get(name, [])
        return ReadSource(name, [read.file for read in reads], messages, extracted)

    def _read_sources(
        self,
        problems: Problems,
        names: Sequence[str],
        folder: Path,
        workers: Workers,
        progress: Progress,
        rows: int | None,
    ) -> dict[str, list[ReadFile]]:
        """Read these sources. The sales come first: they are the most, and whatever they refer to
        is in a table that is read after them.
        """
        with closing(Databases(workers.count)) as databases:
            found: dict[str, list[ReadFile]] = {}
            sales = self.config.star.sales.name
            for name in sorted(names, key=lambda name: name != sales):
                files = self._collect(problems, name, databases, folder, rows)
                source = self._source(name)
                shared = workers.share(source)
                found[name] = [ReadFile(source, shared, file, folder) for file in files]
            self._read(problems, list(chain.from_iterable(found.values())), workers, progress, rows)
        return found

    def _to_read_again(self, problems: Problems) -> list[str]:
        """The sources on a server to which a connection was lost: what they hold belongs together,
        as of one moment.
        """
        servers = {_server(self.config.source(name).path) for name in problems.lost}
        return [n for n, source in self.config.sources.items() if _server(source.path) in servers]

    def _collect(
        self,
        problems: Problems,
        name: str,
        databases: Databases,
        folder: Path,
        rows: int | None,
    ) -> list[SourceFile]:
        """The files of a source, opened and mapped; what is wrong with them is in `problems`.

        Of several, none stays open: a thousand files are more than a process may have.
        """
        files: list[SourceFile] = []
        if self.config.source(name).watermark and self._start(name).value is None:
            problems.add(name, self._start(name).problem)
            return files
        calls = self._files(problems, name, databases, folder, rows)
        for label, call in calls:
            file = problems.attempt(name, label, call)
            if file is None:
                continue
            mapping = problems.attempt(name, label, partial(self._mapping, name, file.opened))
            if mapping is None:
                first = None if files else first_rows(file.opened)
                files.append(replace(file, first=first))
            else:
                is_open = len(calls) == 1 and not file.opened.opens_later
                files.append(replace(file, mapping=mapping, is_mapped=True, is_open=is_open))
            if not files[-1].is_open:
                file.opened.close()
                file.opened.pieces = iter(())  # they hold on to the whole archive
        mapped = [file.opened for file in files if file.is_mapped]
        others = [file.opened for file in files if not file.is_mapped]
        if mapped and others:
            advice = differing(self._source(name), self.config.source(name), mapped, others)
            problems.add(name, advice)
        return files

    def _mapping(self, name: str, opened: OpenSource) -> dict[str, list[str]]:
        source, settings = self._source(name), self.config.source(name)
        refuse_without_watermark(opened, source, settings)
        mapping = resolve_mapping(opened, source, settings)
        continuation(opened, source, settings, mapping)  # raises where it cannot be
        return mapping

    def _start(self, name: str) -> Start:
        unknown = f"{name.upper()}__WATERMARK: nothing says where to begin; give --since"
        return self.starts.get(name, Start(None, unknown))

    def _source(self, name: str) -> Source:
        return self._sources[name]

    def _files(
        self,
        problems: Problems,
        name: str,
        databases: Databases,
        folder: Path,
        rows: int | None,
    ) -> list[tuple[str, Callable[[], SourceFile]]]:
        """The files of the source, and a call that opens each; it may raise `SourceError`."""
        settings, options = self.config.source(name), self._options(name, rows)
        if isinstance(settings.path, URL):
            call = partial(databases.open, name, settings.path, settings.query or "", options)
            label = databases.label(name, settings.path)
            return [(label, lambda: SourceFile(call, lambda: None, None, call()))]
        setting = f"{name.upper()}__PATH"
        path = settings.path or ""
        found = problems.attempt(name, path, partial(find_places, path, setting, folder))
        problems.passed_over[name] = found.passed_over if found else []
        problems.empty[name] = found.empty if found else []
        sheets = partial(with_sheets, found.places if found else [], options, folder)
        places, no_tables = problems.attempt(name, path, sheets) or ([], [])
        problems.passed_over[name] = [*problems.passed_over[name], *no_tables]
        wanted = self._only.get(name)
        places = [place for place in places if wanted in (None, place.label)]
        return [(p.label, partial(place_file, p, options, setting, folder)) for p in places]

    def _options(self, name: str, rows: int | None) -> ReadOptions:
        """How the files of a source are read; of each, `rows` records at most are looked at."""
        settings, source = self.config.source(name), self._source(name)
        return ReadOptions(
            name,
            settings.encoding,
            settings.delimiter,
            min(rows or self.config.batch_rows, self.config.batch_rows),
            source_columns_of(source.encoded, settings) | settings.skip_when.keys(),
            source_columns_of(source.numbers, settings, in_lower_case=True)
            if settings.decimal_separator == ","
            else frozenset(),
            source_columns_of(source.keys, settings, in_lower_case=True),
            source_columns_of(source.dates, settings, in_lower_case=True),
            "EXCEL" in settings.date_formats,
            names_used(source, settings),
            settings.watermark or "",
            self._start(name).value,
            settings.split_by or "",
            layout(source, settings),
            rows,
        )

    def _read(
        self,
        problems: Problems,
        reads: list[ReadFile],
        workers: Workers,
        progress: Progress,
        rows: int | None,
    ) -> None:
        """Spill all files; after a fault in one the others are read: there may be more."""
        enough, done = set[str](), Counter[str]()
        sizes = [read.size for read in reads if read.file.is_mapped]
        progress.expect(0 if rows or None in sizes else sum(filter(None, sizes)), "bytes")
        under_way: deque[tuple[ReadFile, Part]] = deque()

        def tasks() -> Iterator[Task[Any]]:
            numbers = count()
            for read in (read for read in reads if read.file.is_mapped):
                for part, task in read.tasks(numbers, enough):
                    under_way.append((read, part))
                    yield task

        for result in workers.in_order(tasks(), self.config.workers + 2):
            read, part = under_way.popleft()
            if part is None:  # it was the last
                problems.attempt(read.name, read.opened.label, partial(self._finish, read))
                progress.reach((read.size or 0) - read.reached)
                continue
            if read.fault is not None or read.name in enough:  # it was read ahead
                continue
            before, reached = read.records, read.reached
            again = read.take(part, result)
            while again is not None:
                again = read.take(again[0], workers.result(again[1]))
            progress.advance(read.name, read.records - before)
            progress.reach(read.reached - reached)
            done[read.name] += read.records - before
            if rows is not None and done[read.name] >= rows:
                enough.add(read.name)

    def _finish(self, read: ReadFile) -> None:
        """Map a file that was read. Raises `SourceError` if it could not be, or has changed."""
        read.finish()
        mapping = self._mapping(read.name, read.opened)  # later records may bring columns
        late = {name: own for name, own in mapping.items() if own != read.mapping.get(name)}
        for batch in read.batches:
            read.inspection.add(batch.inspection)
            read.meanings.add(batch.meanings)
            batch.forget()  # a batch goes to whoever cleans it
            if late:
                rows = batch.originals()
                read.inspection.add(inspect_rows(rows, rows[LINE].to_numpy(), late, read.source))
        read.mapping = mapping
        how = continuation(read.opened, read.source, self.config.source(read.name), mapping)
        if how is not None:
            continue_rows(read.batches, how, read.folder)
        read.opened.warn_of_bytes()
        if read.source.describes_facts:
            refuse_lost(read)


def _again(seconds: float, before_sleep: Callable[[RetryCallState], None]) -> Retrying:
    """Calls a function again after a `SourceLostError`, at most four times within `seconds`."""
    return Retrying(
        retry=retry_if_exception_type(SourceLostError),
        stop=stop_after_attempt(4) | stop_after_delay(seconds),
        wait=wait_random_exponential(multiplier=0.5, max=10),
        before_sleep=before_sleep,
        reraise=True,
    )


def _server(path: str | URL | None) -> tuple[object, ...] | None:
    """What the sources of one server have in common; None for files."""
    return (path.get_backend_name(), path.host, path.port) if isinstance(path, URL) else None
