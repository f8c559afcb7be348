"""Running work side by side while its results are taken in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

Result = TypeVar("Result")
Value = TypeVar("Value")
Result_co = TypeVar("Result_co", covariant=True)


@dataclass(frozen=True)
class Task(Generic[Result]):
    """A call to be made by any worker.

    One that is portable can be made by another process, on another machine: function, arguments and
    result can be pickled, and the files that they name are found there.
    """

    function: Callable[..., Result]
    arguments: tuple[Any, ...] = ()
    is_portable: bool = True
    label: str = ""
    """What it is about, for messages: a file and the bytes or the batch of it."""

    def __call__(self) -> Result:
        """Make the call here."""
        return self.function(*self.arguments)


class Awaited(Protocol[Result_co]):
    """What comes of a task."""

    def result(self) -> Result_co:
        """Wait for it; raises what the task has raised."""

    def cancel(self) -> object:
        """Do without it."""


class Workers:
    """Threads of this process that do tasks side by side, until they are closed.

    Portable tasks are done by `anywhere`, if there is one: by processes, or on other machines. Who
    has made it closes it.
    """

    def __init__(self, count: int, anywhere: Executor | None = None) -> None:
        self.count = count
        """How many tasks are done at a time."""
        self.warnings: list[str] = []
        """What the user should know of them."""
        self._threads = ThreadPoolExecutor(count)
        self._anywhere = anywhere or self._threads

    def share(self, value: Value) -> Value:
        """A value to be an argument of many tasks, which is brought to each worker only once."""
        return value

    def in_order(self, tasks: Iterable[Task[Result]], ahead: int | None = None) -> Iterator[Result]:
        """The results of `tasks`, in their order. At most `ahead` of them wait, so memory is
        bounded; without it as many as there are workers.
        """
        return _in_order(self._submit, tasks, self.count if ahead is None else ahead)

    def result(self, task: Task[Result]) -> Result:
        """The result of one task, which does not wait for others."""
        return self._submit(task).result()

    def cancel(self) -> None:
        """End the waiting for what is done elsewhere, in whatever thread; may be called in any."""

    def check(self) -> None:
        """Raises `ClusterError` when those have gone who do portable tasks elsewhere."""

    def close(self) -> None:
        """End the workers, when what they are at is done."""
        self._threads.shutdown(cancel_futures=True)

    def _submit(self, task: Task[Result]) -> Awaited[Result]:
        return (self._anywhere if task.is_portable else self._threads).submit(task)

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def in_order(pool: Executor, calls: Iterable[Callable[[], Result]], most: int) -> Iterator[Result]:
    """The results of `calls`, in their order. At most `most` of them wait, so memory is bounded."""
    return _in_order(pool.submit, calls, most)


Call = TypeVar("Call")


def _in_order(
    submit: Callable[[Call], Awaited[Result]], calls: Iterable[Call], most: int
) -> Iterator[Result]:
    waiting: deque[Awaited[Result]] = deque()
    try:
        for call in calls:
            waiting.append(submit(call))
            if len(waiting) > most:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
