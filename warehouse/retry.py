"""Trying again: how often, for how long, and with what pauses."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)
from tenacity.stop import stop_base

from errors import TransientError

_PAUSE_SECONDS = 2  # at most, between two looks whether a server is there again


class _AfterTrouble(stop_base):
    """Stops so many seconds after the first failure, however long it took to come."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since = 0.0

    def __call__(self, retry_state: RetryCallState) -> bool:
        if retry_state.attempt_number == 1:
            self._since = time.monotonic()
        return time.monotonic() - self._since >= self._seconds


def tries(
    count: int, seconds: float, on: type[Exception] = TransientError, **options: Any
) -> Retrying:
    """Calls a function again after an error of the kind `on`, within `seconds` of the first:
    exponential back-off with full jitter.
    """
    return Retrying(
        retry=retry_if_exception_type(on),
        stop=stop_after_attempt(count) | _AfterTrouble(seconds),
        wait=wait_random_exponential(multiplier=0.5, max=10),
        reraise=True,
        **options,
    )


def waiting(seconds: float, tell: Callable[[RetryCallState], None]) -> Retrying:
    """Calls a function again after a `TransientError`, as often as there is time for it within
    `seconds` of the first: for a server that may be there a moment later. `tell` is called before
    each pause.
    """
    return Retrying(
        retry=retry_if_exception_type(TransientError),
        stop=_AfterTrouble(seconds),
        wait=wait_random_exponential(multiplier=0.25, max=_PAUSE_SECONDS),
        before_sleep=tell,
        reraise=True,
    )
