"""Running work in threads while its results are taken in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Result = TypeVar("Result")


_END: Any = object()


def ahead(items: Iterator[Result]) -> Iterator[Result]:
    """The same items; the next one is fetched in a thread while the caller uses the last."""
    with ThreadPoolExecutor(1) as fetching:
        future = fetching.submit(next, items, _END)
        while (item := future.result()) is not _END:
            future = fetching.submit(next, items, _END)
            yield item


def in_order(
    pool: ThreadPoolExecutor, tasks: Iterable[Callable[[], Result]], most: int
) -> Iterator[Result]:
    """The results of `tasks`, in their order. At most `most` of them wait, so memory is bounded."""
    waiting: deque[Future[Result]] = deque()
    try:
        for task in tasks:
            waiting.append(pool.submit(task))
            if len(waiting) > most:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
