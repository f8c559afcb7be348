"""What a test has a worker of a cluster do at a batch: a file in the folder HOOKS says it.

`kill-before`, `kill-during` and `kill-after` end the first worker that writes a batch whose name
has the words of the file in it, `poison` ends every one, `pause` has it wait until the file is
gone.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from common import spool

_HOOKS = Path(os.environ["HOOKS"])
_write = spool.write


def _is_asked(hook: str, name: str, *, once: bool) -> bool:
    path = _HOOKS / hook
    with suppress(OSError):
        if path.read_text(encoding="utf-8").strip() in name:
            if once:
                path.rename(path.with_suffix(".done"))  # only one process can do this
            (_HOOKS / f"{hook}.reached").touch()
            return True
    return False


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _hooked(folder: Path, name: str, table: Any) -> Path:
    while _is_asked("pause", name, once=False):
        time.sleep(0.01)
    if _is_asked("kill-before", name, once=True) or _is_asked("poison", name, once=False):
        _die()
    if _is_asked("kill-during", name, once=True):
        path = _write(folder, name, table)
        os.truncate(path, path.stat().st_size // 2)
        _die()
    path = _write(folder, name, table)
    if _is_asked("kill-after", name, once=True):
        _die()
    return path


spool.write = _hooked
