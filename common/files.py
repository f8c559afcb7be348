"""Files and folders that hold personal data: readable for their owner alone, and really ours."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from pathlib import Path

_DEVICES = "/dev/"
_HOLDER_BYTES = 500


def private_folder(path: Path) -> Path:
    """`path`, made with those above it that are missing; what is made is for the owner alone."""
    for folder in reversed([path, *path.parents]):
        if not folder.exists():
            folder.mkdir(mode=0o700, exist_ok=True)
    if not path.is_dir():
        raise NotADirectoryError(20, "it is not a folder", str(path))
    return path


def open_private(path: Path, flags: int) -> int:
    """Open `path` for writing, as `os.open` does; a file that is made is for the owner alone.

    Raises `OSError` when it is a symbolic link or somebody else's file: then another could read
    what is written there, or have us overwrite what he chose.
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
    """Whether to open `path` may take for ever; what a shell passes on (`/dev/fd/63`) is open."""
    try:
        return not str(path).startswith(_DEVICES) and stat.S_ISFIFO(path.stat().st_mode)
    except OSError:
        return False


class LockFile:
    """A lock that says who holds it; released with its holder's process, however that ends.

    Raises `BlockingIOError`, whose text is the holder's, when it is held.
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
            os.close(self._file)  # the holder before us has removed it
        os.ftruncate(self._file, 0)
        os.write(self._file, holder.encode()[:_HOLDER_BYTES])

    def release(self) -> None:
        """Let another have it."""
        self._path.unlink(missing_ok=True)
        os.close(self._file)

    def _is_the_one(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._file), self._path.stat())
        except FileNotFoundError:
            return False
