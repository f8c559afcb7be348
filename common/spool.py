"""The run's working folder: batches between phases, as Arrow files.

A run never holds its input whole. Each batch is one file, written and read on its own, so memory
depends on the size of a batch and not on the number of them. The files are not compressed: that
took a sixth of the extraction and a fifth of the transformation, for files half the size, most of
which are deleted before they reach a disk.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import pyarrow as pa

from common.files import private_folder
from errors import SpoolError

_LOCK = "in-use"


class Spool:
    """A private folder that is removed when the run ends, however it ends.

    Folders that killed runs left behind are removed first: their lock is free.
    """

    def __init__(self, parent: Path) -> None:
        with _telling(parent):
            private_folder(parent)
            with _alone_in(parent):
                _remove_abandoned(parent)
                self.folder = Path(tempfile.mkdtemp(prefix="run-", dir=parent))
                self._lock = (self.folder / _LOCK).open("w")
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def write(self, name: str, table: pa.Table) -> Path:
        """Write `table` as the batch called `name`; returns its path."""
        path = self.folder / f"{name}.arrow"
        with (
            _telling(self.folder),
            pa.OSFile(str(path), "wb") as file,
            pa.ipc.new_file(file, table.schema) as writer,
        ):
            writer.write_table(table)
        return path

    def close(self) -> None:
        """Remove the folder and all that is in it."""
        self._lock.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@contextmanager
def _telling(folder: Path) -> Iterator[None]:
    """Whatever the disk refuses is told with the folder and the setting that names it."""
    try:
        yield
    except OSError as error:
        raise SpoolError(
            f"{folder} cannot be written ({error.strerror or error}); "
            "make room there, or set WORK_DIR to another place"
        ) from error


def read(path: Path) -> pa.Table:
    """The batch that `Spool.write` put at `path`; only what is used of it is really read."""
    with pa.memory_map(str(path)) as file, pa.ipc.open_file(file) as reader:
        return reader.read_all()


def _remove_abandoned(parent: Path) -> None:
    for folder in parent.glob("run-*"):
        try:
            with (folder / _LOCK).open("r+") as held:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            pass  # killed before it had one
        except OSError:
            continue  # a run that is still alive
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _alone_in(parent: Path) -> Iterator[None]:
    """While a run looks for abandoned folders, no other makes one that has no lock yet."""
    descriptor = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
