"""Something that happens in the middle of a run."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from main import StarSchemaETLPipeline
from support.processes import Run
from support.retailer import Retailer
from support.sessions import TABLES, nobody_is_connected
from support.tables import Row
from support.waiting import wait_until


class Disturbed(StarSchemaETLPipeline):
    """A run that is disturbed at the end of a phase, each time or the first time only."""

    def __init__(
        self, *arguments: Any, phase: str, disturb: Callable[[str], object], **named: Any
    ) -> None:
        super().__init__(*arguments, **named)
        self._where, self._disturb = phase, disturb

    def _run_phase(self, phase: str, run: Callable[[], int]) -> None:
        def disturbed() -> int:
            rows = run()
            if phase == self._where:
                self._disturb(self.run_id)
            return rows

        super()._run_phase(phase, disturbed)


def disturbed(
    shop: Retailer, phase: str, disturb: Callable[[str], object], **settings: object
) -> Row:
    """A run with something that happens at the end of a phase; returns its summary."""

    def pipeline(*arguments: Any, **named: Any) -> StarSchemaETLPipeline:
        return Disturbed(*arguments, phase=phase, disturb=disturb, **named)

    return shop.run(pipeline, **settings)


def once(action: Callable[[str], object]) -> Callable[[str], object]:
    """`action` the first time, and nothing later."""
    waiting = [action]
    return lambda run_id: waiting.pop()(run_id) if waiting else None


@contextmanager
def meanwhile(act: Callable[[], None]) -> Iterator[None]:
    """Do something in a thread while the block runs; what went wrong there is raised here."""
    problems: list[BaseException] = []

    def run() -> None:
        try:
            act()
        except BaseException as error:  # noqa: BLE001 - told by the test
            problems.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join()
    if problems:
        raise problems[0]


INT, TERM = signal.SIGINT, signal.SIGTERM


class Gate:
    """Where a run pauses until it may pass."""

    def __init__(self, folder: Path, name: str = "gate") -> None:
        self.folder = folder / name
        self.folder.mkdir()

    def __str__(self) -> str:
        return str(self.folder)

    def wait(self, what: str = "reached") -> None:
        """Wait until a run is there."""
        wait_until((self.folder / what).exists, f"{what} in {self.folder}")

    def tell(self, what: str = "open") -> None:
        """Let it pass."""
        (self.folder / what).touch()


def assert_rolled_back(shop: Retailer, run: Run, content: object, runs: object) -> None:
    """Nothing published, and nothing left behind."""
    if shop.star.schema:
        nobody_is_connected(shop.star, run)
    assert (shop.star.content(), shop.star.runs()) == (content, runs)
    assert not list((shop.folder / "work").iterdir())
    assert shop.star.tables() == set(TABLES)
    assert not list(shop.folder.parent.glob("*.lock"))
