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

_PAUSE_SECONDS = 2  # at most, between two tries to connect


class _AfterTrouble(stop_base):
    """Stops so many seconds after the first failure. The time before it does not count."""

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
    """Calls a function again after an error of the class `on`: `count` times in all, within
    `seconds` of the first error, with exponential back-off and full jitter.
    """
    return Retrying(
        retry=retry_if_exception_type(on),
        stop=stop_after_attempt(count) | _AfterTrouble(seconds),
        wait=wait_random_exponential(multiplier=0.5, max=10),
        reraise=True,
        **options,
    )


def waiting(seconds: float, before_pause: Callable[[RetryCallState], None]) -> Retrying:
    """Calls a function again after a `TransientError`, for `seconds` after the first one: a server
    that is starting may be there a moment later. `before_pause` is
    called each time.
    """
    return Retrying(
        retry=retry_if_exception_type(TransientError),
        stop=_AfterTrouble(seconds),
        wait=wait_random_exponential(multiplier=0.25, max=_PAUSE_SECONDS),
        before_sleep=before_pause,
        reraise=True,
    )
