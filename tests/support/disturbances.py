"""Something that happens in the middle of a run."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from main import StarSchemaETLPipeline
from support.processes import Run
from support.retailer import Retailer
from support.sessions import TABLES, nobody_is_connected
from support.summary import STAGES
from support.tables import Row
from support.waiting import wait_until

Watch = Callable[[StarSchemaETLPipeline, str], object]
"""Is called with the pipeline and the name of a phase."""


def watched(
    *, before: Watch = lambda *_: None, after: Watch = lambda *_: None
) -> type[StarSchemaETLPipeline]:
    """A pipeline that calls `before` when a phase begins, and `after` when it has ended."""

    def method(phase: str) -> tuple[str, Callable[..., Any]]:
        name = f"_run_{phase}_phase"
        usual = getattr(StarSchemaETLPipeline, name)

        def run(pipeline: StarSchemaETLPipeline, *arguments: Any, **named: Any) -> Any:
            before(pipeline, phase)
            result = usual(pipeline, *arguments, **named)
            after(pipeline, phase)
            return result

        return name, run

    return type("Watched", (StarSchemaETLPipeline,), dict(map(method, STAGES)))


def disturbed(
    shop: Retailer, phase: str, disturb: Callable[[str], object], **settings: object
) -> Row:
    """A run with something that happens at the end of a phase; returns its summary."""

    def disturb_it(pipeline: StarSchemaETLPipeline, ended: str) -> None:
        if ended == phase:
            disturb(pipeline.run_id)

    return shop.run(watched(after=disturb_it), **settings)


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


@contextmanager
def stalling_file() -> Iterator[tuple[str, threading.Event]]:
    """The address of a file of sales that never ends, and whether a reader waits for its end."""
    stalled, over = threading.Event(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            with suppress(ConnectionError):  # a first look at the file reads only its head
                self.wfile.write(
                    b"transaction_id,transaction_date,customer_id,product_id,quantity,"
                )
                self.wfile.write(b"unit_price\n" + b"T1,2024-01-01,C1,P1,1,1.00\n" * 200_000)
                stalled.set()
                over.wait()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/sales.csv", stalled
        over.set()
        server.shutdown()


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
