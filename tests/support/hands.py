"""Others than the threads of a run, who do its portable tasks."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from multiprocessing.reduction import ForkingPickler
from typing import Any

import pytest

from common.parallel import Workers


class Couriers(ThreadPoolExecutor):
    """Does calls as another process would get them, and hands back what it would send: nothing but
    what can be sent is known to such a call. Keeps what was sent, and what came back.
    """

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        self.sent: list[bytes] = []
        self.returned: list[bytes] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        sent = bytes(ForkingPickler.dumps((fn, args, kwargs)))
        self.sent.append(sent)
        return super().submit(self._do, sent)

    def _do(self, sent: bytes) -> Any:
        function, arguments, named = ForkingPickler.loads(sent)
        returned = bytes(ForkingPickler.dumps(function(*arguments, **named)))
        self.returned.append(returned)
        return ForkingPickler.loads(returned)


class Repeating(ThreadPoolExecutor):
    """Does every call twice, as a cluster that has taken a worker for dead; what counts is the
    first result of one half of the calls, and the second of the other.
    """

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        self._calls = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self._calls += 1
        return super().submit(self._do, self._calls % 2, fn, *args, **kwargs)

    def _do(self, chosen: int, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return [fn(*args, **kwargs) for _ in range(2)][chosen]


def employ(monkeypatch: pytest.MonkeyPatch, count: int, anywhere: Executor | None = None) -> None:
    """Have all runs and checks from now on done by so many threads, and `anywhere`."""
    for module in ("run.frame", "run.check"):
        monkeypatch.setattr(
            f"{module}.workers_for", lambda config, folder: Workers(count, anywhere)
        )
