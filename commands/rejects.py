"""`rejects`: what a run has refused."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from commands.frame import reported, say, say_pieces
from errors import RequestError

if TYPE_CHECKING:
    from config import StarSchemaConfig
    from run.refused_rows import RejectFile, RejectsOf

_ROWS_AT_ONCE = 2000


@click.command()
@click.argument("run", required=False)
@click.option("--reason", metavar="R", help="Show the rows of one reason, such as invalid_date.")
@click.option("--source", metavar="S", help="Of one source only.")
@click.option("--csv", "as_csv", is_flag=True, help="Write all rows as CSV, as the file has them.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@click.pass_context
def rejects(
    context: click.Context, /, run: str | None, reason: str | None, source: str | None,
    as_csv: bool, as_json: bool,
) -> int:  # fmt: skip
    """Show what a run has refused, and why.

    \b
    RUN is a run's id, or how one begins; without it, the last run that has reject
    files. First a summary: reasons, how many rows, an example, and where it was.
    With --reason the rows, whole: they may be personal data. Correct the file
    that it names, in its place, and load it by `replay`.

    \b
    Exit codes:
      0  shown
      1  there is no star yet, or it cannot be read
      2  no such run or reason, no reject files, or a damaged one
      4  a run holds the DuckDB file
    """
    from run.refused_rows import rejects_of

    as_json |= bool(context.find_root().params["as_json"])
    if as_csv and as_json:
        raise click.UsageError("--csv and --json exclude each other")
    config: StarSchemaConfig = context.obj
    with reported(config):
        found = rejects_of(config, run, source)
        if as_csv:
            say_pieces(_csv(found, reason))
        else:
            say(_shown(found, reason, as_json=as_json))
    return 2 if found.problems else 0


def _shown(found: RejectsOf, reason: str | None, *, as_json: bool) -> str:
    from report import rejects as text
    from report.screen import Screen
    from run.refused_rows import counted

    counts = {}
    for file in list(found.files):
        try:
            counts[file.source] = counted(file)
        except RequestError as error:
            found.files.remove(file)
            found.problems.append(str(error))
    _refuse_unknown(reason, {name for own in counts.values() for name in own})
    if as_json:
        return json.dumps(text.as_dict(found, counts), indent=2)
    screen = Screen.of(sys.stdout)
    if reason is None:
        return screen.render(text.summary(found, counts, screen))
    return screen.render(text.rows_of(found, reason, screen))


def _refuse_unknown(reason: str | None, known: set[str]) -> None:
    if reason is not None and reason not in known:
        from common.rejects import ordered_reasons

        there = f"; there are {', '.join(ordered_reasons(known))}" if known else ""
        raise RequestError(f"no row was refused for {reason!r}{there}")


def _csv(found: RejectsOf, reason: str | None) -> Iterator[str]:
    """The rows as the file has them, in UTF-8 and with commas."""
    if len(found.files) > 1:
        names = ", ".join(file.source for file in found.files)
        raise RequestError(f"--csv has the columns of one source; give --source, of {names}")
    for file in found.files:
        yield from _csv_of(file, reason)


def _csv_of(file: RejectFile, reason: str | None) -> Iterator[str]:
    from common.results import REASON

    place, written = -1, io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    for number, cells in enumerate(file.cells()):
        place = cells.index(REASON) if place < 0 else place
        if not number or reason is None or cells[place] == reason:
            writer.writerow(cells)
        if written.tell() > _ROWS_AT_ONCE * 100:
            yield written.getvalue()
            written.seek(0)
            written.truncate()
    yield written.getvalue()
