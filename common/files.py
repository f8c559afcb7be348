"""Files and folders with personal data: only their owner can read them, and they belong to us."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_DEVICES = "/dev/"
_HOLDER_BYTES = 500


def private_folder(path: Path) -> Path:
    """Make `path` and the folders above it that are missing, with mode 700; returns `path`.

    Raises `OSError` when that is not possible, or when `path` is no folder.
    """
    for folder in reversed([path, *path.parents]):
        if not folder.exists():
            folder.mkdir(mode=0o700, exist_ok=True)
    if not path.is_dir():
        raise NotADirectoryError(20, "it is not a folder", str(path))
    return path


def open_private(path: Path, flags: int) -> int:
    """Open `path` for writing and return its descriptor; a new file gets mode 600.

    Raises `OSError` for a symbolic link, a named pipe or somebody else's file: another user could
    read what is written there, or make us overwrite a file of their choice.
    """
    follow = 0 if str(path).startswith(_DEVICES) else os.O_NOFOLLOW
    if is_named_pipe(path):
        raise OSError(errno.EINVAL, "it is a named pipe, whose reader may never come", str(path))
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | follow | flags, 0o600)
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode) and found.st_uid != os.geteuid():
        os.close(descriptor)
        raise PermissionError(1, "the file belongs to somebody else", str(path))
    return descriptor


def is_named_pipe(path: Path) -> bool:
    """Whether `path` is a named pipe, whose opening may block for ever.

    One that a shell passes as `/dev/fd/63` has a reader already.
    """
    try:
        return not str(path).startswith(_DEVICES) and stat.S_ISFIFO(path.stat().st_mode)
    except OSError:
        return False


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Holds the lock of `folder` in this block: no other process of ours begins or ends anything in
    it meanwhile. Raises `OSError` where it cannot be had.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


class LockFile:
    """A lock file that names its holder; the system frees it when the holder's process ends.

    Raises `BlockingIOError` with the holder's text when another process holds it.
    """

    def __init__(self, path: Path, holder: str) -> None:
        self._path = path
        while True:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                held_by = os.read(self._file, _HOLDER_BYTES).decode(errors="replace")
                os.close(self._file)
                raise BlockingIOError(held_by or "a run that has just begun") from None
            if self._is_the_one():
                break
            os.close(self._file)  # the previous holder has removed this file: lock the new one
        os.ftruncate(self._file, 0)
        os.write(self._file, holder.encode()[:_HOLDER_BYTES])

    def release(self) -> None:
        """Remove the file and free the lock."""
        self._path.unlink(missing_ok=True)
        os.close(self._file)

    def _is_the_one(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._file), self._path.stat())
        except FileNotFoundError:
            return False
