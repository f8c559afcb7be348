"""A PostgreSQL that takes itself for the coordinator of a Citus cluster.

Citus is in none of the registries that tests install from. This extension of its name has the
functions and tables of Citus that the application uses. They spread nothing: they note each call,
and refuse what Citus refuses. What Citus makes of a statement, only a real cluster shows.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from support.cluster import Cluster
from support.star import Star

VERSION = "13.0-1"
_CONTROL = f"comment = 'stands in for Citus'\ndefault_version = '{VERSION}'\nschema = pg_catalog\n"
_SCRIPT = r"""
CREATE SCHEMA citus;
CREATE TABLE citus.pg_dist_partition (
    logicalrelid regclass, partmethod "char", partkey text, colocationid int, repmodel "char");
CREATE TABLE citus.pg_dist_shard (logicalrelid regclass, shardid bigint);
CREATE TABLE citus.pg_dist_placement (shardid bigint, groupid int);
CREATE TABLE citus.pg_dist_node (
    nodename text, nodeport int, groupid int, noderole text, isactive bool);
CREATE VIEW citus.pg_dist_local_group AS
    SELECT coalesce(current_setting('standin.is_worker_of', true), '0')::int AS groupid;
ALTER VIEW citus.pg_dist_local_group SET SCHEMA pg_catalog;
ALTER TABLE citus.pg_dist_partition SET SCHEMA pg_catalog;
ALTER TABLE citus.pg_dist_shard SET SCHEMA pg_catalog;
ALTER TABLE citus.pg_dist_placement SET SCHEMA pg_catalog;
ALTER TABLE citus.pg_dist_node SET SCHEMA pg_catalog;
GRANT SELECT ON pg_catalog.pg_dist_partition, pg_catalog.pg_dist_shard,
    pg_catalog.pg_dist_placement, pg_catalog.pg_dist_node, pg_catalog.pg_dist_local_group TO PUBLIC;
INSERT INTO pg_catalog.pg_dist_node VALUES
    ('coordinator', 5432, 0, 'primary', true), ('w1', 5432, 1, 'primary', true),
    ('w2', 5432, 2, 'primary', true);
CREATE TABLE citus.calls (
    number serial, function text, relation text, persistence text, key text, beside text);
CREATE TABLE citus.answers (nodename text, nodeport int, success bool, result text);
INSERT INTO citus.answers VALUES ('w1', 5432, true, '200'), ('w2', 5432, true, '200');
GRANT USAGE ON SCHEMA citus TO PUBLIC;
GRANT SELECT ON citus.calls, citus.answers TO PUBLIC;

CREATE FUNCTION citus.note(called text, relation regclass, key text, beside text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    found pg_catalog.pg_class;
    filled bool;
BEGIN
    SELECT * INTO found FROM pg_catalog.pg_class WHERE oid = relation;
    EXECUTE format('SELECT EXISTS (SELECT FROM %s)', relation) INTO filled;
    IF found.relpersistence = 't' THEN
        RAISE EXCEPTION 'cannot distribute a temporary table';
    ELSIF filled THEN
        RAISE EXCEPTION 'the stand-in moves no rows: % has some', relation;
    ELSIF current_setting('citus.multi_shard_modify_mode', true) IS DISTINCT FROM 'sequential' THEN
        RAISE EXCEPTION 'cannot distribute % in parallel mode', relation;
    ELSIF EXISTS (SELECT FROM pg_catalog.pg_dist_partition WHERE logicalrelid = relation) THEN
        RAISE EXCEPTION 'table % is already distributed', relation;
    END IF;
    INSERT INTO citus.calls (function, relation, persistence, key, beside)
    VALUES (called, found.relname, found.relpersistence, key, beside);
    INSERT INTO pg_catalog.pg_dist_shard VALUES (relation, found.oid::bigint);
    INSERT INTO pg_catalog.pg_dist_placement
    VALUES (found.oid::bigint, coalesce(current_setting('standin.group', true), '1')::int);
END $$;

CREATE FUNCTION pg_catalog.create_reference_table(table_name regclass) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    PERFORM citus.note('create_reference_table', table_name, NULL, NULL);
    INSERT INTO pg_catalog.pg_dist_partition VALUES (table_name, 'n', NULL, 1, 't');
END $$;

CREATE FUNCTION citus.column_of(relation regclass, name text) RETURNS text LANGUAGE sql AS $$
    SELECT format('%s %s', atttypid::regtype, attcollation::regcollation)
    FROM pg_catalog.pg_attribute WHERE attrelid = relation AND attname = name $$;

CREATE FUNCTION pg_catalog.create_distributed_table(
    table_name regclass, distribution_column text, distribution_type text DEFAULT 'hash',
    colocate_with text DEFAULT 'default', shard_count int DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    other pg_catalog.pg_dist_partition;
BEGIN
    IF colocate_with <> 'default' THEN
        SELECT * INTO other FROM pg_catalog.pg_dist_partition
        WHERE logicalrelid = colocate_with::regclass AND partmethod = 'h';
        IF citus.column_of(table_name, distribution_column)
           IS DISTINCT FROM citus.column_of(other.logicalrelid, other.partkey) THEN
            RAISE EXCEPTION 'cannot colocate tables % and %', table_name, colocate_with;
        END IF;
    END IF;
    PERFORM citus.note(
        'create_distributed_table', table_name, distribution_column, colocate_with);
    INSERT INTO pg_catalog.pg_dist_partition VALUES (table_name, 'h', distribution_column, 2, 's');
END $$;

CREATE FUNCTION pg_catalog.column_to_column_name(table_name regclass, column_var_text text)
RETURNS text LANGUAGE sql AS $$ SELECT column_var_text $$;

CREATE FUNCTION pg_catalog.run_command_on_workers(
    command text, parallel bool DEFAULT true,
    OUT nodename text, OUT nodeport int, OUT success bool, OUT result text)
RETURNS SETOF record LANGUAGE sql AS $$ SELECT * FROM citus.answers $$;

CREATE FUNCTION citus.forget() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    DELETE FROM pg_catalog.pg_dist_partition p USING pg_event_trigger_dropped_objects() d
    WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objsubid = 0
    AND d.objid = p.logicalrelid::oid;
END $$;
CREATE EVENT TRIGGER citus_cascade_to_partition ON sql_drop EXECUTE FUNCTION citus.forget();
"""
_ENTRY = re.compile(r"^\d{4}-\d\d-\d\d ", re.MULTILINE)
_STATEMENT = re.compile(r"LOG:  statement: (.*)", re.DOTALL)


@contextmanager
def database(cluster: Cluster) -> Iterator[Star]:
    """An empty warehouse in a database of its own, which logs all statements."""
    name = f"spread_{uuid.uuid4().hex[:12]}"
    engine = sa.create_engine(cluster.url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
        connection.exec_driver_sql(f"ALTER DATABASE {name} SET log_statement = 'all'")
        url = sa.make_url(cluster.url).set(database=name)
        yield Star(url.render_as_string(hide_password=False), "star")
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")


def extend(cluster: Cluster, star: Star) -> None:
    """Create the extension in a star's database."""
    folder = cluster.folder / "standin"
    place = folder / "extension"
    place.mkdir(parents=True, exist_ok=True)
    (place / "citus.control").write_text(_CONTROL, encoding="utf-8")
    (place / f"citus--{VERSION}.sql").write_text(_SCRIPT, encoding="utf-8")
    star.execute(f"SET extension_control_path = '{folder}:$system'", "CREATE EXTENSION citus")


def calls(star: Star) -> list[tuple[Any, ...]]:
    """What the published runs have called, in order: function, relation, persistence, key of the
    distribution, and beside which table.
    """
    return star.rows(
        "SELECT function, relation, persistence, key, beside FROM citus.calls ORDER BY number"
    )


def places(star: Star) -> dict[str, str]:
    """By table, how it is spread: `h` by a key, `n` to all nodes; plain tables are left out."""
    rows = star.rows("SELECT logicalrelid::text, partmethod::text FROM pg_dist_partition")
    return {name.rpartition(".")[2]: method for name, method in rows}


class Statements:
    """The statements that a server is sent while the block runs, in their order."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.all: list[str] = []
        """Each on one line."""

    def __enter__(self) -> Statements:
        self._before = len(self._cluster.log)
        return self

    def __exit__(self, *_: object) -> None:
        entries = _ENTRY.split(self._cluster.log[self._before :])
        found = (_STATEMENT.search(entry) for entry in entries)
        self.all = [" ".join(match[1].split()) for match in found if match]

    def before_the_first(self, pattern: str) -> list[str]:
        """What was sent before the first statement that begins so."""
        return self.all[: self.like(pattern)[0]]

    def transactions(self) -> list[list[str]]:
        """The statements of each transaction, without BEGIN and its end."""
        found: list[list[str]] = []
        for statement in self.all:
            if statement == "BEGIN":
                found.append([])
            elif found and statement not in ("COMMIT", "ROLLBACK"):
                found[-1].append(statement)
        return found

    def like(self, pattern: str) -> list[int]:
        """Where the statements are that begin so."""
        return [at for at, text in enumerate(self.all) if re.match(pattern, text)]
