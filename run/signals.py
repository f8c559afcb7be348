"""SIGINT and SIGTERM: they end a run, whatever it is waiting for, and roll it back."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

from common.duck import is_interruption
from common.parallel import Workers
from run.progress import SHOW_CURSOR, is_shown

ENDING = (signal.SIGINT, signal.SIGTERM)
PATIENCE_SECONDS = 3
"""How long a run that got a signal may take before it is insisted on."""


class Signals:
    """The first signal ends the run; later ones are ignored.

    Once the run is about to commit it is too late for that, and it ends as it would have.
    """

    def __init__(self) -> None:
        self.received = 0
        self.held = False
        self.came_late = False
        """Whether one came while they are held."""

    @property
    def has_interrupted(self) -> bool:
        """Whether we have raised KeyboardInterrupt, which others may have made another error of."""
        if not self.received or self.held:
            return False
        return signal.getsignal(self.received) == self.handle  # not one of an earlier run

    def hold(self) -> None:
        """From now on nothing is interrupted.

        Raises KeyboardInterrupt for a signal that came before and whose exception was lost, as
        one that is raised in a destructor is.
        """
        self.held = True
        if self.received:
            raise KeyboardInterrupt

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Handle them in this block, if it runs in the main thread: no other can."""
        self.received, self.held, self.came_late = 0, False, False
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle) for number in ENDING}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Interrupt the run, once and as long as it can be."""
        self.came_late |= self.held
        if not self.received and not self.held:
            self.received = number
            raise KeyboardInterrupt


SIGNALS = Signals()
"""Those of this process: a signal handler belongs to the process, not to a run."""


class Waiting(Protocol):
    """What a run may be waiting for: a warehouse."""

    def cancel(self) -> None:
        """Ask for the end of what is being waited for."""

    def cut(self) -> None:
        """Have the wait end, without asking."""


class Watch:
    """Ends the waiting of one run when a signal comes.

    Python handles no signal while a driver waits for its server, which may take hours. So another
    thread hears of signals as well, and has the server end the statement.
    """

    def __init__(self) -> None:
        self.waiting: Waiting | None = None
        self.workers: Workers | None = None
        self.is_committing = False
        self.has_intervened = False
        """Whether a wait was ended: what fails from then on fails because of the signal."""
        self._is_after = False
        """Whether the run is over, but for what may be left undone."""
        self.code_after = 0
        """The exit code of the run then."""

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Watch during this block, if it runs in the main thread: no other hears of signals."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        heard, heralds = socket.socketpair()
        heralds.setblocking(False)
        before = signal.set_wakeup_fd(heralds.fileno(), warn_on_full_buffer=False)
        watching = threading.Thread(target=self._end_when, args=(heard,), daemon=True)
        watching.start()
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            heralds.close()
            watching.join()
            heard.close()

    def is_undisturbed(self, work: Callable[[], None]) -> bool:
        """Do what may be left undone when a run is over, whatever became of it: a signal ends that,
        as it would have ended the run, also one that came too late for the run itself. Returns
        whether there was none. What `work` raises otherwise passes through.
        """
        is_ended = SIGNALS.came_late
        before = SIGNALS.held, self.is_committing, self.workers
        try:
            self._is_after, self.workers = True, None
            try:
                if not is_ended:
                    SIGNALS.held = self.is_committing = False
                    work()
            finally:
                is_ended |= SIGNALS.has_interrupted or self.has_intervened
                SIGNALS.held, self.is_committing, self.workers = before
        except KeyboardInterrupt:
            is_ended = True
        except Exception as error:
            is_ended |= is_interruption(error)
            if not is_ended:
                raise
        finally:  # again, if the signal came just when they were set
            SIGNALS.held, self.is_committing, self.workers = before
            self._is_after = self.has_intervened = False
        return not is_ended

    def _end_when(self, heard: socket.socket) -> None:
        ours = (SIGNALS.handle, signal.default_int_handler)
        while number := heard.recv(1):
            handler = signal.getsignal(number[0])
            if number[0] in ENDING and handler in ours and not self._is_too_late():
                self._insist(heard, number[0], leave=handler == SIGNALS.handle)

    def _is_too_late(self) -> bool:
        return self.is_committing or SIGNALS.held

    def _insist(self, heard: socket.socket, number: int, *, leave: bool) -> None:
        """First the server is asked to end its statement, then the connection is cut, and last the
        process of a command line ends where it is, which rolls back too.
        """
        waiting = self.waiting
        self.has_intervened = waiting is not None
        if waiting is not None:
            waiting.cancel()
        if self.workers is not None:
            self.workers.cancel()
        if _closed_within(heard, PATIENCE_SECONDS) or self._is_too_late():
            return
        if waiting is not None:
            waiting.cut()
        if leave and not _closed_within(heard, 2 * PATIENCE_SECONDS) and not self._is_too_late():
            outcome = b"its outcome stands" if self._is_after else b"nothing was published"
            left = b"interrupted; " + outcome + b", and what was waited for is left\n"
            os.write(2, SHOW_CURSOR + left if is_shown() else left)
            os._exit(self.code_after if self._is_after else 128 + number)


def _closed_within(heard: socket.socket, seconds: float) -> bool:
    """Whether the other end is closed in this time; what else comes is passed over."""
    until = time.monotonic() + seconds
    try:
        while (left := until - time.monotonic()) > 0:
            heard.settimeout(left)
            if not heard.recv(1):
                return True
    except TimeoutError:
        pass
    finally:
        heard.settimeout(None)
    return False
