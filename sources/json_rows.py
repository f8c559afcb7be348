"""Decoded JSON records to batches of text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from common.values import text_array
from errors import SourceError
from sources.batches import ReadOptions, TextBatch
from sources.explode import Values, lists_in, missing_step, no_list, steps_of, two_columns, unfold
from sources.json_decoder import Item, Malformed
from sources.json_values import at
from sources.pieces import refuse_too_many
from sources.undecodable import refused


def columns_in_head(label: str, items: Sequence[Item], options: ReadOptions) -> list[str]:
    """The columns of a file, by its first records. Raises `SourceError` where these are none."""
    columns: list[str] = []
    records = [record for _, record in items if isinstance(record, dict)]
    if not options.layout.records:
        _refuse_wrapped(label, records, options)
    if not options.layout.explode:
        _refuse_halves(label, records, options)
    steps = steps_of(options)
    if steps and (missing := missing_step(records, steps)):
        raise no_list(label, missing, lists_in(records), options)
    parse_items(label, columns, items, options)
    for count in range(1, len(steps) + 1) if records else ():
        name = ".".join(steps[:count])  # these lists have no element yet
        if not any(column == name or column.startswith(f"{name}.") for column in columns):
            columns.append(name)
    return columns


def parse_items(
    label: str, columns: list[str], items: Sequence[Item], options: ReadOptions
) -> TextBatch:
    """Records as text under the names `columns`, which get those that no earlier record has."""
    rows: list[Values] = []
    lines, no_rows = [], []
    for number, value in items:
        if isinstance(value, Malformed):
            no_rows.append(refused(number, value.problem, value.text, options.encoding))
        else:
            rows.append(value)
            lines.append(number)
    numbers = np.array(lines, np.int64)
    if options.layout.explode:
        return _exploded(label, columns, rows, TextBatch(pa.table({}), numbers, no_rows), options)
    found = dict.fromkeys(columns)
    for row in rows:
        found.update(dict.fromkeys(row))
    columns[:] = found
    refuse_too_many(label, columns)
    texts = {}
    for name in columns:
        texts[name] = text_array([row.get(name) for row in rows], options.text_of(name))
    return TextBatch(pa.table(texts), numbers, no_rows, len(items))


def _exploded(
    label: str,
    columns: list[str],
    records: Sequence[Values],
    batch: TextBatch,
    options: ReadOptions,
) -> TextBatch:
    """A row for each element of the lists in some records, whose lines are those of `batch`."""
    unfolded = unfold(records, steps_of(options))
    try:
        places = unfolded.names()
    except ValueError as error:
        raise two_columns(label, str(error), options) from None
    columns[:] = dict.fromkeys([*columns, *places])
    refuse_too_many(label, columns)
    count, texts = len(unfolded.places[0]), {}
    for name in columns:
        texts[name] = (
            unfolded.column(*places[name], options.text_of(name))
            if name in places
            else pa.nulls(count, pa.string())
        )
    return TextBatch(
        pa.table(texts),
        batch.lines[unfolded.places[0]],
        batch.refused,
        count + unfolded.empty + len(batch.refused),
        unfolded.empty,
        is_exploded=True,
    )


def together(parsed: Sequence[TextBatch]) -> TextBatch:
    """Consecutive batches as one."""
    return TextBatch(
        pa.concat_tables([batch.rows for batch in parsed], promote_options="default"),
        np.concatenate([batch.lines for batch in parsed]),
        [record for batch in parsed for record in batch.refused],
        sum(batch.records for batch in parsed),
        sum(batch.empty for batch in parsed),
        is_exploded=parsed[0].is_exploded,
    )


def _refuse_halves(label: str, records: Sequence[Values], options: ReadOptions) -> None:
    """Raise `SourceError` when what is required is partly in the records, partly in a list."""
    layout, first = options.layout, records[:1]
    if not first or layout.bears(first[0]):
        return
    for path in lists_in(first):
        inner = at(first[0], path.split("."))
        keys = inner[0].keys() if isinstance(inner[0] if inner else None, dict) else ()
        if keys and layout.bears([*first[0], *keys]):
            own = {name.casefold() for name in first[0]}
            wanted = {name for part in layout.required if own.isdisjoint(part) for name in part}
            names = [key for key in keys if key.casefold() in wanted]
            setting = options.source.upper()
            raise SourceError(
                f"{label}: {', '.join(names)} are in the list {path!r} of each record; where each "
                f"of its elements is a row, set {setting}__EXPLODE={path}, and map "
                f"{', '.join(f'{path}.{name}' for name in names)} in {setting}__COLUMNS"
            )


def _refuse_wrapped(label: str, records: Sequence[Values], options: ReadOptions) -> None:
    """Raise `SourceError` when the objects are no records but contain a list of them."""
    if any(name.casefold() in options.used for record in records for name in record):
        return
    for name, value in records[0].items() if records else ():
        inner = value[0] if isinstance(value, list) and value else None
        if isinstance(inner, dict) and any(key.casefold() in options.used for key in inner):
            raise SourceError(
                f"{label}: its records are a list inside {name!r}; "
                f"set {options.source.upper()}__RECORDS={name}"
            )
