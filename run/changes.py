"""The record of what a run changes: how it begins, and the file that `--changes` names."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import pyarrow as pa
import pyarrow.csv as pa_csv

from common.files import open_private, private_folder
from common.key_rules import KEY_RULES
from common.rejects import disarmed
from common.version import VERSION
from config import StarSchemaConfig
from errors import ChangeFileError, ConfigError
from warehouse import Warehouse, history
from warehouse.changes import ChangeRecord, Habits
from warehouse.drift import Drift

HEADER = ("run", "table", "key", "attribute", "before", "after", "kind")
_FIRST_LINE = ",".join(HEADER) + "\n"


class ChangeFile:
    """A CSV file of all that a run changes. It takes its name when all of it is in it, and its
    place: only a file of changes is replaced.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._part = path.with_name(f"{path.name}.part")
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
        try:
            with self.path.open("rb") as there:
                if there.read(len(_FIRST_LINE)) == _FIRST_LINE.encode():
                    return
        except FileNotFoundError:
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
    last: tuple[Any, ...] | None = history.last_rules(warehouse)
    return last is not None and last != (VERSION, KEY_RULES)
