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
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from common.duck import is_interruption
from common.version import VERSION
from errors import EtlError
from run.signals import SIGNALS

if TYPE_CHECKING:
    from config import StarSchemaConfig

EXIT_CODES = {"published": 0, "dry_run": 0, "failed": 1, "gate_failed": 3, "busy": 4, "unknown": 5}
"""By the status of a run."""
_LEAST_ADDRESSES = 1536 << 20  # with 800 MiB a run aborts, with 1.2 GiB DuckDB gives up


def _extent(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options that say which part of the sources a run is of."""
    for option in (
        click.option("--until", metavar="DATE", help="Last date of a source with EXTRACT=period."),
        click.option(
            "--since", metavar="VALUE",
            help="Where to begin: a date, timestamp or integer of a WATERMARK, or the first date "
            "of a source with EXTRACT=period.",
        ),
        click.option(
            "--full-refresh", is_flag=True,
            help="Every source has all its rows: what is not there is removed, without limit.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


@click.group(
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--env-file", type=click.Path(dir_okay=False), default=".env", show_default=True,
    help="Settings file; the environment overrides it.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Do everything but publish, then roll back.")
@click.option("-q", "--quiet", is_flag=True, help="For cron: say nothing unless the run fails.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@_extent
@click.version_option(VERSION, prog_name="star-schema-etl")
@click.pass_context
def cli(
    context: click.Context,
    /,
    env_file: str,
    dry_run: bool,
    quiet: bool,
    as_json: bool,
    **extent: Any,
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
    _refuse_little_memory()
    from config import load_config

    context.obj = config = load_config(env_file)
    if context.invoked_subcommand:
        if any(extent.values()):
            raise click.UsageError("--since, --until and --full-refresh stand behind the command")
        return 0
    from main import StarSchemaETLPipeline
    from run.summary_text import render_summary

    gc.enable()  # see `program`: all imports are done
    pipeline = StarSchemaETLPipeline(
        config, dry_run=dry_run, quiet=quiet, before_commit=SIGNALS.hold, **extent
    )
    results = pipeline.run_full_pipeline()
    if as_json:
        _say(json.dumps(results, indent=2))
    elif pipeline.summary is not None and not quiet:
        _say("\n".join(render_summary(pipeline.summary)))
    code = pipeline.summary.exit_code if pipeline.summary else None
    return EXIT_CODES[results["status"]] if code is None else code


@cli.command()
@click.option(
    "--rows", type=click.IntRange(min=1), metavar="N",
    help="Look at about the first N rows of each source only.",
)  # fmt: skip
@_extent
@click.pass_context
def check(context: click.Context, /, rows: int | None, **extent: Any) -> int:
    """Say what a run would find, and how it would end; change nothing.

    \b
    All rows are read and cleaned as a run would. For each source it tells: its
    files, their format and delimiter, how each column is mapped, what is missing,
    three rows as they are read and as they would be stored, and what would be
    refused, why, and where. For the warehouse: whether it is reachable, its
    version, and whether the star there fits. Where the settings of a source do not
    fit its files, it ends with those that `setup` would propose.

    \b
    Exit codes:
      0  a run would publish
      2  a run cannot start
      3  a run would be refused: too many rejected rows
    """
    from common.setting_texts import parse_moment
    from extract import DataExtractor
    from run import logs
    from run.check import look_ahead
    from run.check_text import render
    from run.progress import PhaseProgress, live_progress
    from run.watermarks import starts
    from transform import batch_rules
    from warehouse.outlook import last_watermarks

    config: StarSchemaConfig = context.obj.for_run(**extent)
    quiet = bool(context.find_root().params["quiet"])

    def progress(phase: str) -> Callable[[str, int], None]:
        return PhaseProgress(phase).advance

    gc.enable()
    with (
        _reported(config),
        logs.logging_to_stderr(config.log_level, quiet=quiet),
        live_progress(quiet=quiet),
    ):
        kept = {}
        if any(source.watermark for source in config.sources.values()):
            kept = last_watermarks(config, config.star.tables)
        begin = starts(config, kept, parse_moment(extent["since"]))
        findings = look_ahead(
            config,
            DataExtractor(config, begin).look,
            batch_rules,
            progress,
            rows,
        )
        proposed = _proposed(config, {} if rows else findings.at_fault)
    _say("\n".join(render(findings, config, proposed)))
    return findings.exit_code


@cli.command()
@click.argument("files", nargs=-1)
@click.option("--yes", is_flag=True, help="Write without asking; open questions stay as comments.")
@click.option("--print", "prints", is_flag=True, help="Print the file; write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print all of it as JSON; write nothing.")
@click.pass_context
def setup(
    context: click.Context, /, files: tuple[str, ...], yes: bool, prints: bool, as_json: bool
) -> int:
    """Find the settings for your files, and write star.toml.

    \b
    FILES are files, folders or patterns such as 'in/*.csv'; without any, the
    sources that are set are looked at. It finds out which file is which, how each
    is written (encoding, delimiter, dates, decimal commas) and which column is
    which, tries that on all rows, and shows how many sales would load, to what
    amount, and what remains. What nobody can see in a file it asks. Then it
    writes star.toml, if you say yes: read it, change it, run `check`.

    \b
    Exit codes:
      0  a run with it would publish
      1  you said no, or it could not be written
      2  nothing could be proposed, or a run could not start with it
      3  something is open: a question, or a run would be refused
    """
    if prints and as_json:
        raise click.UsageError("--print and --json exclude each other")
    from common.setting_files import STAR_FILE
    from proposal.asking import Manner, conduct
    from proposal.session import look
    from run import logs
    from run.progress import PhaseProgress, live_progress

    config: StarSchemaConfig = context.obj
    options = context.find_root().params
    path = config.star_file or Path(STAR_FILE)
    gc.enable()
    with _reported(config):
        with (
            logs.logging_to_stderr(config.log_level, quiet=options["quiet"]),
            live_progress(quiet=options["quiet"]),
        ):
            session = look(files, config, path, lambda phase: PhaseProgress(phase).advance)
        manner = Manner(yes, prints, as_json or options["as_json"])
        return conduct(session, manner, _say, options["env_file"])


@cli.command()
@click.option("--role", default="loader", show_default=True, help="Whom the GRANTs are for.")
@click.pass_obj
def init(config: StarSchemaConfig, role: str) -> int:
    """Make the tables, and print the GRANTs that a loading role needs.

    \b
    To be run by the owner of the schema. After it, a role that may neither
    create nor drop anything can load. A star that is there gets what it lacks.
    """
    from warehouse import transaction

    with _reported(config), transaction(config, tables=config.star.tables) as warehouse:
        grants = warehouse.grants(config.star.tables, role)
    for warning in warehouse.warnings:
        click.echo(f"warning: {warning}", err=True)
    click.echo(f"the star is in {config.warehouse_url.render_as_string()}", err=True)
    _say("\n".join(grants))
    return 0


@cli.command()
@click.argument("customer_id")
@click.option("--dry-run", is_flag=True, help="Say what would be erased; change nothing.")
@click.pass_context
def forget(context: click.Context, customer_id: str, dry_run: bool) -> int:
    """Erase a person from star and rejects; the sales stay.

    \b
    CUSTOMER_ID is the id in dim_customer. First, in one transaction, the names,
    contacts and addresses are emptied in the star; then all rows with that id
    are taken out of the reject files of all runs. What else may hold something
    is said: logs, backups, and the source, which brings the customer back as
    long as it has the row.

    \b
    Exit codes:
      0  erased, or nothing was left to erase
      1  the star could not be changed, or a reject file could not be read
      2  nobody knows such a customer
      4  a run holds the warehouse
    """
    from run.forget import forget_customer, lines
    from transform import StarSchemaTransformer

    config: StarSchemaConfig = context.obj
    dry_run |= bool(context.find_root().params["dry_run"])
    with _reported(config):
        forgotten = forget_customer(
            config,
            customer_id,
            StarSchemaTransformer(config).prepare,
            dry_run=dry_run,
            before_change=SIGNALS.hold,
        )
    if forgotten is None or forgotten.exit_code == 2:
        raise click.BadParameter(
            f"neither the star nor a reject file has a customer {customer_id!r}; give the id as it "
            "is in dim_customer",
            param_hint="CUSTOMER_ID",
        )
    _say("\n".join(lines(forgotten, config, dry_run=dry_run)))
    for problem in forgotten.erased.problems:
        click.echo(f"error: not looked through: {problem}", err=True)
    return forgotten.exit_code


def _proposed(config: StarSchemaConfig, at_fault: dict[str, int]) -> list[str]:
    """The settings that `setup` would propose for sources `at_fault`, in the form in use."""
    if not at_fault:
        return []
    from common.setting_files import STAR_FILE
    from proposal.hints import hints

    in_tables = config.star_file is not None or Path(STAR_FILE).exists()
    return hints(config, at_fault, in_tables=in_tables)


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


@contextmanager
def _reported(config: StarSchemaConfig) -> Iterator[None]:
    """The boundary of a command that is no run: whatever fails becomes an `EtlError` of one line,
    and the traceback of a surprise goes to the log file.
    """
    from run import logs
    from run.failures import in_words

    try:
        yield
    except EtlError:  # `main` prints these
        raise
    except Exception as error:  # whatever it is, it becomes one line
        if is_interruption(error):
            raise KeyboardInterrupt from error
        with logs.logging_to(config.log_file, config.log_level, "no-run", quiet=True):
            message = in_words(error, config)
        raise EtlError(message) from error


def _say(text: str) -> None:
    """Print a result. That nobody reads it (`| head`), or that it finds no room, does not change
    what has happened, nor the exit code that tells of it.
    """
    try:
        click.echo(text)
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            click.echo(f"the result could not be printed: {error.strerror}", err=True)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    umask = os.umask(0o077)  # all that a run writes may be personal data
    try:
        with SIGNALS.handled():
            return _exit_code(argv)
    finally:
        os.umask(umask)


def _exit_code(argv: list[str] | None) -> int:
    """Run the command line, and say what failed."""
    try:
        code: int = cli.main(argv, prog_name="main.py", standalone_mode=False)
        return code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except EtlError as error:
        click.echo(f"error: {error}", err=True)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted; nothing was published", err=True)
        return 128 + (SIGNALS.received or signal.SIGINT)


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
    _open_standard_streams()
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


def _open_standard_streams() -> None:
    """Where a caller has closed one (`>&-`), no file of ours may get its number: what somebody
    prints would end up in the warehouse.
    """
    for number, mode in enumerate("rww"):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
            name = ("stdin", "stdout", "stderr")[number]
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8"))
