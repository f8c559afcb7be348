"""Who owns a transaction: a run, or the loader or validator that is used without one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Self

from sqlalchemy import Table

from config import StarSchemaConfig
from warehouse import for_others, growth
from warehouse.base import Warehouse
from warehouse.engines import new_run_id, open_warehouse


@contextmanager
def transaction(
    config: StarSchemaConfig,
    given: Warehouse | None = None,
    tables: Sequence[Table] = (),
    run_id: str | None = None,
) -> Iterator[Warehouse]:
    """The transaction of a run, whose warehouse is `given`, or else one of its own.

    One of its own begins with all `tables` made or grown to what is declared. It is committed when
    the block ends and rolled back when the block raises; `warnings` of the warehouse then has what
    could not be declared of them. Without `tables` the block only reads.
    """
    if given is not None:
        yield given
        return
    with open_warehouse(config, run_id or new_run_id()) as warehouse:
        if not tables:
            yield warehouse
            return
        found = growth.begin_load(warehouse, tables)
        yield warehouse
        growth.complete(warehouse, found)
        found.warnings += for_others.complete(warehouse, config.star)
        warehouse.commit()
        warehouse.warnings += found.warnings + growth.complete_apart(warehouse, found)


class Loader:
    """Writes to the star in a `transaction`, which lasts as long as it is used as a context."""

    warehouse: Warehouse
    _transaction: AbstractContextManager[Warehouse]

    def __init__(
        self,
        config: StarSchemaConfig,
        given: Warehouse | None,
        run_id: str | None = None,
    ) -> None:
        self.config = config
        self.run_id = run_id or new_run_id()
        self._given = given

    def __repr__(self) -> str:
        return f"<{type(self).__name__} into {self.config.place}>"

    def __enter__(self) -> Self:
        self._transaction = transaction(
            self.config, self._given, self.config.star.tables, self.run_id
        )
        self.warehouse = self._transaction.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._transaction.__exit__(kind, error, trace)
