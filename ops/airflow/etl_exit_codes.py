"""What Airflow makes of the exit codes of a run: fail (1, 2, 3), skip (4), page (5)."""

from __future__ import annotations

import logging
import re
from typing import Any

BUSY = 4
"""Another run holds the warehouse; nothing was touched. The task is skipped."""
UNKNOWN = 5
"""The connection was lost while committing: somebody must look."""

_CODE = re.compile(r"exit code (\d+)|'StatusCode': (\d+)")
_log = logging.getLogger(__name__)


def exit_code_of(error: BaseException | None) -> int | None:
    """The exit code in the message of an operator's exception; None where there is none."""
    found = _CODE.search(str(error))
    return int(found[1] or found[2]) if found else None


def on_failure(context: dict[str, Any]) -> None:
    """Called by Airflow for a task that has failed: calls for somebody where a mail can wait no
    longer.
    """
    if exit_code_of(context.get("exception")) == UNKNOWN:
        page("the outcome of the nightly load is unknown: look up its run id in etl_run")


def page(message: str) -> None:
    """Call for somebody. Put your pager here, such as a notifier of PagerDuty or Opsgenie."""
    _log.critical("PAGE: %s", message)
