"""Mapping: which columns of a file hold our canonical columns."""

from __future__ import annotations

import difflib
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from common.column_rules import COUNTED
from common.rejects import REJECT_COLUMNS
from common.results import NUMBER, SKIPPED
from common.source_settings import SourceSettings
from common.star_model import Source
from errors import SourceError
from sources.batches import Layout
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
                raise SourceError(_in_two_cases(file, source, settings, canonical, alike))
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
            f"{file.label}: {_mapping_error(file, source, settings, mapping, absent, missing)}"
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


def _in_two_cases(
    file: OpenSource, source: Source, settings: SourceSettings, canonical: str, alike: Sequence[str]
) -> str:
    """The message for columns of a file whose names differ only in case."""
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
    """What is wrong with the columns of a file, and the setting that would be right.

    `mapping`: what was found. `absent`: by canonical column, the mapped names that the file does
    not have. `missing`: required columns that are neither mapped nor found.
    """
    used = {own for found in mapping.values() for own in found}
    free = [column for column in file.columns if column not in used]
    if len(free) == len(file.columns) and any(map(_is_value, free)):  # no data in a message
        return (
            "the first line looks like a row, but must name the columns, among them "
            f"{', '.join(source.required)}; add a header"
        )
    if file.format == "csv" and _is_fixed_width(file.columns, source):
        return (
            "it looks like fixed width, which is not read yet: export it with a delimiter, or cut "
            "its lines by a query (duckdb:///:memory: as the path, read_csv and substr)"
        )
    problems, right = _wrongly_mapped(file, source, settings, absent)
    if missing:
        near_by = _nearest_of(missing, free)
        problems.append(_are_missing(near_by))
        right |= {canonical: near or _THEIRS for canonical, near in near_by.items()}
    return (
        f"{'; '.join(problems)}; set {_pasted(source.name, right)} "
        f"(it has: {', '.join(file.columns[:50])}){_doubt(file, source)}"
        + (f"; {file.note}" if file.note else "")
    )


def _wrongly_mapped(
    file: OpenSource, source: Source, settings: SourceSettings, absent: dict[str, list[str]]
) -> tuple[list[str], dict[str, Any]]:
    """What is wrong with `<SOURCE>__COLUMNS`, and the mapping that would be right."""
    setting = f"{source.name.upper()}__COLUMNS"
    problems: list[str] = []
    right: dict[str, Any] = {}
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
        right[canonical] = _corrected(wanted, {w: near or _THEIRS for w, near in better.items()})
    return problems, right


def _corrected(wanted: Any, better: Mapping[str, str]) -> Any:
    """What a column is mapped to, with better names."""
    if isinstance(wanted, list):
        return [_corrected(part, better) for part in wanted]
    if isinstance(wanted, dict):
        return better.get(" or ".join(wanted.get("any", ())), wanted)
    return better.get(wanted, wanted)


def _nearest_of(missing: Sequence[str], free: Sequence[str]) -> dict[str, str | None]:
    """For each missing column the name in `free` that is most like it; each is taken once."""
    near_by: dict[str, str | None] = {}
    for canonical in missing:
        near_by[canonical] = near_name(canonical, [c for c in free if c not in near_by.values()])
    return near_by


def _are_missing(near_by: Mapping[str, str | None]) -> str:
    """The message for missing columns, with the nearest name of each."""
    if len(near_by) == 1:
        ((canonical, near),) = near_by.items()
        return f"the required column {canonical} is missing{nearest(near)}"
    names = ", ".join(f"{canonical}{nearest(near)}" for canonical, near in near_by.items())
    return f"the required columns {names} are missing"


def _pasted(name: str, columns: Mapping[str, Any]) -> str:
    """A mapping as the setting to paste into `.env`."""
    text = json.dumps(columns, ensure_ascii=False).replace("\\", "\\\\").replace("'", "\\'")
    return f"{name.upper()}__COLUMNS='{text}'"


_THEIRS = "<their column>"


def _doubt(file: OpenSource, source: Source) -> str:
    """Other causes when the columns do not look like a header, as the end of a message; or ''."""
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
    """The number of a line below the header that has the required names; or None."""
    for number, cells in file.below.items():
        names = {cell.strip().casefold() for cell in cells}
        if names.issuperset(source.required):
            return number
    return None


def _is_fixed_width(columns: Sequence[str], source: Source) -> bool:
    """Whether the header is one column of names with only spaces between them."""
    words = columns[0].casefold().split() if len(columns) == 1 else []
    return len(set(words) & set(source.columns)) > 1 or (
        len(words) > 2 and len(re.findall(r"\S {2,}(?=\S)", columns[0])) > 1
    )


_NAMELESS = re.compile(r"column_\d+")


def _is_value(name: str) -> bool:
    """Whether a column's name looks like an e-mail address, a number or a date."""
    return bool(re.search(r"@|^[+$(-]?\d[\d\s().,:/+-]*$", name))


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


def watermark_in(columns: Sequence[str], settings: SourceSettings) -> set[str]:
    """The column that the setting `<SOURCE>__WATERMARK` names, if it is there."""
    name = own_name(settings.watermark or "", columns)
    return {name} & set(columns) if name else set()


def refuse_without_watermark(file: OpenSource, source: Source, settings: SourceSettings) -> None:
    """Raise `SourceError` when the column of the watermark is not in the file."""
    name = settings.watermark
    if name and not watermark_in(file.columns, settings):
        raise SourceError(
            f"{file.label}: {source.name.upper()}__WATERMARK names {name!r}, which is no column of "
            f"the result{nearest(near_name(name, file.columns))}"
        )


def unused(columns: Iterable[str], used: set[str]) -> list[str]:
    """The columns of a file that are not `used`, not even in part, and are not a reject file's."""
    known = used | {column.partition(".")[0] for column in used} | set(REJECT_COLUMNS)
    return [column for column in columns if column not in known]


_MOST_NAMED = 5


def partly_absent(
    files: Sequence[OpenSource], mappings: Sequence[dict[str, list[str]] | None]
) -> list[str]:
    """Warnings about columns that some files of a source have and others lack, perhaps under
    another name. JSON files do not count: a record need not name what it has no value for.
    """
    pairs = [(f, m) for f, m in zip(files, mappings, strict=True) if m is not None]
    notes = []
    for canonical in dict.fromkeys(column for _, mapping in pairs for column in mapping):
        lacking = [f.label for f, m in pairs if canonical not in m and not f.is_schemaless]
        if lacking:
            notes.append(f"{canonical} is in other files, not in {listed(lacking, ' files')}")
    return notes


def differing(name: str, mapped: Sequence[OpenSource], others: Sequence[OpenSource]) -> str:
    """What to do where some files of a source have columns that others lack."""
    advice = (
        f"{_some(mapped)} has the columns that {_some(others)} lacks: call them the same in all "
        "files, or make them the same by a query (duckdb:///:memory: as the path; read_csv with "
        "union_by_name = true, and coalesce)"
    )
    archive, is_member, member = mapped[0].label.rpartition("!")
    if is_member and any(file.label.startswith(f"{archive}!") for file in others):
        advice += f"; or read one member alone: {name.upper()}__PATH={archive}!{member}"
    return advice


def _some(files: Sequence[OpenSource]) -> str:
    return listed([file.label for file in files], " files")


def listed(names: Sequence[str], what: str = "") -> str:
    """The first five names, and how many more (`what`) there are."""
    more = f" and {len(names) - _MOST_NAMED} more{what}" if names[_MOST_NAMED:] else ""
    return ", ".join(names[:_MOST_NAMED]) + more


def near_name(name: str, names: Iterable[str]) -> str | None:
    """Of `names`, the one most like `name`, without regard to case and punctuation; or None."""
    plain = {re.sub(r"[\W_]+", "", other).casefold() or other: other for other in names}
    close = difflib.get_close_matches(re.sub(r"[\W_]+", "", name).casefold(), plain, 1, 0.6)
    return plain[close[0]] if close else None


def nearest(near: str | None) -> str:
    """` (nearest: 'name')` for the end of a message; '' without a name."""
    return "" if near is None else f" (nearest: {near!r})"
