"""The command line: options, exit codes, and the process around a run.

Only light modules are imported here, so that `--help` and a mistyped option answer at once; each
command imports what it runs.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from commands.check import check
from commands.explain import explain
from commands.export import export
from commands.forget import forget
from commands.frame import extent, say
from commands.history import history
from commands.init import init
from commands.rejects import rejects
from commands.replay import replay
from commands.report import report
from commands.runs import EXIT_CODES, ended, say_interrupted
from commands.setup import setup
from commands.show import show
from commands.streams import make_ready
from common.version import VERSION
from errors import ConfigError, EtlError
from run.signals import SIGNALS

__all__ = ["EXIT_CODES", "cli", "main", "program"]
_LEAST_ADDRESSES = 1536 << 20  # with 800 MiB a run aborts, with 1.2 GiB DuckDB gives up


@click.group(
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--env-file", type=click.Path(dir_okay=False), default=".env", show_default=True,
    help="Settings file; the environment overrides it.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Do everything but publish, then roll back.")
@click.option(
    "--changes", type=click.Path(dir_okay=False), metavar="FILE",
    help="Write all that the run changes, before and after, to a CSV file.",
)  # fmt: skip
@click.option("--rejects", is_flag=True, help="Have a dry run write the rejects, as a run does.")
@click.option("-q", "--quiet", is_flag=True, help="For cron: say nothing unless the run fails.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@extent
@click.version_option(VERSION, prog_name="star-schema-etl")
@click.pass_context
def cli(
    context: click.Context,
    /,
    env_file: str,
    dry_run: bool,
    quiet: bool,
    as_json: bool,
    **part: Any,
) -> int:
    """Load customers, products and sales into a star schema.

    \b
    Without a command the whole load is run. Sources and warehouse are settings:
    see .env.example. Without any, the samples in data/ are loaded into
    data/warehouse.duckdb.

    \b
    Exit codes:
      0    published (rejected rows within the limit are a warning)
      1    the run failed; nothing was published
      2    usage or configuration error; nothing was touched
      3    a data-quality gate refused the load; nothing was published
      4    another run holds the warehouse; nothing was touched
      5    outcome unknown: the connection was lost while committing
      130  interrupted, 143 terminated; rolled back
    """
    is_run = context.invoked_subcommand is None
    try:
        _refuse_little_memory()
        from config import load_config

        context.obj = config = load_config(env_file)
        if is_run:
            from main import StarSchemaETLPipeline

            gc.enable()  # see `program`: all imports are done
            pipeline = StarSchemaETLPipeline(
                config, dry_run=dry_run, quiet=quiet, before_commit=SIGNALS.hold, **part
            )
            return ended(pipeline, quiet=quiet, as_json=as_json)
    except ConfigError as error:
        if is_run and not dry_run:
            _notify(env_file, len(error.problems))
        raise
    if any(part.values()):
        raise click.UsageError(
            "--since, --until and --full-refresh stand behind the command, and --changes and "
            "--rejects are for a run alone"
        )
    return 0


def _notify(env_file: str, problems: int) -> None:
    """Tell NOTIFY_URL that a run could not start, if the settings say that much."""
    from pydantic import SecretStr

    from common.setting_files import found_setting
    from common.urls import is_web_address
    from run.notify import outcome_of_settings, tell

    url = found_setting("NOTIFY_URL", Path(env_file), os.environ)
    if is_web_address(url):
        reason = tell(SecretStr(url), outcome_of_settings(problems))
        if reason:
            click.echo(f"warning: NOTIFY_URL was not told: {reason}", err=True)


def _refuse_little_memory() -> None:
    """Where there is no room for their threads, Arrow and DuckDB end the process without a word.

    Raises `EtlError` before they are loaded.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < _LEAST_ADDRESSES:
        raise EtlError(
            f"the address space of this process is limited to {limit >> 20} MiB, and a run needs "
            f"{_LEAST_ADDRESSES >> 20}; raise the limit, as `ulimit -v unlimited` does in the shell"
        )


for command in (
    check,
    setup,
    init,
    history,
    show,
    rejects,
    explain,
    replay,
    report,
    export,
    forget,
):
    cli.add_command(command)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    umask = os.umask(0o077)  # all that a run writes may be personal data
    try:
        with SIGNALS.handled():
            return _exit_code(argv)
    finally:
        os.umask(umask)


def _exit_code(argv: list[str] | None) -> int:
    """Run the command line, and say what failed; with `--json` on stdout, too."""
    try:
        code: int = cli.main(argv, prog_name="main.py", standalone_mode=False)
        return code
    except click.ClickException as error:
        error.show()
        code, status, errors = error.exit_code, "usage_error", [error.format_message()]
    except EtlError as error:
        click.echo(f"error: {error}", err=True)
        code, status, errors = error.exit_code, error.status, [str(error)]
        if isinstance(error, ConfigError):
            status, errors = "configuration_error", error.problems
    except OSError as error:  # of what click prints itself, such as --help
        click.echo(f"the result could not be printed: {error.strerror}", err=True)
        return 1
    except (KeyboardInterrupt, click.Abort):
        say_interrupted()
        code, status = 128 + (SIGNALS.received or signal.SIGINT), "interrupted"
        errors = ["interrupted before anything was begun"]
    if "--json" in (sys.argv[1:] if argv is None else argv):
        say(json.dumps(_without_a_run(status, code, errors), indent=2))
    return code


def _without_a_run(status: str, code: int, errors: list[str]) -> dict[str, Any]:
    """What `--json` prints where there is no summary of a run: the keys that it has as well."""
    return {
        "run_id": None,
        "status": status,
        "exit_code": code,
        "success": False,
        "errors": errors,
        "warnings": [],
    }


class _WithoutPandas:
    """Says of pandas, and of nothing else, that it is not installed."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:  # noqa: ARG002
        """No spec; raises ModuleNotFoundError for pandas."""
        if fullname == "pandas":
            raise ModuleNotFoundError("pandas is not used by the command line", name=fullname)


def program() -> None:
    """`main` as a process of its own, where start and end are worth a second.

    Imports make no garbage worth looking for, a process that ends need not tidy its memory, and
    pandas is for people's frames: a run has none, yet pyarrow imports it wherever it can.
    """
    make_ready()
    if sys.platform == "linux":  # gives pages back sooner, and is asked for fewer: a sixth of a run
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "jemalloc")
    gc.disable()
    sys.meta_path.insert(0, _WithoutPandas())
    with SIGNALS.handled():  # to the very end: a second Ctrl-C must not interrupt the goodbye
        code = main()
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        os._exit(code)
