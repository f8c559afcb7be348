"""What runs in the processes of `support.processes`: the command line, and disturbed forms of it.

One process has imported everything, and forks for each request.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from support.application import ROOMS, ROOT
from support.waiting import wait_until


def serve() -> None:
    """Fork for each request of stdin; tell who was started, and how each ended."""
    sys.path.insert(0, str(ROOT))
    import cli

    sys.meta_path.insert(0, cli._WithoutPandas())  # noqa: SLF001 - as a run of its own is
    for module in sorted([*ROOT.glob("*.py"), *(p for r in ROOMS for p in ROOT.glob(f"{r}/*.py"))]):
        __import__(".".join(module.relative_to(ROOT).with_suffix("").parts))
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


def dask_process(environment: dict[str, str], role: str, *options: str) -> int:
    """A process of a Dask cluster, as `python -m dask` starts it."""
    import dask
    from distributed.cli import dask_scheduler, dask_worker

    from support import cluster_hooks

    os.environ.update(environment)
    dask.config.refresh()
    cluster_hooks.listen(Path(environment["HOOKS"]))
    programs = {"scheduler": dask_scheduler.main, "worker": dask_worker.main}
    programs[role].main(list(options), standalone_mode=False)
    return 0


def load(env_file: str, *options: str) -> int:
    """The command line, which ends its process as `cli.program` does."""
    from run.signals import SIGNALS

    with SIGNALS.handled():
        code = command_line(env_file, *options)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def command_line(env_file: str, *options: str) -> int:
    """The command line, which goes back to its caller."""
    import cli

    return cli.main(["--env-file", env_file, *options])


def load_impatient(env_file: str, *options: str) -> int:
    """The command line, which asks a server that has gone for two seconds instead of ten."""
    from warehouse import postgresql

    postgresql._SETTLE_SECONDS = 2  # noqa: SLF001 - no setting, as nobody needs one
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
    from common import watchdog

    watchdog.LOOK_SECONDS, watchdog.SILENT_SECONDS = 0.1, 3.0


def load_pausing(env_file: str, phase: str, gate: str, *options: str) -> int:
    """The command line, which pauses at the end of a phase until it may pass the gate."""
    pause_in(phase, gate)
    return load(env_file, *options)


def load_deaf(env_file: str, phase: str, gate: str, *options: str) -> int:
    """The command line, which loses what interrupts it in that pause, as a destructor would."""
    pause_in(phase, gate, lost=(KeyboardInterrupt,))
    return load(env_file, *options)


def load_mistaken(env_file: str, number: str, *options: str) -> int:
    """The command line; what a signal raises while its workers are opened becomes another error,
    as libraries make one of it.
    """
    from run import frame

    def opening(*given: object) -> None:
        try:
            os.kill(os.getpid(), int(number))
            wait_until(lambda: False, "the signal comes")
        except KeyboardInterrupt as error:
            raise RuntimeError("no new futures after shutdown") from error

    vars(frame)["workers_for"] = opening
    return load(env_file, *options)


def load_ended_in_copy(env_file: str, url: str, *options: str) -> int:
    """The command line; an administrator ends its session once, in the middle of a COPY."""
    from warehouse.copies import Stream

    read, ours = Stream.read, f"star-etl %:{os.getpid()}"
    administrator = sa.create_engine(url, poolclass=sa.NullPool)

    def reading(stream: Any, size: int = -1) -> bytes:
        Stream.read = read  # type: ignore[method-assign]
        with administrator.connect() as connection:
            ended = (
                "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity "
                "WHERE application_name LIKE :ours AND query LIKE 'COPY%FROM STDIN%'"
            )
            assert connection.execute(sa.text(ended), {"ours": ours}).all() == [(True,)]
        return read(stream, size)

    Stream.read = reading  # type: ignore[assignment,method-assign]
    return load(env_file, *options)


def pause_in(phase: str, gate: str, lost: tuple[type[BaseException], ...] = ()) -> None:
    """Have the pipeline of this process pause at the end of a phase."""
    import main

    name = f"_run_{phase}_phase"
    run = getattr(main.StarSchemaETLPipeline, name)

    def pausing(pipeline: Any, *arguments: Any) -> Any:
        result = run(pipeline, *arguments)
        with suppress(*lost):
            pause(Path(gate))
        return result

    setattr(main.StarSchemaETLPipeline, name, pausing)


def load_dawdling(env_file: str, how: str, gate: str, *options: str) -> int:
    """The command line, whose page takes for ever: the warehouse is asked, or Python computes."""
    from pages import gathering

    endless = {
        "postgresql": "SELECT pg_sleep(6000)",
        "duckdb": "SELECT count(*) FROM range(10000000) AS a, range(10000000) AS b",
    }

    def asking(warehouse: Any, *_: Any, **__: Any) -> None:
        (Path(gate) / "reached").touch()
        if how == "asked":
            warehouse.execute(sa.text(endless[warehouse.connection.dialect.name])).all()
        wait_until(lambda: False, "the page is made")

    vars(gathering)["ask"] = asking
    return load(env_file, *options)


def load_signalled(env_file: str, number: str, *options: str) -> int:
    """The command line; a signal comes while the run is committing."""
    from run.frame import Run

    insert = Run.insert_row

    def inserting(run: Any, *arguments: Any) -> None:
        from run.signals import SIGNALS

        SIGNALS.hold()  # as it is from here to the commit
        os.kill(os.getpid(), int(number))
        insert(run, *arguments)

    Run.insert_row = inserting  # type: ignore[assignment,method-assign]
    return load(env_file, *options)


def export_pausing(env_file: str, after: str, gate: str, *options: str) -> int:
    """The command line, whose export pauses after a step until it may pass the gate."""
    from common import folder_swap
    from warehouse import export

    place: Any = folder_swap.Swap if after == "done" else export
    step = getattr(place, after)

    def pausing(*arguments: Any) -> Any:
        result = step(*arguments)
        pause(Path(gate))
        return result

    setattr(place, after, pausing)
    return load(env_file, *options)


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
    from warehouse.duckdb import DuckDb

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
    code = command_line(env_file, "--quiet")
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


if __name__ == "__main__":
    serve()
