"""What is said of an export: where it is, how many rows each table has, and how to read it."""

from __future__ import annotations

from collections.abc import Sequence

from config import StarSchemaConfig
from report.figures import begun, duration
from report.screen import Column, Piece, Screen, Shown
from warehouse.export import Exported
from warehouse.fact_years import NO_YEAR

_YEARS = 6
"""So many years are named, else the first and the last."""
_MIB = 1 << 20


def render(done: Exported, config: StarSchemaConfig, screen: Screen) -> list[Shown]:
    """The summary, the folder last."""
    sales = config.star.sales.called
    rows = sum(done.rows.values())
    size = f"{max(done.bytes / _MIB, 0.1):,.1f} MiB"
    first = screen.line(
        " ",
        (f"{screen.sign('good')} exported", "good"),
        f"  {rows:,} rows in {duration(done.seconds)}, {size}",
    )
    shown = screen.ends(first, (f"the star of {begun(done.run_id)}", "dim"), indent=3)
    table: list[list[Piece]] = [[name, f"{count:,}"] for name, count in done.rows.items()]
    shown += screen.table([Column("table"), Column("rows")], table, indent=3)
    if done.kept:
        told = f"   {sales} of {_named(done.written)} written, of {_named(done.kept)} taken over"
        shown.append(screen.line(told, indent=3))
    for note in done.notes:
        shown.append(screen.line(" ", (f"{screen.sign('look')} {note}", "look"), indent=3))
    shown.append(screen.line("   into ", str(done.folder), indent=8))
    return shown


def _named(years: Sequence[str]) -> str:
    if not years:
        return "no year"
    named = ["no known year" if name == NO_YEAR else name for name in years]
    return ", ".join(named) if len(named) <= _YEARS else f"{named[0]} to {named[-1]}"
