"""What a test has a worker of a cluster do at a batch: a file in the folder of hooks says it.

`kill-before`, `kill-during` and `kill-after` end the first worker that writes a batch whose name
has the words of the file in it, `poison` ends every one, and `pause` has them wait until that file
is gone.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from common import spool


def _is_asked(hooks: Path, hook: str, name: str, *, once: bool = False) -> bool:
    path = hooks / hook
    with suppress(OSError):
        if path.read_text(encoding="utf-8").strip() in name:
            if once:
                path.rename(path.with_suffix(".done"))  # only one process can do this
            (hooks / f"{hook}.reached").touch()
            return True
    return False


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def listen(hooks: Path) -> None:
    """Have this process obey the files in this folder."""
    write = spool.write
    is_asked = partial(_is_asked, hooks)

    def hooked(folder: Path, name: str, table: Any) -> Path:
        with (hooks / f"written-by-{os.getpid()}").open("a", encoding="utf-8") as told:
            told.write(f"{name}\n")
        while is_asked("pause", name):
            time.sleep(0.01)
        if is_asked("kill-before", name, once=True) or is_asked("poison", name):
            _die()
        path = write(folder, name, table)
        if is_asked("kill-during", name, once=True):
            os.truncate(path, path.stat().st_size // 2)
            _die()
        if is_asked("kill-after", name, once=True):
            _die()
        return path

    spool.write = hooked


def tasks(dask_scheduler: Any) -> list[str]:
    """What a scheduler still has to do, or keeps."""
    return [str(key) for key in dask_scheduler.tasks]
