"""What an export says of itself, in `_export.json`, and whether a folder is one."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from errors import RequestError
from warehouse.fact_years import Year

MARKER = "_export.json"
PART = "part-0.parquet"
_MADE_BY, _FORMAT = "star-schema-etl", 1


@dataclass(frozen=True)
class Marker:
    """An export: of which run, by which version, and what is in it."""

    run_id: str
    version: str
    exported_at: str
    rows: dict[str, int]
    """By table."""
    columns: dict[str, dict[str, str]]
    """By table, the columns and their types."""
    fact: str
    years: dict[str, Year] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write it into the export's folder."""
        told = {"made_by": _MADE_BY, "format": _FORMAT, **asdict(self)}
        descriptor = os.open(folder / MARKER, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(json.dumps(told, indent=2) + "\n")

    @classmethod
    def of(cls, told: dict[str, Any]) -> Marker:
        """What JSON tells. Raises all kinds of errors where it is not of an export."""
        if (told.pop("made_by"), told.pop("format")) != (_MADE_BY, _FORMAT):
            raise ValueError
        years = {name: Year(**year) for name, year in told.pop("years").items()}
        made = cls(**told, years=years)
        return TypeAdapter(Marker).validate_python(asdict(made))


def found_in(folder: Path) -> Marker | None:
    """The export that a folder is; None where there is none, or an empty folder.

    Raises `RequestError` for a folder with anything else in it, which nobody is to lose.
    """
    if not folder.exists():
        return None
    if not folder.is_dir():
        raise RequestError(f"{folder} is no folder; name one that is empty or not there yet")
    if os.path.ismount(folder):
        raise RequestError(f"{folder} is a disk of its own; name a folder in it")
    if not any(folder.iterdir()):
        return None
    marker = _marker(folder)
    foreign = next(_foreign(folder, marker), None)
    if foreign is not None or marker is None:
        raise RequestError(
            f"{folder} has {foreign or MARKER}, which is not of an export, and an export takes the "
            "whole folder; name one that is empty or not there yet"
        )
    return marker


def _marker(folder: Path) -> Marker | None:
    path = folder / MARKER
    try:
        if path.is_symlink():
            return None
        told = json.loads(path.read_text(encoding="utf-8"))
        return Marker.of(dict(told))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _foreign(folder: Path, marker: Marker | None) -> Iterator[str]:
    """What an export would not have."""
    for place, folders, files in os.walk(folder):
        inside = Path(place).relative_to(folder)
        for name in sorted(folders + files):
            path, found = inside / name, folder / inside / name
            is_kind = found.is_file() if name in (PART, MARKER) else found.is_dir()
            if found.is_symlink() or not is_kind or marker is None or not _fits(path, marker):
                yield str(path)


def _fits(path: Path, marker: Marker) -> bool:
    first, *others = path.parts
    if first not in marker.rows:
        return path.parts == (MARKER,)
    if first == marker.fact and others:
        year, *others = others
        return "=" in year and others in ([], [PART])
    return others in ([], [PART])
