"""What comes when a run is over, and can change nothing about how it ended."""

from __future__ import annotations

from collections.abc import Callable

from run.failures import in_words
from run.frame import Run


def attempt(run: Run, name: str, work: Callable[[], None]) -> None:
    """Do some work of which `name`, a setting, says that it is wanted. Where it fails, or a signal
    ends it, that is a warning of the run.
    """
    run.watch.code_after = run.summary.code
    try:
        is_undisturbed = run.watch.is_undisturbed(work)
    except Exception as error:  # noqa: BLE001  # whatever it is, the run is over
        run.warn(f"{name}: {in_words(error, run.config)}")
        return
    if not is_undisturbed:
        run.warn(f"{name}: interrupted; how the run ended stands")
