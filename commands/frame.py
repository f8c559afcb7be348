"""What the commands have in common: options, the boundary around their work, and printing."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from common.duck import is_interruption
from errors import EtlError

if TYPE_CHECKING:
    from config import StarSchemaConfig


def extent(command: Callable[..., int]) -> Callable[..., int]:
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


@contextmanager
def reported(config: StarSchemaConfig) -> Iterator[None]:
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
        with logs.logging_to(
            config.log_file, config.log_level, "no-run", quiet=True, form=config.log_format
        ):
            message = in_words(error, config)
        raise EtlError(message) from error


def say(text: str) -> None:
    """Print a result. That nobody reads it (`| head`), or that it finds no room, does not change
    what has happened, nor the exit code that tells of it.
    """
    say_pieces([f"{text}\n"])


def say_pieces(pieces: Iterable[str]) -> None:
    """Print a result piece by piece, as `say` does; nothing is made that nobody reads."""
    try:
        for piece in pieces:
            click.echo(piece, nl=False)
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            click.echo(f"the result could not be printed: {error.strerror}", err=True)
