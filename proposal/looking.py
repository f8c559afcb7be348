"""Looks into files: which tables are in them, and by which settings they are read."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from errors import SourceError
from proposal.dialects import Dialect, dialect_of, encoding_of
from proposal.gathering import Given, gather, path_of, skeleton
from proposal.headless import told
from proposal.json_records import exploded, flat, lists_inside, records_in
from proposal.nested import with_lists
from proposal.roles import read_as
from proposal.tables import Found
from proposal.workbooks import pattern_of, sheets_of
from sources.batches import Layout, ReadOptions
from sources.formats import open_file
from sources.pieces import Findings
from sources.source_files import batches_of
from sources.streams import Place, is_workbook, open_content

_MOST_ROWS = 100_000
_JSON_BYTES = 24 << 20
_BATCH = 50_000
_FEW, _FEW_COLUMNS = 0.01, 3


def look(paths: Sequence[str], unused: dict[str, str]) -> list[Found]:
    """The tables in files; files that hold none are put into `unused`, each with the reason."""
    with tempfile.TemporaryDirectory() as folder:
        given = gather(paths, unused)
        tables: list[tuple[Given, Found]] = []
        for file in given:
            try:
                tables += [(file, found) for found in _look_into(file, Path(folder))]
            except SourceError as error:
                unused[file.path] = str(error)
        return _grouped(tables, given)


def _look_into(file: Given, folder: Path) -> list[Found]:
    """The tables of one file."""
    kind = _kind(file)
    if kind == "json":
        return _json_tables(file)
    if kind == "parquet":
        return with_lists(_read(file, folder, "parquet", Layout(), {}))
    if kind == "excel":
        return _sheets(file, folder)
    return [_text_table(file, folder)]


def _sheets(file: Given, folder: Path) -> list[Found]:
    """The tables in the sheets of a workbook; sheets with the same columns are one."""
    sheets, headers = sheets_of(file.place, folder)
    groups: dict[tuple[str, ...], list[Found]] = {}
    for sheet in sheets:
        layout = Layout(sheet=sheet.title, header_row=sheet.row)
        found = _read(file, folder, "excel", layout, sheet.settings, sheet.title)
        groups.setdefault(tuple(found.rows.column_names), []).append(found)
    tables = []
    for same in groups.values():
        own = [found.title for found in same]
        pattern = pattern_of(own, headers) if len(same) > 1 else ""
        if pattern and len(same[0].rows.column_names) > _FEW_COLUMNS:
            first = _joined(same)
            first.settings = {**first.settings, "sheet": pattern}
            first.evidence["sheet"] = f"{', '.join(own[:5])} have the same columns"
            tables.append(first)
        else:
            tables += same
    return tables


def _kind(file: Given) -> str:
    """What a file is, by its first bytes and its name."""
    with open_content(file.place) as content:
        head, name = content.head, content.name.lower()
    if head.startswith(b"PAR1"):
        return "parquet"
    if is_workbook(head):
        return "excel"
    first = head.removeprefix(b"\xef\xbb\xbf").replace(b"\0", b"").lstrip(b"\xff\xfe \r\n\t")[:1]
    is_text = name.endswith((".csv", ".tsv", ".tab", ".psv"))
    if name.endswith((".json", ".jsonl", ".ndjson")) or (first in b"[{" and first and not is_text):
        return "json"
    return "text"


def _read(
    file: Given, folder: Path, kind: str, layout: Layout, settings: dict[str, Any], title: str = ""
) -> Found:
    """A table as the run's own readers read it."""
    options = ReadOptions(
        "transactions",
        settings.get("encoding", "utf-8"),
        settings.get("delimiter"),
        _BATCH,
        layout=layout,
    )
    rows, refused, is_whole = _rows(file.place, options, folder)
    name = title or Path(file.name).name.partition(".")[0]
    found = Found(file.path, name, kind, rows, dict(settings), is_whole=is_whole)
    found.files = [file.path]
    found.refused = refused
    if refused > _FEW * len(rows):
        found.unknown.append(f"{refused} records of {file.path} cannot be read as rows")
    return found


def _rows(place: Place, options: ReadOptions, folder: Path) -> tuple[pa.Table, int, bool]:
    """The first rows of a file; how many records are none; and whether these are all."""
    opened = open_file(place, options, folder)
    tables, count, refused, is_whole = [], 0, 0, True
    try:
        for piece in opened.pieces:
            for batch in batches_of(piece, opened.steps, Findings()):
                tables.append(batch.rows)
                count += len(batch.rows)
                refused += len(batch.refused)
            if count >= _MOST_ROWS:
                is_whole = False
                break
    finally:
        opened.close()
    empty = pa.table({name: pa.array([], pa.string()) for name in opened.columns})
    plain = [_as_text(table) for table in tables]
    rows = pa.concat_tables([empty, *plain], promote_options="default")
    return rows, refused, is_whole


def _as_text(table: pa.Table) -> pa.Table:
    return pa.table({name: table[name].cast(pa.string()) for name in table.column_names})


def _text_table(file: Given, folder: Path) -> Found:
    """A table in a text file, by the dialect that reads most of its records."""
    dialect = dialect_of(file.place)
    settings = _settings(dialect)
    layout = Layout(widths=tuple(dialect.widths), header_row=dialect.header_row)
    if dialect.is_headless:
        names = tuple(f"column_{n}" for n in range(1, dialect.fields + 1))
        layout = replace(layout, header=names)
        settings["header"] = list(names)
    found = _read(file, folder, "csv", layout, settings)
    if found.unknown:  # some records are no rows: quotes may be text, or escaped otherwise
        others = {"escape": replace(layout, escape="\\"), "quote": replace(layout, quote="")}
        if not dialect.has_escapes:
            others.pop("escape")
        for name, other in others.items():
            own = {**settings, name: other.escape or "none"}
            tried = _read(file, folder, "csv", other, own)
            if tried.refused < found.refused / 10:
                tried.evidence[name] = "so that all records have as many fields as the header"
                found = tried
                break
    found.headless = dialect.is_headless
    if found.headless:
        found.unknown.append(told(found))
    found.evidence |= dialect.evidence
    found.unknown += dialect.unknown
    return found


def _settings(dialect: Dialect) -> dict[str, Any]:
    """The settings for a dialect, as far as a run does not find it out by itself."""
    settings: dict[str, Any] = {}
    if dialect.encoding:
        settings["encoding"] = dialect.encoding
    if dialect.widths:
        settings["widths"] = dialect.widths
    elif dialect.delimiter and (dialect.delimiter not in ",;|\t" or dialect.header_row):
        settings["delimiter"] = dialect.delimiter
    if dialect.header_row:
        settings["header_row"] = dialect.header_row
        dialect.evidence["header_row"] = (
            f"the names of the columns are in line {dialect.header_row}"
        )
    return settings


def _json_tables(file: Given) -> list[Found]:
    """The lists of records in a JSON file, and the tables of the lists inside these."""
    encoding, reason, doubt = encoding_of(file.place)
    with open_content(file.place) as content:
        raw = content.stream.read(_JSON_BYTES)
        is_whole = len(raw) < _JSON_BYTES
    text = raw.decode(encoding or "utf-8-sig", "replace")
    tables = []
    found_in = records_in(text, is_whole=is_whole)
    for records in found_in:
        settings: dict[str, Any] = {"encoding": encoding} if encoding else {}
        if records.path:
            settings["records"] = records.path
        title = records.path.rpartition(".")[2] or file.name.partition(".")[0]
        lists = lists_inside(records.rows)
        options: list[tuple[str, list[dict[str, Any]]]] = [("", records.rows)]
        options += [(path, exploded(records.rows, path)) for path in lists]
        for path, rows in options:
            own = {**settings, "explode": path} if path else dict(settings)
            found = _json_table(file, title, rows, own, is_whole=records.is_whole)
            found.elements = path
            if reason:
                found.evidence["encoding"] = reason
            found.unknown += [doubt] if doubt else []
            if records.path:
                found.evidence["records"] = f"{len(records.rows):,} records under {records.path!r}"
            tables.append(found)
    if not tables:
        raise SourceError(f"{file.path}: there are no records in it")
    return tables


def _json_table(
    file: Given, title: str, rows: list[dict[str, Any]], settings: dict[str, Any], *, is_whole: bool
) -> Found:
    columns = flat(rows)
    table = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
    typed = {name for name in columns if _is_typed(rows, name)}
    found = Found(file.path, title, "json", table, settings, is_whole=is_whole)
    found.typed, found.files = frozenset(typed), [file.path]
    return found


def _is_typed(rows: Sequence[dict[str, Any]], name: str) -> bool:
    """Whether the values at a path are numbers of JSON, and no texts."""
    for row in rows[:200]:
        value: Any = row
        for step in name.split("."):
            value = value.get(step) if isinstance(value, dict) else None
        if value is not None:
            return not isinstance(value, str)
    return False


def _grouped(tables: Sequence[tuple[Given, Found]], given: Sequence[Given]) -> list[Found]:
    """The tables; those of several files of one kind as one."""
    groups: dict[tuple[object, ...], list[tuple[Given, Found]]] = {}
    for file, found in tables:
        key = _kind_of(file, found)
        similar = next((k for k, g in groups.items() if _is_same_kind(k, key, g[0][1], found)), key)
        groups.setdefault(similar, []).append((file, found))
    joined = []
    for members in groups.values():
        files = [file for file, _ in members]
        first = members[0][1]
        if len(members) > 1:
            first = _joined([found for _, found in members])
            first.path, doubt = path_of(files, given)
            first.files = [file.path for file in files]
            first.title = skeleton(files[0].name).partition(".")[0].replace("#", " ")
            first.unknown += [doubt] if doubt else []
            if len({skeleton(file.name) for file in files}) > 1:
                first.unknown.append(
                    f"{', '.join(f.path for f in files[:4])} have the same columns, and are read "
                    "as one source"
                )
        joined.append(first)
    return joined


def _kind_of(file: Given, found: Found) -> tuple[object, ...]:
    own = (found.settings.get("sheet"), found.settings.get("records"), found.elements)
    return (found.format, skeleton(file.name), *own, _archive(found))


def _is_same_kind(
    key: tuple[object, ...], other: tuple[object, ...], one: Found, two: Found
) -> bool:
    """Whether two tables are parts of one source."""
    if key[0] != other[0] or key[2:] != other[2:]:
        return False
    if one.files == two.files:
        return False
    if one.settings != two.settings:
        return False
    mine, theirs = set(one.rows.column_names), set(two.rows.column_names)
    if key[1] == other[1]:
        return len(mine & theirs) >= 0.6 * max(len(mine), len(theirs))
    are_near = len(mine & theirs) >= max(3, 0.75 * max(len(mine), len(theirs)))
    return (mine == theirs and len(mine) > 2) or (are_near and _means_the_same(one, two))


def _roles(table: Found) -> dict[str, str]:
    """The likeliest role of each column, whatever the source."""
    found: dict[str, tuple[float, str]] = {}
    for source in ("transactions", "customers", "products"):
        reading = read_as(table, source)
        for role, name in reading.columns.items():
            found[name] = max(found.get(name, (0.0, "")), (reading.weights[role], role))
    return {name: role for name, (_, role) in found.items()}


def _renamed(first: Found, other: Found) -> dict[str, str]:
    """By a column of `other` that `first` lacks, the one of `first` that is the same."""
    mine = {
        role: name for name, role in _roles(first).items() if name not in other.rows.column_names
    }
    theirs = _roles(other)
    return {
        name: mine[role]
        for name, role in theirs.items()
        if name not in first.rows.column_names and role in mine
    }


def _means_the_same(one: Found, two: Found) -> bool:
    """Whether all columns that one table has alone are the other's by another name."""
    alone = set(two.rows.column_names) - set(one.rows.column_names)
    return alone <= set(_renamed(one, two)) and bool(alone)


def _with(table: Found, names: Sequence[str]) -> Found:
    return replace(table, rows=table.rows.rename_columns(list(names)))


def _archive(found: Found) -> str:
    """The archive that a table is in; '' where it is in none."""
    return found.path.rpartition("!")[0]


def _joined(tables: Sequence[Found]) -> Found:
    """The rows of several tables as those of one; a column that is called otherwise in some of them
    has the name of the first.
    """
    other_names = dict[str, list[str]]()
    for number, table in enumerate(tables[1:], 1):
        pairs = _renamed(tables[0], table)
        if pairs:
            names = [pairs.get(name, name) for name in table.rows.column_names]
            tables = [*tables[:number], _with(table, names), *tables[number + 1 :]]
            for theirs, mine in pairs.items():
                other_names.setdefault(mine, []).append(theirs)
    rows = pa.concat_tables([table.rows for table in tables], promote_options="default")
    first = replace(tables[0], rows=rows.slice(0, 2 * _MOST_ROWS))
    first.other_names = {n: list(dict.fromkeys(o)) for n, o in other_names.items()}
    first.is_whole = all(table.is_whole for table in tables) and len(rows) <= 2 * _MOST_ROWS
    first.unknown = list(dict.fromkeys(text for table in tables for text in table.unknown))
    return first
