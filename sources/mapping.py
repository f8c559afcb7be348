"""Mapping: which columns of a file hold our canonical columns."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

from common.column_rules import COUNTED
from common.rejects import REJECT_COLUMNS
from common.results import NUMBER, SKIPPED
from common.source_settings import SourceSettings
from common.star_model import Source
from errors import SourceError
from sources.batches import Layout
from sources.json_values import head_and_path
from sources.mapping_errors import in_two_cases, mapping_error, near_name, nearest
from sources.pieces import OpenSource


def resolve_mapping(
    file: OpenSource, source: Source, settings: SourceSettings
) -> dict[str, list[str]]:
    """The file's columns that make each canonical column, by its name.

    A column is found by `<SOURCE>__COLUMNS`, else by its own name, else by its name in another
    case. Raises `SourceError` that names what is missing, the nearest names, and the setting to
    paste.
    """
    columns = file.columns
    by_case = _by_case(columns)
    mapping: dict[str, list[str]] = {}
    absent: dict[str, list[str]] = {}  # of the mapped columns, those that are not there
    for canonical in source.columns:
        parts = settings.rule(canonical).parts
        found = [_first_of(part, by_case) for part in parts]
        for part, own in zip(parts, found, strict=True):
            alike = by_case.get(part[0].casefold(), [])
            if own is None and len(alike) > 1:
                raise SourceError(in_two_cases(file, source, settings, canonical, alike))
        if canonical in settings.columns:
            given = zip(found, parts, strict=True)
            mapping[canonical] = [own or part[0] for own, part in given]
            if not file.is_schemaless or (columns and canonical in source.required):
                lacking = [p for p, own in zip(parts, found, strict=True) if own is None]
                absent[canonical] = [" or ".join(part) for part in lacking]
        elif found[0] is not None:
            mapping[canonical] = [found[0]]
    missing = [
        canonical
        for canonical in source.required
        if canonical not in mapping and source.instead.get(canonical) not in mapping
        if columns or not file.is_schemaless
    ]
    if settings.skip_when:
        mapping[SKIPPED] = _asked_by_skip_when(file, source, settings, by_case)
    strange = [canonical for canonical in settings.columns if canonical not in source.columns]
    if strange or missing or any(absent.values()):
        raise SourceError(
            f"{file.label}: {mapping_error(file, source, settings, mapping, absent, missing)}"
        )
    return mapping


def own_columns(columns: Sequence[str], canonical: str, settings: SourceSettings) -> list[str]:
    """Those of a file's `columns` that make a canonical one; [] where one of them is not there."""
    by_case = _by_case(columns)
    found = [_first_of(part, by_case) for part in settings.rule(canonical).parts]
    return [name for name in found if name is not None] if None not in found else []


def own_name(wanted: str, columns: Iterable[str]) -> str | None:
    """The column of a file that a name means."""
    return _own_name(wanted, _by_case(columns))


def _first_of(names: Sequence[str], by_case: dict[str, list[str]]) -> str | None:
    """The file's column that the first of `names` means which means any; None where none does.

    `#` means the counted number of a row, where no column is called that.
    """
    own = next(filter(None, (_own_name(name, by_case) for name in names)), None)
    return NUMBER if own is None and COUNTED in names else own


def _by_case(columns: Iterable[str]) -> dict[str, list[str]]:
    """The columns by their name without case."""
    by_case: dict[str, list[str]] = {}
    for column in columns:
        by_case.setdefault(column.casefold(), []).append(column)
    return by_case


def _asked_by_skip_when(
    file: OpenSource, source: Source, settings: SourceSettings, by_case: dict[str, list[str]]
) -> list[str]:
    """The file's columns that SKIP_WHEN asks. Raises `SourceError` if one is not there."""
    found = {name: _own_name(name, by_case) for name in settings.skip_when}
    absent = [name for name, own in found.items() if own is None]
    if absent and not file.is_schemaless:
        near = near_name(absent[0], file.columns)
        raise SourceError(
            f"{file.label}: {source.name.upper()}__SKIP_WHEN asks {absent[0]!r}, which the file "
            f"does not have{nearest(near)} (it has: {', '.join(file.columns[:50])})"
        )
    return [own or name for name, own in found.items()]


def _own_name(wanted: str, by_case: dict[str, list[str]]) -> str | None:
    """The file's column, or the path inside one, that a name means: in this case, or in another."""
    wanted = unicodedata.normalize("NFC", wanted.strip())
    parts = wanted.split(".")
    for count in range(len(parts), 0, -1):
        head, rest = ".".join(parts[:count]), "".join(f".{part}" for part in parts[count:])
        same = by_case.get(head.casefold(), [])
        if head in same:
            return head + rest
        if len(same) == 1:
            return same[0] + rest
    return None


def source_columns_of(
    names: Iterable[str], settings: SourceSettings, *, in_lower_case: bool = False
) -> frozenset[str]:
    """The file's columns that the settings map to the canonical columns `names`."""
    return frozenset(
        column.lower() if in_lower_case else column
        for canonical in names
        for column in settings.rule(canonical).names
    )


def names_used(source: Source, settings: SourceSettings) -> frozenset[str]:
    """The case-folded names by which the columns of a source are looked up. Of a path such as
    `specifications.color` that is also the column it begins with.
    """
    found = source_columns_of(source.columns, settings) | settings.skip_when.keys()
    found |= {*settings.fill_down, *filter(None, [settings.watermark])}
    parts = (name.casefold().split(".") for name in found)
    return frozenset(".".join(p[:count]) for p in parts for count in range(1, len(p) + 1))


def layout(source: Source, settings: SourceSettings) -> Layout:
    """How the files of a source are laid out, as far as the settings say."""
    required = [settings.rule(name) for name in source.required if name not in source.instead]
    return Layout(
        "" if settings.quote == "none" else settings.quote,
        settings.escape or "",
        tuple(settings.widths),
        settings.sheet or "",
        settings.header_row or 0,
        tuple(settings.header),
        settings.records or "",
        settings.explode or "",
        tuple(
            tuple(name.casefold() for name in part)
            for rule in required
            for part in rule.parts
            if COUNTED not in part
        ),
    )


def asked_for(columns: Sequence[str], settings: SourceSettings) -> set[str]:
    """The columns that are there of those that WATERMARK and FILL_DOWN name, and of the further
    names of columns.
    """
    names = {settings.watermark or "", *settings.fill_down}
    for canonical in settings.columns:
        names.update(n for part in settings.rule(canonical).parts if len(part) > 1 for n in part)
    named = (own_name(name.partition(".")[0], columns) for name in names)
    return {name for name in named if name is not None and name in columns}


def refuse_without_watermark(file: OpenSource, source: Source, settings: SourceSettings) -> None:
    """Raise `SourceError` when the column of the watermark is not in the file."""
    name = settings.watermark
    if name and own_name(name, file.columns) not in file.columns:
        raise SourceError(
            f"{file.label}: {source.name.upper()}__WATERMARK names {name!r}, which is no column of "
            f"the result{nearest(near_name(name, file.columns))}"
        )


def unused(columns: Iterable[str], used: set[str]) -> list[str]:
    """The columns of a file that are not `used`, not even in part, and are not a reject file's."""
    columns = list(columns)
    known = used | {head_and_path(name, columns)[0] for name in used} | set(REJECT_COLUMNS)
    return [column for column in columns if column not in known]


_MOST_NAMED = 5
