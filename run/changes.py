"""The record of what a run changes: how it begins, and the file that `--changes` names."""

from __future__ import annotations

import os
import statistics
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import pyarrow as pa
import pyarrow.csv as pa_csv

from common.changes import Changes
from common.files import open_private, private_folder
from common.key_rules import KEY_RULES
from common.rejects import disarmed
from common.star_model import Star
from common.version import VERSION
from config import StarSchemaConfig
from errors import ChangeFileError, ConfigError
from schema import etl_run
from warehouse import Warehouse, history
from warehouse.changes import ChangeRecord, Habits
from warehouse.drift import Drift

HEADER = ("run", "table", "key", "attribute", "before", "after", "kind")
_SHARE, _FEW, _HISTORY = 0.05, 20, 10
"""It is unusual when more members change than so many, and a larger share than usual and this on
top of it; so many published runs make a history.
"""
_FIRST_LINE = ",".join(HEADER) + "\n"


class ChangeFile:
    """A CSV file of all that a run changes. It takes its name when all of it is in it, and its
    place: only a file of changes is replaced.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._part = path.parent / f"{path.name}.part"
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        self.begin()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()
        with suppress(OSError):
            self._part.unlink(missing_ok=True)

    def begin(self) -> None:
        """Begin with no change in it. Raises `ConfigError` where that cannot be."""
        self._close()
        try:
            self._refuse_others()
            private_folder(self.path.absolute().parent)
            self._part.unlink(missing_ok=True)
            self._file = os.fdopen(open_private(self._part, os.O_CREAT | os.O_EXCL), "wb")
            self._file.write(_FIRST_LINE.encode())
        except OSError as error:
            raise ConfigError(
                [f"--changes {self.path}: it cannot be written ({error.strerror}); name another"]
            ) from error

    def write(self, rows: pa.Table) -> None:
        """Add changes, in the order of `HEADER`; no cell is a formula."""
        texts = [disarmed(column.cast(pa.string())) for column in rows.columns]
        try:
            options = pa_csv.WriteOptions(include_header=False)
            pa_csv.write_csv(pa.table(texts, list(HEADER)), self._file, options)
        except OSError as error:
            raise self._failed(error) from error

    def finish(self) -> None:
        """Have it on disk under its name. Raises `ChangeFileError` where that fails."""
        try:
            if self._file is not None:
                self._file.flush()
                os.fsync(self._file.fileno())
            self._close()
            self._part.replace(self.path)
        except OSError as error:
            raise self._failed(error) from error

    def _refuse_others(self) -> None:
        if not self.path.exists():
            return
        if self.path.is_file():  # to read from a pipe would wait for ever
            with self.path.open("rb") as there:
                if there.read(len(_FIRST_LINE)) == _FIRST_LINE.encode():
                    return
        raise ConfigError(
            [f"--changes {self.path}: it is there, and is no file of changes; name another"]
        )

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):  # what is not written yet is not wanted, or was flushed
                file.close()

    def _failed(self, error: OSError) -> ChangeFileError:
        return ChangeFileError(
            f"--changes {self.path}: the changes could not be written "
            f"({error.strerror or 'no space left'}); make room there, or name another place"
        )


def begin(
    warehouse: Warehouse,
    config: StarSchemaConfig,
    grown: Drift,
    *,
    dry_run: bool,
    file: ChangeFile | None,
) -> ChangeRecord:
    """The record of a run whose transaction has begun, with the star as `grown` says.

    A dry run keeps nothing, and shows all. Raises `ConfigError` where `file` cannot be begun.
    """
    if file is not None:
        file.begin()
    habits = Habits(
        is_kept=config.keep_changes and not dry_run,
        keeps_personal=config.keep_personal_changes,
        is_counted=_has_other_rules(warehouse),
        just_got=frozenset(grown.gained),
        is_preview=dry_run or file is not None,
    )
    record = ChangeRecord(warehouse, warehouse.run_id, habits, None if file is None else file.write)
    record.told.is_preview = habits.is_preview
    record.told.file = None if file is None else str(file.path)
    return record


def _has_other_rules(warehouse: Warehouse) -> bool:
    """Whether the run that was published last had other rules of cleaning or of keys."""
    last = history.of_last_published(warehouse, etl_run.c.code_version, etl_run.c.key_rules)
    return last is not None and tuple(last) != (VERSION, KEY_RULES)


def unusual(
    warehouse: Warehouse, star: Star, told: Changes, members: Mapping[str, int]
) -> list[str]:
    """What to warn of: far more of a dimension's `members` change than in earlier runs. Those are
    only looked at where many change.
    """
    many = {
        source: told.tables[table]
        for source in star.members
        if (table := source.feeds.name) in told.tables
        and told.tables[table].changed > max(_FEW, _SHARE * members[table])
    }
    former = history.last_counts(warehouse) if many else []
    warnings = []
    for source, found in many.items():
        table = source.feeds.name
        share = found.changed / max(members[table], 1)
        shares = [each for counts in former if (each := _share_of(counts, table)) is not None]
        usual = statistics.median(shares) if len(shares) >= _HISTORY else share
        if share > usual + _SHARE:
            name, rows = max(found.attributes.items(), key=lambda item: item[1])
            warnings.append(
                f"{source.name}: {found.changed:,} of {members[table]:,} change tonight "
                f"({share:.1%}), {name} of {rows:,}; the usual is {usual:.1%}"
            )
    return warnings


def _share_of(counts: Mapping[str, Any], table: str) -> float | None:
    """How many of a dimension's members an earlier run changed; None where it does not say."""
    try:
        updated = counts["dimension_loading_results"][table]["updated"]
        return float(updated / max(counts["validation_results"]["row_counts"][table] - 1, 1))
    except (LookupError, TypeError):
        return None
