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
    from run.signals import SIGNALS

    try:
        yield
    except Exception as error:  # whatever it is, it becomes one line
        if is_interruption(error) or SIGNALS.has_interrupted:  # what fails then fails for it
            raise KeyboardInterrupt from error
        if isinstance(error, EtlError):  # `main` prints these
            raise
        with logs.logging_to(
            config.log_file, config.log_level, "no-run", quiet=True, form=config.log_format
        ):
            message = in_words(error, config)
        raise EtlError(message) from error


def say(text: str, *, err: bool = False) -> None:
    """Print a result, or what failed on stderr. That nobody reads it (`| head`), that it finds no
    room, or that the terminal lacks a letter does not change what has happened, nor the exit code
    that tells of it.
    """
    say_pieces([f"{text}\n"], err=err)


def say_pieces(pieces: Iterable[str], *, err: bool = False) -> None:
    """Print a result piece by piece, as `say` does; nothing is made that nobody reads."""
    stream = sys.stderr if err else sys.stdout
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        for piece in pieces:
            text = piece.encode(encoding, "backslashreplace").decode(encoding)
            click.echo(text, nl=False, err=err)
        stream.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if not isinstance(error, BrokenPipeError) and not err:
            click.echo(f"the result could not be printed: {error.strerror}", err=True)
