"""A folder that is made beside another and takes its place at once, whole, or not at all."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from common.files import LockFile

_AT_FDCWD, _EXCHANGE = -100, 2
"""Of Linux's renameat2: names are relative to where we are, and two of them change places."""
_CANNOT = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)
"""What it says on a file system, or a system, that cannot do it."""


@dataclass(frozen=True)
class Swap:
    """A new folder, and the one whose place it is to take."""

    target: Path
    new: Path
    old: Path
    """Where the one before is for a moment, on file systems that cannot exchange two folders."""

    def done(self) -> None:
        """Have the new folder take the place. All of it is on the disk before. What was there is
        then removed. Raises `OSError`; the folder before is then where it was.
        """
        for path in [*self.new.rglob("*"), self.new]:
            _synced(path)
        if self.target.exists() and not _exchanged(self.new, self.target):
            self.target.rename(self.old)
        if not self.target.exists():
            self.new.rename(self.target)
        _synced(self.target.parent)


@contextmanager
def swapping(target: Path, purpose: str, holder: str) -> Iterator[Swap]:
    """A new, empty folder beside `target`, which only we can read. It is removed at the end, as
    well as what an earlier one has left that was killed.

    Raises `BlockingIOError`, with the text of its `holder`, where another one has been begun and
    has not ended; `OSError` where nothing can be made there.
    """
    named = (
        target.with_name(f".{target.name}.{purpose}{end}") for end in (".lock", "-new", "-old")
    )
    lock_file, new, old = named
    lock = LockFile(lock_file, holder)
    swap = Swap(target, new, old)
    try:
        _restore(swap)
        new.mkdir(mode=0o700)
        try:
            yield swap
        finally:
            _restore(swap)
    finally:
        lock.release()


def share_as(before: Path, new: Path) -> None:
    """Give `new`, a folder that only we can read, and all in it to those who may read `before`."""
    found = before.stat()
    mode = stat.S_IMODE(found.st_mode)
    for path in [*new.rglob("*"), new]:
        with suppress(PermissionError):  # we are not in that group, or the file is not ours
            if path.stat().st_gid != found.st_gid:
                os.chown(path, -1, found.st_gid)
            path.chmod(mode if path.is_dir() else mode & 0o666)


def _restore(swap: Swap) -> None:
    """The folder before is where it was, unless another is there, and nothing else is left."""
    if swap.old.exists() and not swap.target.exists():
        swap.old.rename(swap.target)
    for left in (swap.new, swap.old):
        with suppress(FileNotFoundError):
            shutil.rmtree(left)


def _exchanged(one: Path, other: Path) -> bool:
    """Have two folders change places in one step; False where the system cannot do that."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):  # another system, or an old library
        return False
    if rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _CANNOT:
        return False
    raise OSError(number, os.strerror(number), str(other))


def _synced(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
