"""The published star for people: frames of its tables, and of its sales under readable names."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa
import sqlalchemy as sa

from common.readable import readable
from config import StarSchemaConfig
from errors import EtlError, RequestError
from warehouse import Warehouse, reading, star_questions
from warehouse.answers import answer
from warehouse.export import export_star
from warehouse.frames import as_pandas, as_polars
from warehouse.questions import Question

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

Asked: TypeAlias = sa.Select[Any] | Question
_SHOWN = 10
"""Rows of a frame that are shown where it is only looked at."""


class Frame:
    """Rows of the star, which are asked for when they are wanted: nothing is read before, and
    nothing stays open after.
    """

    def __init__(
        self,
        config: StarSchemaConfig,
        title: str,
        ask: Callable[[Warehouse], Asked],
        finish: Callable[[pa.Table], pa.Table] = lambda table: table,
    ) -> None:
        self._config, self._title = config, title
        self._ask, self._finish = ask, finish

    def arrow(self) -> pa.Table:
        """The rows as an Arrow table: amounts are `decimal128`, dates `date32`, ids text.

        Raises `BusyError` while a run has the DuckDB file, `WarehouseError` where there is no star
        yet, or it is lost, and `RequestError` where the warehouse refuses what `sql` asks.
        """
        return self._answer()

    def df(self, *, floats: bool = False) -> pd.DataFrame:
        """The rows as a frame of pandas: amounts are exact `Decimal`s, or floats if asked for, for
        charts; whole numbers and booleans may be missing; dates are dates. Raises as `arrow` does.
        """
        return as_pandas(self._answer(), floats=floats)

    def polars(self) -> pl.DataFrame:
        """The rows as a frame of Polars, where that is installed. Raises as `arrow` does, and
        `RequestError` without Polars.
        """
        return as_polars(self._answer)

    def _answer(self, rows: int | None = None) -> pa.Table:
        with reading(self._config) as warehouse:
            asked = self._ask(warehouse)
            if rows is not None:
                asked = asked.limit(rows) if isinstance(asked, sa.Select) else asked.first(rows)
            return self._finish(answer(warehouse, asked))

    def _looked_at(self) -> tuple[pd.DataFrame, str]:
        """The first rows, and what to say of them."""
        found = self._answer(_SHOWN + 1)
        more = found.num_rows > _SHOWN
        told = f"the first {_SHOWN} rows" if more else f"{found.num_rows} rows"
        told = f"{self._title}: {told}, {found.num_columns} columns"
        return as_pandas(found.slice(0, _SHOWN)), f"{told}; .df() has all" if more else told

    def __repr__(self) -> str:
        try:
            rows, told = self._looked_at()
        except EtlError as error:  # a look at a frame breaks nothing
            return f"{self._title}: {error}"
        return f"{rows.to_string(index=False, max_colwidth=40, line_width=100)}\n\n{told}"

    def _repr_html_(self) -> str:
        try:
            rows, told = self._looked_at()
        except EtlError as error:
            return f"<p>{escape(self._title)}: {escape(str(error))}</p>"
        table = rows.to_html(index=False, border=0, na_rep="")
        return f'<div style="overflow-x:auto">{table}</div><p>{escape(told)}</p>'


class OpenStar:
    """Reads the star. Each question opens the warehouse and closes it again, so that nothing stays
    open that the next run would wait for.

    Each table is an attribute, as `star.fact_sales`; `star.dates` are the days of the calendar
    without the unknown one.
    """

    def __init__(self, config: StarSchemaConfig) -> None:
        self.config = config

    def __getattr__(self, name: str) -> Frame:
        if name.startswith("_"):
            raise AttributeError(name)
        star = self.config.star
        tables = {table.name: table for table in star.tables}
        if name in tables:
            return Frame(self.config, name, star_questions.whole(tables[name]))
        if name == self._days:
            return Frame(self.config, name, star_questions.days(star.calendar))
        near = _near(name, [*self._names(), "sales", "sql"])
        raise AttributeError(f"the star has no {name!r}; {near}")

    @property
    def _days(self) -> str:
        """What the days of the calendar without the unknown one are called, as the view of them."""
        return f"{self.config.star.calendar.info['member']}s"

    def _names(self) -> list[str]:
        return [*(table.name for table in self.config.star.tables), self._days]

    def __dir__(self) -> Iterable[str]:
        return [*super().__dir__(), *self._names()]

    def __repr__(self) -> str:
        return (
            f"the star in {self.config.warehouse_url}: {', '.join(self._names())}, sales(), sql()"
        )

    def sql(self, text: str, values: Mapping[str, Any] | None = None) -> Frame:
        """The answer to one question in SQL, which can write nothing. `values` has those of its
        `:names`; without it a colon means nothing.

        Raises `RequestError` where the text is no question, or its names and `values` differ. What
        the warehouse refuses is told when the rows are asked for.
        """
        question = Question.of(text, values)
        return Frame(self.config, "answer", lambda _: question)

    def sales(self, by: str | Iterable[str] | None = None) -> Frame:
        """All sales with what is known of their members, under readable names. With `by`, names of
        such columns, a row for each combination that comes: how many sales it has, and the sums of
        the measures that can be added up. Amounts of several currencies are never added up: there
        the currency is a column, too.

        Raises `RequestError` for names that there are not.
        """
        star = self.config.star
        if by is None:
            return Frame(self.config, "sales", star_questions.all_facts(star))
        several = isinstance(by, Iterable) and not isinstance(by, str | bytes)
        names = list(dict.fromkeys(map(str, by if several else [by])))
        columns = readable(star)
        groups = {name: c for name, c in columns.items() if star_questions.is_group(c)}
        for name in names:
            if name in columns and name not in groups:
                raise RequestError(f"{name!r} is a measure, which is added up; {_near('', groups)}")
            if name not in groups:
                raise RequestError(f"sales are not known by {name!r}; {_near(name, groups)}")
        return Frame(
            self.config,
            f"sales by {', '.join(names)}" if names else "all sales",
            star_questions.summed(star, {name: columns[name] for name in names}),
            star_questions.one_currency(star, names),
        )

    def export(self, folder: Path | str, since: date | str | None = None) -> Path:
        """Write the star into `folder` as Parquet, as `python main.py export` does; returns the
        folder. Raises as `warehouse.export.export_star` does.
        """
        day = since.isoformat()[:10] if isinstance(since, date) else since
        return export_star(self.config, Path(folder), day).folder


def _near(name: str, known: Iterable[str]) -> str:
    """Those of the `known` names that are meant, or all of them."""
    names: Sequence[str] = list(known)
    parts = set(name.casefold().split("_")) - {""}
    near = difflib.get_close_matches(name.casefold(), names, n=3)
    near += [other for other in names if parts & set(other.split("_")) and other not in near]
    if near:
        return f"did you mean {' or '.join(near[:5])}?"
    return f"there are {', '.join(names)}"


def open_star(config: StarSchemaConfig) -> OpenStar:
    """The star that `config` names, to be read. Nothing is opened before something is asked."""
    return OpenStar(config)
