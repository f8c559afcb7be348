"""A Dask cluster that does the portable tasks of a run; imported only where one is set.

Its workers read, clean and write into the run's folder, which all machines share. They never see
the warehouse. Whatever becomes of them: only what a task has returned is read.
"""

from __future__ import annotations

import asyncio
import itertools
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import dask
from distributed import Client, Future, KilledWorker
from distributed.comm import connect as dial
from distributed.security import Security

from common.parallel import Awaited, Task, Workers
from common.remote import Call, Slot, Ticket, attempt, issue_ticket, itself, suspects
from errors import ClusterError, ConfigError
from run import cluster_fitness, cluster_logs

_CONNECT_SECONDS = 10
_ALONE_SECONDS = 60
"""How long a cluster may be without any worker before the run is given up."""
_SILENT_SECONDS = 60
"""How long its scheduler may take to answer a question."""
_LOOK_SECONDS = 1
_LARGE = "1 GiB"
"""What is shared is sent once, so that Dask need not warn of some megabytes."""
_CLOSE_SECONDS = 2  # less than a run that got a signal may take

Result = TypeVar("Result")
Value = TypeVar("Value")


def connect(
    address: str, folder: Path, files: Mapping[str, tuple[int, int]], here: int
) -> ClusterWorkers:
    """The workers of the cluster whose scheduler is at `address`, and `here` threads of this
    process.

    `folder` is the run's own; `files` are those of its sources, by size and time of change.
    Raises `ConfigError` when the cluster cannot be reached, or is not fit for the run.
    """
    cluster_logs.redirect()
    try:
        client = _client(address)
    except BaseException:  # an interruption too
        cluster_logs.give_back()
        raise
    workers = ClusterWorkers(client, address, issue_ticket(folder), here)
    try:
        workers.warnings = cluster_fitness.look(client, address, workers.ticket, files)
    except BaseException:
        workers.close()
        raise
    return workers


def _client(address: str) -> Client:
    cluster_fitness.refuse_without_certificates(address)
    pool = ThreadPoolExecutor(1)  # a notebook has a loop of its own in this thread
    try:
        pool.submit(asyncio.run, _greet(address)).result()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # other versions are looked for, and refused
            return Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
    except Exception as error:  # no scheduler has sent what was taken for one's words
        others = "or the certificates do not fit" if address.startswith("tls://") else ""
        reasons = ", ".join(filter(None, [cluster_fitness.first_cause(error), others]))
        raise ConfigError(
            [
                f"DASK_SCHEDULER {address}: no scheduler can be reached there ({reasons}); start "
                "it as docs/cluster.md says, or leave the setting empty, and this machine does "
                "all the work"
            ]
        ) from error
    finally:
        pool.shutdown(wait=False)


async def _greet(address: str) -> None:
    """Be answered as a scheduler answers. A client by itself would wait for ever for the answer of
    somebody who says nothing.
    """
    options = Security().get_connection_args("client")
    async with asyncio.timeout(_CONNECT_SECONDS + 1):
        comm = await dial(address, timeout=_CONNECT_SECONDS, **options)
    comm.abort()


class ClusterWorkers(Workers):
    """Threads of this process, and a Dask cluster for the tasks that are portable."""

    def __init__(self, client: Client, address: str, ticket: Ticket, here: int) -> None:
        super().__init__(here)
        self.ticket = ticket
        self._client, self._address, self._here = client, address, here
        self._numbers = itertools.count()
        self._alone_since: float | None = None
        self._is_cancelled = False

    def share(self, value: Value) -> Value:
        """Stands for `value` among the arguments of tasks. The scheduler keeps how it is made, so
        that it outlives the workers that hold it.
        """
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": _LARGE}):
            future = self._client.submit(itself, value, key=self._key("shared"), pure=False)
        return cast(Value, _Shared(value, future))

    def in_order(self, tasks: Iterable[Task[Result]], ahead: int | None = None) -> Iterator[Result]:
        """As `Workers.in_order`. Of portable tasks, which return little, there are always enough
        ahead for all workers of the cluster.
        """
        self.count = max(1, sum(self._ask(self._workers).values()))
        waiting: deque[tuple[bool, Awaited[Result]]] = deque()
        most, most_here = max(2 * self.count, ahead or 0), self._here if ahead is None else ahead
        try:
            for task in tasks:
                waiting.append((not task.is_portable, self._submit(task)))
                while len(waiting) > most or sum(here for here, _ in waiting) > most_here:
                    yield waiting.popleft()[1].result()
            while waiting:
                yield waiting.popleft()[1].result()
        finally:
            for _, awaited in waiting:
                awaited.cancel()

    def cancel(self) -> None:
        """Have all that wait for the cluster fail within a second."""
        self._is_cancelled = True

    def check(self) -> None:
        """Raises `ClusterError` when the connection to the scheduler was lost."""
        self._check("")

    def _check(self, label: str) -> None:
        if self._is_cancelled:
            raise ClusterError("interrupted")
        if self._client.status != "running":
            raise self.lost(label)

    def lost(self, label: str) -> ClusterError:
        """The error of a run whose scheduler has gone while `label` was waited for."""
        during = f" while waiting for {label}" if label else ""
        return ClusterError(
            f"DASK_SCHEDULER {self._address}: the scheduler was lost{during}; nothing was "
            "published. Look into its log, start it again, and run again"
        )

    def look(self, label: str) -> None:
        """See whether what is waited for can still come.

        Raises `ClusterError` when the scheduler was lost, or has had no worker for a minute.
        """
        self._check(label)
        if self._ask(self._workers):
            self._alone_since = None
            return
        now = time.monotonic()
        self._alone_since = self._alone_since or now
        if now - self._alone_since > _ALONE_SECONDS:
            keys = self._ask(partial(self._client.run_on_scheduler, suspects, self.ticket.token))
            names = "; ".join(key.rpartition(" #")[0] for key in keys[:3])
            raise ClusterError(
                f"{names or label}: no worker is left at {self._address} to do this, and none has "
                f"come for {_ALONE_SECONDS} s. If they have died of it, give them more memory or "
                "lower BATCH_ROWS: their logs tell; nothing was published"
            )

    def close(self) -> None:
        """Cancel what is waited for and leave the cluster, also one that does not answer."""
        with suppress(OSError, RuntimeError, AssertionError):
            self._client.close(timeout=_CLOSE_SECONDS)
        cluster_logs.give_back()
        super().close()

    def _submit(self, task: Task[Result]) -> Awaited[Result]:
        if not task.is_portable:
            arguments = [a.value if isinstance(a, _Shared) else a for a in task.arguments]
            return super()._submit(replace(task, arguments=tuple(arguments)))
        self._check(task.label)
        shared = [a for a in task.arguments if isinstance(a, _Shared)]
        given = (Slot(shared.index(a)) if isinstance(a, _Shared) else a for a in task.arguments)
        call = Call(task.function, tuple(given))
        try:
            future = self._client.submit(
                attempt, self.ticket, call, *(s.future for s in shared),
                key=self._key(task.label or task.function.__name__), pure=False,
            )  # fmt: skip
        except CancelledError as error:  # a shared value is lost with its scheduler
            raise self.lost(task.label) from error
        return _Remote(self, task.label, future)

    def _key(self, label: str) -> str:
        """What the scheduler calls a task: no other run may have the same."""
        return f"{label} #{self.ticket.token}-{next(self._numbers)}"

    def _workers(self) -> dict[str, int]:
        """The workers that are there, with their threads."""
        threads: dict[str, int] = self._client.sync(
            self._client.scheduler.ncores, callback_timeout=_SILENT_SECONDS
        )
        return threads

    def _ask(self, question: Callable[[], Any]) -> Any:
        """The scheduler's answer. Raises `ClusterError` when it gives none."""
        try:
            return question()
        except (OSError, RuntimeError, CancelledError, asyncio.CancelledError) as error:
            raise self.lost("") from error


class _Shared:
    """A value that tasks share: as it is here, and as the cluster has it."""

    def __init__(self, value: Any, future: Future) -> None:
        self.value, self.future = value, future


class _Remote(Generic[Result]):
    """What comes of a task that the cluster does."""

    def __init__(self, cluster: ClusterWorkers, label: str, future: Future) -> None:
        self._cluster, self._label, self._future = cluster, label, future

    def result(self) -> Result:
        """What the task has returned. Raises what it has raised, or `ClusterError`."""
        while True:
            try:
                return cast(Result, self._future.result(timeout=_LOOK_SECONDS))
            except (Exception, asyncio.CancelledError) as error:
                if self._future.status == "error":
                    raise _of_the_task(self._label, error) from error
                if not isinstance(error, TimeoutError):
                    raise self._cluster.lost(self._label) from error
            self._cluster.look(self._label)

    def cancel(self) -> None:
        """Do without it."""
        self._future.release()


def _of_the_task(label: str, error: BaseException) -> BaseException:
    """The exception of a task; of those that only a cluster has, what they mean."""
    if isinstance(error, KilledWorker):
        return ClusterError(
            f"{label}: {error.allowed_failures + 1} workers have died while they did this, the "
            f"last of them {error.last_worker.address}; nothing was published. Most likely it "
            "needs more memory than they have: start them with more, or lower BATCH_ROWS"
        )
    if isinstance(error, ImportError):
        return ClusterError(
            f"{label}: a worker that has joined late cannot import the application ({error}); "
            "start it as docs/cluster.md says"
        )
    return error
