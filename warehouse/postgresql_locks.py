"""Locks in PostgreSQL: the one that keeps other runs out, and who else holds one on the star."""

from __future__ import annotations

import time
import zlib

import sqlalchemy as sa
from sqlalchemy import Connection

from errors import BusyError

_CLASS = 0x57A2  # tells this application's advisory locks from others'
_ENDING_SECONDS = 1  # for the session of a run that has just ended

_HOLDER = sa.text(
    "SELECT a.application_name, a.pid, a.backend_start "
    "FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a USING (pid) "
    "WHERE l.locktype = 'advisory' AND l.granted AND l.classid::bigint = :class "
    "AND l.objid::bigint = :number "
    "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
_HOLDERS = sa.text(
    "SELECT DISTINCT l.pid, a.application_name, l.mode, c.relname "
    "FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_class c ON c.oid = l.relation "
    "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
    "JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid "
    "WHERE n.nspname = :schema AND c.relkind IN ('r', 'p') AND l.granted "
    "AND l.pid <> pg_backend_pid() "
    "AND (l.mode <> 'AccessShareLock' OR :readers)"
)


def take(connection: Connection, schema: str) -> None:
    """Take the advisory lock of the star in `schema`, for as long as the session lasts.

    Raises `BusyError`, which names the run that holds it.
    """
    number = zlib.crc32(schema.encode()) - (1 << 31)
    until = time.monotonic() + _ENDING_SECONDS
    while not connection.execute(sa.select(sa.func.pg_try_advisory_lock(_CLASS, number))).scalar():
        holder = _holder(connection, number)
        if holder is not None or time.monotonic() > until:
            raise BusyError(f"another run holds the warehouse: {holder or 'it is just ending'}")
        connection.commit()


def _holder(connection: Connection, number: int) -> str | None:
    asked = {"class": _CLASS, "number": number % (1 << 32)}
    row = connection.execute(_HOLDER, asked).first()
    if row is None:
        return None
    name = str(row.application_name).removeprefix("star-etl ")
    run_id, _, place = name.partition(" ")
    host, _, pid = place.rpartition(":")
    since = f"since {row.backend_start:%Y-%m-%d %H:%M:%S} UTC" if row.backend_start else ""
    return f"run {run_id} on {host}, process {pid}, {since} (server process {row.pid})"


def holders(connection: Connection, schema: str, *, readers: bool) -> str:
    """Rolls back, and says who else holds locks on the tables in `schema`, to be appended to a
    message. Locks of `readers` matter only to a column that is to be added.
    """
    try:
        connection.rollback()
        found = connection.execute(_HOLDERS, {"schema": schema, "readers": readers}).all()
    except sa.exc.DBAPIError:
        return ""
    return "".join(
        f"; server process {row.pid} ({row.application_name or 'unnamed'}) holds {row.mode} "
        f"on {row.relname}"
        for row in found
    )
