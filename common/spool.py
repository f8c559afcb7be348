"""The run's working folder: batches between phases, as Arrow files.

Each batch is a file of its own, so memory depends on the size of a batch and not on the size of the
input. The files are not compressed: compression took a sixth of the extraction's time and a fifth
of the transformation's, to halve files that are mostly deleted before they reach the disk.
"""

from __future__ import annotations

import errno
import fcntl
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from common.files import alone_in, private_folder
from errors import SpoolError

_LOCK = "in-use"
_OF_NETWORKS = frozenset({
    errno.ENETDOWN, errno.ENETUNREACH, errno.ENETRESET, errno.EHOSTDOWN, errno.EHOSTUNREACH,
    errno.EADDRNOTAVAIL, errno.ENOTCONN, errno.EPROTO,
})  # fmt: skip


class Spool:
    """A private folder below `parent`, removed when the run ends.

    Folders of killed runs, whose locks are free, are removed first. Raises `SpoolError` when the
    disk refuses a write.
    """

    def __init__(self, parent: Path) -> None:
        with disk_errors_named(parent):
            private_folder(parent)
            with alone_in(parent):
                _remove_abandoned(parent)
                self.folder = Path(tempfile.mkdtemp(prefix="run-", dir=parent)).absolute()
                self._lock = (self.folder / _LOCK).open("w")
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def close(self) -> None:
        """Remove the folder with everything in it.

        It gets another name first: a worker that is still at work, on whatever machine, finds
        nothing to write into, and cannot put a file there while others are removed.
        """
        ending = self.folder.with_name(f"{self.folder.name}.ending")
        with suppress(OSError):
            self.folder.rename(ending)
        self._lock.close()
        for folder in (ending, self.folder):
            shutil.rmtree(folder, ignore_errors=True)

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def write(folder: Path, name: str, table: pa.Table) -> Path:
    """Write `table` into a spool's folder as the batch called `name`; returns its path.

    Each attempt has a path of its own: a batch that is written twice, or half written by a process
    that is lost, is in nobody's way, as only paths that were returned are read. Raises `SpoolError`
    when the disk refuses.
    """
    path = new_path(folder, f"{name}.arrow")
    with (
        disk_errors_named(folder),
        pa.OSFile(str(path), "wb") as file,
        pa.ipc.new_file(file, table.schema) as writer,
    ):
        writer.write_table(table)
    return path


def write_numbers(folder: Path, name: str, numbers: npt.NDArray[Any]) -> Path:
    """Write an array as `write` does a table; `np.fromfile` and `np.memmap` read it, or a part."""
    path = new_path(folder, f"{name}.bin")
    with disk_errors_named(folder), path.open("xb", buffering=0) as file:
        rest = np.ascontiguousarray(numbers).reshape(-1).view(np.uint8).data
        while rest:  # unlike `tofile`, this tells why the disk refuses
            rest = rest[file.write(rest) :]
    return path


def remove(paths: Iterable[Path]) -> None:
    """Remove files that nobody reads any more."""
    for path in paths:
        path.unlink(missing_ok=True)


def new_path(folder: Path, name: str) -> Path:
    """A path for a new file called `name` in a spool's folder, other than that of any attempt."""
    stem, dot, suffix = name.rpartition(".")
    return folder / f"{stem}-{secrets.token_hex(4)}{dot}{suffix}"


@contextmanager
def disk_errors_named(folder: Path) -> Iterator[None]:
    """Turns an `OSError` of a disk into a `SpoolError` that names the folder and its setting.

    Other errors pass: what is written may be read from a network, or unpacked, at the same time.
    """
    try:
        yield
    except OSError as error:
        if not _is_of_disk(error):
            raise
        raise SpoolError(
            f"{folder} cannot be written ({error.strerror or error}); "
            "make room there, or set WORK_DIR to another place"
        ) from error


def _is_of_disk(error: OSError) -> bool:
    """Whether an error may be of a disk: those of networks, and of damaged files, are of kinds of
    their own, or have no number.
    """
    is_plain = type(error).__module__ == "builtins"
    is_of_network = isinstance(error, TimeoutError | ConnectionError) or error.errno in _OF_NETWORKS
    return is_plain and error.errno is not None and not is_of_network


def read(path: Path) -> pa.Table:
    """The batch that `write` put at `path`, memory-mapped: unused columns are not read."""
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
