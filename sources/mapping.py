"""Which columns of a file the columns of a source are found in."""

from __future__ import annotations

import difflib
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from common.rejects import REJECT_COLUMNS
from common.star_model import Source
from config import SourceSettings
from errors import SourceError
from sources.batches import OpenSource


def resolve_mapping(
    file: OpenSource, source: Source, settings: SourceSettings
) -> dict[str, list[str]]:
    """Canonical column -> the file's columns that make it.

    A column is found by `<SOURCE>__COLUMNS`, else by its own name, else by its name in another
    case. Raises `SourceError` naming what is missing, what there is, and the nearest match.
    """
    columns = file.columns
    by_case: dict[str, list[str]] = {}
    for column in columns:
        by_case.setdefault(column.casefold(), []).append(column)
    mapping: dict[str, list[str]] = {}
    absent: dict[str, list[str]] = {}  # of the mapped columns, those that are not there
    missing = []
    for canonical in source.columns:
        wanted = as_list(settings.columns.get(canonical, canonical))
        found = [_own_name(column, by_case) for column in wanted]
        for column, own in zip(wanted, found, strict=True):
            alike = by_case.get(column.casefold(), [])
            if own is None and len(alike) > 1:
                raise SourceError(_in_two_cases(file, source, settings, canonical, alike))
        if canonical in settings.columns:
            mapping[canonical] = [own or given for own, given in zip(found, wanted, strict=True)]
            if not file.is_schemaless or (columns and canonical in source.required):
                absent[canonical] = [w for w, own in zip(wanted, found, strict=True) if own is None]
        elif found[0] is not None:
            mapping[canonical] = [found[0]]
        elif canonical in source.required and (columns or not file.is_schemaless):
            missing.append(canonical)
    strange = [canonical for canonical in settings.columns if canonical not in source.columns]
    if strange or missing or any(absent.values()):
        raise SourceError(
            f"{file.label}: {_mapping_error(file, source, settings, mapping, absent, missing)}"
        )
    return mapping


def _own_name(wanted: str, by_case: dict[str, list[str]]) -> str | None:
    """The file's column, or place inside one, that a name means: in just this case, or in any."""
    wanted = unicodedata.normalize("NFC", wanted.strip())
    for head, rest in ((wanted, ""), (wanted.partition(".")[0], wanted[wanted.find(".") :])):
        same = by_case.get(head.casefold(), [])
        if head in same:
            return head + rest
        if len(same) == 1:
            return same[0] + rest
    return None


def _in_two_cases(
    file: OpenSource, source: Source, settings: SourceSettings, canonical: str, alike: Sequence[str]
) -> str:
    """What to do about columns of a file whose names differ in case alone."""
    mapped = {**settings.columns, canonical: alike[0]}
    return (
        f"{file.label}: {canonical} may be any of {', '.join(alike)}; "
        f"say which: {_pasted(source.name, mapped)}"
    )


def _mapping_error(
    file: OpenSource,
    source: Source,
    settings: SourceSettings,
    mapping: dict[str, list[str]],
    absent: dict[str, list[str]],
    missing: list[str],
) -> str:
    """What is wrong with the columns of a file, and the setting that would be right."""
    setting = f"{source.name.upper()}__COLUMNS"
    free = [
        c for c in file.columns if c not in {own for found in mapping.values() for own in found}
    ]
    if len(free) == len(file.columns) and any(map(_is_value, free)):  # data is not for the log
        return (
            "the first line looks like a row, but must name the columns, among them "
            f"{', '.join(source.required)}; add a header"
        )
    if file.format == "csv" and _is_fixed_width(file.columns, source):
        return (
            "it looks like fixed width, which is not read yet: export it with a delimiter, or cut "
            "its lines by a query (duckdb:///:memory: as the path, read_csv and substr)"
        )
    right: dict[str, str | list[str]] = {}
    problems = []
    for canonical, wanted in settings.columns.items():
        if canonical not in source.columns:
            near = near_name(canonical, source.columns)
            where = f"{source.name}{nearest(near)}"
            problems.append(f"{setting} maps {canonical!r}, which is not a column of {where}")
            if near is not None:
                right[near] = wanted
            continue
        better = {w: near_name(w, file.columns) for w in absent.get(canonical, [])}
        problems += [
            f"{setting} maps {canonical} to {w!r}, which the file does not have{nearest(near)}"
            for w, near in better.items()
        ]
        names = [better.get(w) or (_THEIRS if w in better else w) for w in as_list(wanted)]
        right[canonical] = names[0] if isinstance(wanted, str) else names
    if missing:
        near_by: dict[str, str | None] = {}
        for canonical in missing:
            near_by[canonical] = near_name(
                canonical, [c for c in free if c not in near_by.values()]
            )
        told = ", ".join(f"{canonical}{nearest(near)}" for canonical, near in near_by.items())
        problems.append(
            f"the required column {missing[0]} is missing{nearest(near_by[missing[0]])}"
            if len(missing) == 1
            else f"the required columns {told} are missing"
        )
        right |= {canonical: near or _THEIRS for canonical, near in near_by.items()}
    return (
        f"{'; '.join(problems)}; set {_pasted(source.name, right)} "
        f"(it has: {', '.join(file.columns[:50])}){_doubt(file, source)}"
        + (f"; {file.note}" if file.note else "")
    )


def _pasted(name: str, columns: Mapping[str, str | list[str]]) -> str:
    """The setting of a mapping, as it is written in `.env`."""
    text = json.dumps(columns, ensure_ascii=False).replace("\\", "\\\\").replace("'", "\\'")
    return f"{name.upper()}__COLUMNS='{text}'"


_THEIRS = "<their column>"


def _doubt(file: OpenSource, source: Source) -> str:
    """What else may be wrong when the columns do not look like a header."""
    columns, doubts = file.columns, []
    place, what = _header_below(file, source), "row" if file.format == "excel" else "line"
    if place is not None:
        return f"; {what} {place} has the required names: remove the {what}s above it"
    others = [d for d in ",;|\t:" if d != file.delimiter and any(d in c for c in columns)]
    if file.delimiter and (len(columns) == 1 or others):
        doubts.append(
            f"if {file.delimiter!r} is not the delimiter, set {source.name.upper()}__DELIMITER"
            + (f", perhaps to {others[0]!r}" if others else "")
        )
    if file.format in ("csv", "excel") and (
        len(columns) == 1 or any(map(_NAMELESS.fullmatch, columns))
    ):
        doubts.append(f"if the header comes further down, remove the {what}s above it")
    return f"; {'; '.join(doubts)}" if doubts else ""


def _header_below(file: OpenSource, source: Source) -> int | None:
    """The number of the line that has the required names, where the first one has not."""
    for number, cells in file.below.items():
        names = {cell.strip().casefold() for cell in cells}
        if names.issuperset(source.required):
            return number
    return None


def _is_fixed_width(columns: Sequence[str], source: Source) -> bool:
    """Whether the names are columns of one line with nothing but spaces between them."""
    words = columns[0].casefold().split() if len(columns) == 1 else []
    return len(set(words) & set(source.columns)) > 1 or (
        len(words) > 2 and len(re.findall(r"\S {2,}(?=\S)", columns[0])) > 1
    )


_NAMELESS = re.compile(r"column_\d+")


def _is_value(name: str) -> bool:
    """Whether it is an e-mail address, a number or a date rather than the name of a column."""
    return bool(re.search(r"@|^[+$(-]?\d[\d\s().,:/+-]*$", name))


def source_columns_of(
    names: Iterable[str], settings: SourceSettings, *, in_lower_case: bool = False
) -> frozenset[str]:
    """The file's columns behind some canonical ones."""
    return frozenset(
        column.lower() if in_lower_case else column
        for canonical in names
        for column in as_list(settings.columns.get(canonical, canonical))
    )


def names_used(source: Source, settings: SourceSettings) -> frozenset[str]:
    """The names, without case, by which the columns of a source are found, and those of columns
    that they are inside of.
    """
    found = source_columns_of(source.columns, settings)
    return frozenset(part.casefold() for n in found for part in (n, n.partition(".")[0]))


def unused(columns: Iterable[str], used: set[str]) -> list[str]:
    """The columns of a file that are neither `used`, in whole or in part, nor ours."""
    known = used | {column.partition(".")[0] for column in used} | set(REJECT_COLUMNS)
    return [column for column in columns if column not in known]


FILES_TOLD = 5


def partly_absent(
    files: Sequence[OpenSource], mappings: Sequence[dict[str, list[str]] | None]
) -> list[str]:
    """Which columns some files of a source have and others lack: is it another name there?

    A record of a JSON file need not name what it has no value for.
    """
    pairs = [(f, m) for f, m in zip(files, mappings, strict=True) if m is not None]
    told = []
    for canonical in dict.fromkeys(column for _, mapping in pairs for column in mapping):
        lacking = [f.label for f, m in pairs if canonical not in m and not f.is_schemaless]
        if lacking:
            more = f" and {len(lacking) - FILES_TOLD} more files" if lacking[FILES_TOLD:] else ""
            told.append(
                f"{canonical} is in other files, not in {', '.join(lacking[:FILES_TOLD])}{more}"
            )
    return told


def differing(name: str, mapped: Sequence[OpenSource], others: Sequence[OpenSource]) -> str:
    """What to do where some files of a source have the columns that others lack."""
    told = (
        f"{_some(mapped)} has the columns that {_some(others)} lacks: call them the same in all "
        "files, or make them the same by a query (duckdb:///:memory: as the path; read_csv with "
        "union_by_name = true, and coalesce)"
    )
    archive, is_member, member = mapped[0].label.rpartition("!")
    if is_member and any(file.label.startswith(f"{archive}!") for file in others):
        told += f"; or read one member alone: {name.upper()}__PATH={archive}!{member}"
    return told


def _some(files: Sequence[OpenSource]) -> str:
    more = f" and {len(files) - FILES_TOLD} more files" if files[FILES_TOLD:] else ""
    return ", ".join(file.label for file in files[:FILES_TOLD]) + more


def as_list(value: str | list[str]) -> list[str]:
    """One name or several, as a list."""
    return [value] if isinstance(value, str) else value


def near_name(name: str, names: Iterable[str]) -> str | None:
    """The name most like another one, whatever its case and punctuation."""
    plain = {re.sub(r"[\W_]+", "", other).casefold() or other: other for other in names}
    close = difflib.get_close_matches(re.sub(r"[\W_]+", "", name).casefold(), plain, 1, 0.6)
    return plain[close[0]] if close else None


def nearest(near: str | None) -> str:
    """The end of a message that tells the nearest name, if there is one."""
    return "" if near is None else f" (nearest: {near!r})"
