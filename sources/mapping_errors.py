"""What is said of columns that cannot be mapped: the cause, the nearest names, and the setting."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from common.source_settings import SourceSettings
from common.star_model import Source
from sources.pieces import OpenSource


def in_two_cases(
    file: OpenSource, source: Source, settings: SourceSettings, canonical: str, alike: Sequence[str]
) -> str:
    """The message for columns of a file whose names differ only in case."""
    mapped = {**settings.columns, canonical: alike[0]}
    return (
        f"{file.label}: {canonical} may be any of {', '.join(alike)}; "
        f"say which: {_pasted(source.name, mapped)}"
    )


def mapping_error(
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
            f"{', '.join(source.required)}; add a header, or set {source.name.upper()}__HEADER to "
            f"the names of its {len(file.columns)} columns, in their order"
        )
    if file.format == "csv" and file.widths and _is_fixed_width(file.columns, source):
        return (
            f"it looks like fixed width; set {source.name.upper()}__WIDTHS={file.widths}, the "
            "widths of its columns by the first lines, and correct them where a later value is "
            "longer"
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


def _doubt(file: OpenSource, source: Source) -> str:
    """Other causes when the columns do not look like a header, as the end of a message; or ''."""
    if file.hint:
        return f"; {file.hint}"
    columns, doubts, name = file.columns, [], source.name.upper()
    others = [d for d in ",;|\t:" if d != file.delimiter and any(d in c for c in columns)]
    if file.delimiter and (len(columns) == 1 or others):
        doubts.append(
            f"if {file.delimiter!r} is not the delimiter, set {name}__DELIMITER"
            + (f", perhaps to {others[0]!r}" if others else "")
        )
    if file.format in ("csv", "excel") and (
        len(columns) == 1 or any(map(_NAMELESS.fullmatch, columns))
    ):
        what = "row" if file.format == "excel" else "line"
        doubts.append(f"if the header comes further down, set {name}__HEADER_ROW to its {what}")
    return f"; {'; '.join(doubts)}" if doubts else ""


def _is_fixed_width(columns: Sequence[str], source: Source) -> bool:
    """Whether the header is one column of names with only spaces between them."""
    words = columns[0].casefold().split() if len(columns) == 1 else []
    return len(set(words) & set(source.columns)) > 1 or (
        len(words) > 2 and len(re.findall(r"\S {2,}(?=\S)", columns[0])) > 1
    )


def _is_value(name: str) -> bool:
    """Whether a column's name looks like an e-mail address, a number or a date."""
    return bool(re.search(r"@|^[+$(-]?\d[\d\s().,:/+-]*$", name))


_THEIRS = "<their column>"
_NAMELESS = re.compile(r"column_\d+")
_MOST_NAMED = 5


def differing(
    source: Source,
    settings: SourceSettings,
    mapped: Sequence[OpenSource],
    others: Sequence[OpenSource],
) -> str:
    """What to do where some files of a source have columns that others lack."""
    name = source.name.upper()
    both = _both_names(source, settings, mapped, others)
    advice = (
        f"{_some(mapped)} has the columns that {_some(others)} lacks: "
        + (f"give all their names: {_pasted(name, both)}; or " if both else "")
        + "call them the same in all files, or make them the same by a query (duckdb:///:memory: "
        "as the path; read_csv with union_by_name = true, and coalesce)"
    )
    archive, is_member, member = mapped[0].label.rpartition("!")
    if is_member and any(file.label.startswith(f"{archive}!") for file in others):
        advice += f"; or read one member alone: {name}__PATH={archive}!{member}"
    return advice


def _both_names(
    source: Source,
    settings: SourceSettings,
    mapped: Sequence[OpenSource],
    others: Sequence[OpenSource],
) -> dict[str, Any]:
    """The mapping that fits the files of both kinds; empty where it is not clear what is called
    otherwise.
    """
    known = {column.casefold() for file in mapped for column in file.columns}
    right = dict(settings.columns)
    for file in others:
        own = {column.casefold() for column in file.columns}
        new = [column for column in file.columns if column.casefold() not in known]
        for canonical in source.columns:
            parts = settings.rule(canonical).parts
            is_needed = canonical in settings.columns or canonical in source.required
            lacks = len(parts) == 1 and own.isdisjoint(name.casefold() for name in parts[0])
            if not is_needed or not lacks or not known & {n.casefold() for n in parts[0]}:
                continue
            near = near_name(canonical, new) or near_name(parts[0][0], new)
            if near is None:
                near = new[0] if len(new) == 1 else _THEIRS
            new = [column for column in new if column != near]
            right[canonical] = {"any": _with_name(right.get(canonical, canonical), near)}
    return right if right != dict(settings.columns) else {}


def _with_name(given: Any, name: str) -> list[str]:
    """The names that a column has, and one more."""
    names = given["any"] if isinstance(given, dict) else given
    return list(dict.fromkeys([*(names if isinstance(names, list) else [names]), name]))


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
