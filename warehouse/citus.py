"""Citus as the warehouse: PostgreSQL whose tables are spread over several nodes.

Dimensions are reference tables, which every node has whole. The fact is distributed by its business
key, and what is staged for it is cut the same way: each node joins its own rows. All else is a
plain table of the coordinator, `etl_run` too, so that one node knows whether a run was published.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy import MetaData, Table
from sqlalchemy.schema import CreateTable

from common.star_model import KeyText, Role, business_key, columns_of, is_dimension
from errors import WarehouseError
from warehouse.catalog import PresentTable
from warehouse.postgresql import PostgreSql

_TRANSACTION = (
    # One connection to each node, from the first statement on: what one of several connections has
    # written, the others cannot see, and Citus refuses keys to dimensions after a parallel COPY.
    "SET LOCAL citus.multi_shard_modify_mode = 'sequential'",
    # A schema that we make is no tenant of a cluster that gives each new one a node of its own.
    "SET LOCAL citus.enable_schema_based_sharding = off",
    "SET LOCAL citus.propagate_set_commands = 'local'",  # the next SET LOCAL reach all nodes
)
_PLAIN, _REFERENCE = "a plain table", "a reference table"
_LONGEST_NAME = 63
_UNCONFIRMED = "failed to commit"
"""Words of Citus's warning of a node that did not answer when it was told to commit."""

_log = logging.getLogger("star_etl")


class Citus(PostgreSql):
    """A PostgreSQL database with the extension Citus, as its coordinator shows it."""

    _stages_there = True
    staging_grants = "CONNECT", "USAGE, CREATE"
    _settling = (
        "; if a node was lost as well, Citus commits or rolls back there what is left of it, once "
        "the node is back (citus.recover_2pc_interval; SELECT recover_prepared_transactions() does "
        "it at once)"
    )

    @classmethod
    def of(cls, found: PostgreSql) -> Self:
        """Go on with the connection and the lock of `found`, a database that has the extension.

        Raises `WarehouseError`, and disconnects, if it is not the coordinator.
        """
        warehouse = cls.__new__(cls)
        vars(warehouse).update(vars(found))
        try:
            warehouse.refuse_workers()
        except BaseException:  # an interruption, too, must leave no connection open
            warehouse.close()
            raise
        return warehouse

    def _prepare(self) -> None:
        super()._prepare()
        self.refuse_workers()

    def refuse_workers(self) -> None:
        """Raises `WarehouseError` if we are connected to a worker. It could load too, but our lock
        is on one node: two runs would not see each other.
        """
        # citus_is_coordinator() would not do: it is false as long as no node was added.
        group, coordinator = self.row(
            sa.text(
                "SELECT groupid, (SELECT nodename || ':' || nodeport FROM pg_catalog.pg_dist_node "
                "WHERE groupid = 0 LIMIT 1) FROM pg_catalog.pg_dist_local_group"
            )
        )
        self.connection.commit()
        if group != 0:
            at = f" at {coordinator}" if coordinator else ""
            raise WarehouseError(
                f"WAREHOUSE_URL {self.config.warehouse_url}: it is a worker of a Citus cluster; "
                f"name the coordinator{at}"
            )

    def _set_transaction_options(self) -> None:
        for statement in _TRANSACTION:
            self.connection.exec_driver_sql(statement)
        super()._set_transaction_options()
        limit = f"{self.config.lock_timeout_seconds}s"  # set_config() is for this node only
        self.execute(sa.text("SET LOCAL lock_timeout = :limit"), {"limit": limit})

    def commit(self, proof: sa.Select[Any] | None = None) -> None:
        """All nodes prepare first, so that they commit or roll back together. A node that is lost
        after that gets its COMMIT later: until then readers see yesterday's rows of it.
        """
        del self._driver.notices[:]
        super().commit(proof)
        for notice in self._driver.notices:
            if _UNCONFIRMED in notice:
                _log.warning(
                    "%s; until Citus has done that, by itself, readers may see yesterday's rows of "
                    "that node (SELECT recover_prepared_transactions() does it at once)",
                    " ".join(notice.split()).removeprefix("WARNING: "),
                )

    # --- where rows are --------------------------------------------------------------------

    def _create(self, table: Table) -> None:
        super()._create(table)
        if _is_fact(table):
            self._distribute(table, business_key(table).name)
        elif is_dimension(table):
            self._replicate(table)

    def temporary(self, name: str, columns: Sequence[sa.Column[Any]], table: Table) -> Table:
        """An ordinary table, as Citus spreads no temporary ones; a rollback takes it away too. What
        has the key of a fact is distributed with it, all else is on every node.
        """
        key = business_key(table).name
        is_spread = _is_fact(table) and any(column.name == key for column in columns)
        # To be cut as the fact is, the key must have its collation as well as its type.
        types = {key: KeyText()} if is_spread else {}
        copies = [sa.Column(c.name, types.get(c.name, c.type)) for c in columns]
        suffix = "_" + re.sub(r"\W", "_", self.run_id).lower()[-24:]
        name = name[: _LONGEST_NAME - len(suffix)] + suffix
        made = Table(name, MetaData(), *copies, schema=self.schema, prefixes=["UNLOGGED"])
        self.execute(CreateTable(made))
        if is_spread:
            self._distribute(made, key, beside=self.qualified(table))
        else:
            self._replicate(made)
        return made

    def _distribute(self, table: Table, key: str, beside: str = "default") -> None:
        self.execute(
            sa.text(
                "SELECT pg_catalog.create_distributed_table(:table, :key, colocate_with => :beside)"
            ),
            {"table": self.qualified(table), "key": key, "beside": beside},
        )

    def _replicate(self, table: Table) -> None:
        call = sa.text("SELECT pg_catalog.create_reference_table(:table)")
        self.execute(call, {"table": self.qualified(table)})

    def present(self, tables: Sequence[Table]) -> dict[str, PresentTable]:
        found = super().present(tables)
        asked = {"schema": self.schema, "tables": list(found)}
        for row in self.execute(_PLACES, asked) if found else ():
            table = next(table for table in tables if table.name == row.relname)
            place = self._place(row)
            if place != self._wanted(table):
                remedy = self._remedy(table, place)
                found[table.name].misplaced = f"{place} instead of {self._wanted(table)} ({remedy})"
        return found

    def _place(self, row: Any) -> str:
        if row.partmethod == "h":
            return f"distributed by {row.key}"
        if row.repmodel == "t":
            return _REFERENCE
        # Citus also keeps a list of plain tables, which are in no group.
        return "a distributed table without a key" if row.colocationid else _PLAIN

    def _wanted(self, table: Table) -> str:
        if _is_fact(table):
            return f"distributed by {business_key(table).name}"
        return _REFERENCE if is_dimension(table) else _PLAIN

    def _remedy(self, table: Table, place: str) -> str:
        name = self.qualified(table)
        undo = f"SELECT undistribute_table('{name}')"
        if _is_fact(table):
            redo = f"SELECT create_distributed_table('{name}', '{business_key(table).name}')"
            redo += ", after its dimensions"
        elif is_dimension(table):
            redo = f"SELECT create_reference_table('{name}')"
        else:
            return undo
        return redo if place == _PLAIN else f"{undo}, then {redo}"

    # --- statements that Citus takes otherwise -----------------------------------------------

    def _copy_options(self, table: Table) -> str:  # noqa: ARG002
        """Rows are written to other tables than the one that is named, so they are not frozen."""
        return "FORMAT binary"

    def _analyze(self, table: Table, key: str) -> None:
        """On each node, of the keys. Citus refuses it where this node has rows of the table, which
        it has written by itself and would ask for over a connection.
        """
        if self.execute(_ROWS_HERE, {"table": self.qualified(table)}).scalar():
            return
        keys = [c.name for c in table.columns if c.name == key or isinstance(c.type, KeyText)]
        columns = ", ".join(map(self.quoted, keys))
        self.connection.exec_driver_sql(f"ANALYZE {self.qualified(table)} ({columns})")

    def overwrite(self, table: Table, changes: Table, known: sa.ColumnElement[Any]) -> None:
        """Joined by what both are distributed by; `known` is the same, or empty for new rows."""
        key = business_key(table)
        values = {c.name: changes.c[c.name] for c in table.columns if c is not key}
        is_same = key == changes.c[key.name]
        self.execute(sa.update(table).values(values).where(is_same, known.is_not(None)))

    def rename_keys(self, table: Table, renamed: Table) -> None:
        """A fact with another key may belong on another node: it is written anew."""
        if not _is_fact(table):
            super().rename_keys(table, renamed)
            return
        key = business_key(table)
        rows = [renamed.c.new if column is key else column for column in table.columns]
        moved = sa.select(*rows).select_from(table.join(renamed, key == renamed.c.old))
        self.execute(sa.insert(table).from_select(table.columns.keys(), moved))
        self.execute(sa.delete(table).where(key == renamed.c.old))

    # --- proofs by xmin: rows have the numbers of their node's transactions, not of ours ---------

    def rows_changed_since(self, snapshot: str) -> sa.ColumnElement[bool]:  # noqa: ARG002
        """All, whatever a run on this server has noted before it had the extension."""
        return sa.true()

    def snapshot(
        self,
        tables: Sequence[Table],  # noqa: ARG002
        counts: Mapping[str, int],  # noqa: ARG002
        last: str,  # noqa: ARG002
    ) -> str:
        """None: by "" no run recognises a table as untouched."""
        return ""

    # --- what `check` says -----------------------------------------------------------------

    def version(self) -> str:
        workers = sum(worker.isactive for worker in self.execute(_WORKERS))
        active = f"{workers} active worker{'' if workers == 1 else 's'}"
        return f"Citus {self.citus} with {active}, {super().version()}"

    def problems(self) -> list[str]:
        found = []
        if not self.may_create():
            found.append(
                f"the role may not make tables in schema {self.schema}, and staged rows are in "
                "such tables; let its owner run `python main.py init`, which prints the GRANTs"
            )
        found += [
            f"worker {at.nodename}:{at.nodeport} is not active "
            f"(SELECT citus_activate_node('{at.nodename}', {at.nodeport}))"
            for at in self.execute(_WORKERS)
            if not at.isactive
        ]
        may_ask = sa.func.has_function_privilege(_ON_WORKERS, "execute")
        answers = self.execute(_PREPARED).all() if self.scalar(sa.select(may_ask)) else []
        for at in answers:
            if not at.success:
                found.append(f"worker {at.nodename}:{at.nodeport} does not answer ({at.result})")
            elif at.result == "0":
                found.append(
                    f"worker {at.nodename}:{at.nodeport} has max_prepared_transactions = 0: no "
                    "transaction can be committed in which other nodes have a part; set it to "
                    "max_connections, and start the worker again"
                )
        return found


def _is_fact(table: Table) -> bool:
    """Whether rows of `table`, which may be a form of it without keys, point at members."""
    return bool(columns_of(table, Role.DIMENSION_KEY))


_PLACES = sa.text("""
SELECT c.relname, p.partmethod::text AS partmethod, p.repmodel::text AS repmodel, p.colocationid,
       CASE WHEN p.partmethod = 'h'
       THEN pg_catalog.column_to_column_name(p.logicalrelid, p.partkey) END AS key
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_dist_partition p ON p.logicalrelid = c.oid
WHERE n.nspname = :schema AND c.relname = ANY(:tables) AND c.relkind IN ('r', 'p')
""")
_ROWS_HERE = sa.text("""
SELECT count(*) FROM pg_catalog.pg_dist_shard s JOIN pg_catalog.pg_dist_placement p USING (shardid)
WHERE s.logicalrelid = CAST(:table AS regclass) AND p.groupid = 0
""")
_WORKERS = sa.text("""
SELECT nodename, nodeport, isactive FROM pg_catalog.pg_dist_node
WHERE noderole = 'primary' AND groupid <> 0 ORDER BY nodename, nodeport
""")
_ON_WORKERS = "pg_catalog.run_command_on_workers(text, boolean)"
_PREPARED = sa.text("""
SELECT nodename, nodeport, success, result
FROM pg_catalog.run_command_on_workers('SHOW max_prepared_transactions')
""")
