"""What Dask's own loggers say goes to the log file of the run, not to the console."""

from __future__ import annotations

import logging
import threading

from run.logs import logger

_ROOMS = ("distributed", "tornado")
_usual: list[tuple[logging.Logger, list[logging.Handler], bool]] = []
"""Our changes to these loggers, to be undone."""
_changing = threading.Lock()
_runs = 0


class _ToOurs(logging.Handler):
    """Hands lines on to the log file."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            told = f"{record.name}: {record.getMessage()}"
            logger.info("%s", told, extra={"file_only": True})


def redirect() -> None:
    """Have Dask log to the file of the run. For several runs at a time it is done once."""
    global _runs  # noqa: PLW0603  # loggers belong to the process
    with _changing:
        _runs += 1
        if _runs > 1:
            return
        known = logging.root.manager.loggerDict
        for name in [n for n in known if n.partition(".")[0] in _ROOMS]:
            theirs = logging.getLogger(name)
            if theirs.handlers:
                _usual.append((theirs, theirs.handlers[:], theirs.propagate))
                theirs.handlers[:] = [_ToOurs()]


def give_back() -> None:
    """Have Dask log where it did."""
    global _runs  # noqa: PLW0603
    with _changing:
        _runs -= 1
        if _runs == 0:
            for theirs, handlers, propagate in _usual:
                theirs.handlers[:], theirs.propagate = handlers, propagate
            _usual.clear()
