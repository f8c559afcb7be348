"""Citus: the order of the statements that a cluster is sent, and the star that comes of them.

The server is a PostgreSQL with an extension that stands in for Citus, see `support.citus`: what
runs here is what a cluster would be sent, and nothing is said of how it would plan it.
"""

from __future__ import annotations

import re
import uuid
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cli import main
from main import StarSchemaETLPipeline
from schema import STAR
from support import citus
from support.citus import Statements, calls, places
from support.cluster import Cluster
from support.commands import run_command
from support.disturbances import disturbed
from support.growth import declared, part_of_the_sales
from support.retailer import SHRINKING, Retailer, changes, recognised, shrink, tomorrow
from support.sessions import TABLES, as_role, with_options
from support.star import Star
from support.tables import Row

DIMENSIONS = {table.name for table in STAR.dimensions}
WHERE = "SELECT transaction_id, file_number, line_number FROM fact_sales ORDER BY transaction_id"
WRITES = r"(INSERT|UPDATE|DELETE|CREATE|ALTER|DROP|COPY \S+ \(.* FROM STDIN|ANALYZE)\b"
SEQUENTIAL = "SET LOCAL citus.multi_shard_modify_mode = 'sequential'"
NO_TENANT = "SET LOCAL citus.enable_schema_based_sharding = off"
PROPAGATED = "SET LOCAL citus.propagate_set_commands = 'local'"


def nights(shop: Retailer) -> list[Row]:
    """A first load, a night of new and changed rows, and one in which rows go away."""
    told = [shop.publish()]
    tomorrow(shop)
    told.append(shop.publish())
    shrink(shop)
    return [*told, shop.publish(**SHRINKING)]


def outcome(results: Row) -> dict[str, Any]:
    """What a run tells, but for its time."""
    facts = {k: v for k, v in results["fact_loading_results"].items() if k != "processing_time"}
    names = ("status", "warnings", "dimension_loading_results", "validation_results")
    return {"facts": facts, **{name: results[name] for name in names}}


def is_spread_right(shop: Retailer) -> bool:
    """Whether just the star is spread, as it is to be."""
    return places(shop.star) == {**dict.fromkeys(DIMENSIONS, "n"), "fact_sales": "h"}


# --- the star ------------------------------------------------------------------------------------


def test_the_star_and_the_summaries_are_those_of_postgresql(
    citus_shop: Retailer, postgresql_star: Star, tmp_path: Path
) -> None:
    place = tmp_path / "usual"
    place.mkdir()
    usual = Retailer(place, postgresql_star)
    told = [outcome(results) for results in nights(citus_shop)]
    assert told == [outcome(results) for results in nights(usual)]
    assert citus_shop.star.content(with_runs=False) == usual.star.content(with_runs=False)
    assert citus_shop.star.rows(WHERE) == usual.star.rows(WHERE)
    assert [status for _, status in citus_shop.star.runs()] == ["published"] * 3
    assert is_spread_right(citus_shop)


def test_keys_and_costs_of_an_earlier_version_are_rewritten_on_their_nodes(
    citus_shop: Retailer, cluster: Cluster
) -> None:
    """A sale under another key may belong elsewhere: it is not updated, but written anew."""
    shop = citus_shop
    shop.publish()
    before = shop.star.content()
    shop.star.execute(
        "UPDATE fact_sales SET transaction_id = 'T2\u2060' WHERE transaction_id = 'T2'",
        "UPDATE dim_customer SET customer_id = 'C2\u2060' WHERE customer_id = 'C2'",
        "UPDATE fact_sales SET unit_cost = NULL",
        "UPDATE etl_run SET key_rules = 1, watermarks = NULL",
    )
    with Statements(cluster) as sent:
        results = shop.publish_in_full()
    assert changes(results) == 0
    assert shop.star.content() == before
    assert not [text for text in sent.all if re.match(r"UPDATE \S*fact_sales SET tr", text)]


def test_a_star_grows_on_all_nodes(citus_shop: Retailer) -> None:
    """A column and its key, in a short transaction of its own; an index and a lost key."""
    shop = citus_shop
    shop.publish()
    whole = declared(shop.star)
    shop.star.execute(
        "ALTER TABLE fact_sales DROP COLUMN sales_rep_key",
        "ALTER TABLE fact_sales DROP CONSTRAINT pk_fact_sales",
        "ALTER TABLE dim_customer DROP COLUMN country",
        "DROP INDEX ix_fact_sales_product_key",
    )
    part_of_the_sales(shop)
    shop.publish()
    assert {name: set(found) for name, found in declared(shop.star).items()} == {
        name: set(found) for name, found in whole.items()
    }
    assert is_spread_right(shop)


def test_a_customer_is_forgotten(citus_shop: Retailer) -> None:
    citus_shop.publish()
    assert main(["--env-file", citus_shop.env_file(), "forget", "C1"]) == 0
    assert citus_shop.star.member("dim_customer", "C1")["last_name"] is None


# --- the order of statements ---------------------------------------------------------------------


def test_every_transaction_that_writes_is_sequential_from_its_first_statement(
    citus_shop: Retailer, cluster: Cluster
) -> None:
    """Also that of a failed run's row, and what is added apart from the load."""
    shop = citus_shop
    with Statements(cluster) as sent:
        nights(shop)
        assert main(["--env-file", shop.env_file(), "forget", "C1"]) == 0
        shop.files["customers"] = None
        assert shop.run()["status"] == "failed"
        del shop.files["customers"]
    assert main(["--env-file", shop.env_file(), "init"]) == 0
    shop.star.execute("ALTER TABLE dim_customer DROP COLUMN country")
    with Statements(cluster) as grown:
        shop.publish_in_full()
    writing = [
        texts
        for texts in [*sent.transactions(), *grown.transactions()]
        if any(re.match(WRITES, text) for text in texts)
    ]
    assert len(writing) == 7  # three nights, the forgotten one, the failed one, two of the last
    assert {tuple(texts[:3]) for texts in writing} == {(SEQUENTIAL, NO_TENANT, PROPAGATED)}
    # What set_config() sets stays on the coordinator, so that nobody may rely on it alone.
    assert all("SET LOCAL lock_timeout = '10s'" in texts for texts in writing)


def test_tables_are_spread_before_their_first_row_and_keys_come_after_the_rows(
    citus_shop: Retailer, cluster: Cluster
) -> None:
    """The stand-in refuses to spread a table that has rows."""
    with Statements(cluster) as sent:
        citus_shop.publish()
    made = calls(citus_shop.star)
    dimensions, (fact, *staged) = made[: len(DIMENSIONS)], made[len(DIMENSIONS) :]
    assert {call[:3] for call in dimensions} == {
        ("create_reference_table", name, "p") for name in DIMENSIONS
    }
    assert fact == ("create_distributed_table", "fact_sales", "p", "transaction_id", "default")
    assert {call[2] for call in staged} == {"u"}
    before = sent.before_the_first(r"COPY star\.fact_sales \(")
    after = sent.all[len(before) :]
    assert [text for text in before if "create_distributed_table('star.fact_sales'" in text]
    keys = r"ALTER TABLE star\.fact_sales ADD|CREATE INDEX ix_fact_sales"
    assert not [text for text in before if re.match(keys, text)]
    assert len([text for text in after if re.match(keys, text)]) == 9
    assert not [text for text in sent.all if "FREEZE" in text]


def test_staged_rows_lie_beside_the_rows_that_they_are_joined_to(
    citus_shop: Retailer, cluster: Cluster
) -> None:
    """Staging is unlogged, called by the run, on the nodes of what it changes, and then dropped."""
    shop = citus_shop
    with Statements(cluster) as sent:
        results = nights(shop)
    staged = [call for call in calls(shop.star) if call[2] == "u"]
    runs = {f"_{told['run_id'].lower().replace('-', '_')}" for told in results}
    assert {name[name.index("_2") :] for _, name, *_ in staged} == runs
    for function, name, _, key, beside in staged:
        if "_fact_sales_" in name:
            told = ("create_distributed_table", "transaction_id", "star.fact_sales")
            assert (function, key, beside) == told
        else:
            assert (function, key, beside) == ("create_reference_table", None, None)
    of_facts = {name.partition("_")[0] for _, name, *_ in staged if "_fact_sales_" in name}
    assert of_facts == {"stage", "changes", "unchanged", "skipped", "kept", "absent", "removed"}
    assert not [text for text in sent.all if re.match(r"CREATE TEMP", text)]
    assert shop.star.tables() == set(TABLES)
    assert is_spread_right(shop)


def test_what_joins_facts_joins_them_by_what_they_are_distributed_by(
    citus_shop: Retailer, cluster: Cluster
) -> None:
    with Statements(cluster) as sent:
        nights(citus_shop)
    name = r"star\.(?:fact_sales|[a-z]+_fact_sales_\w+)"
    joined = [text for text in sent.all if len(set(re.findall(rf"{name}\b(?!\.)", text))) > 1]
    # To bring in new rows, from the changes alone, is no join.
    joined = [text for text in joined if not re.match(r"INSERT INTO star\.fact_sales ", text)]
    assert {text.partition(" ")[0] for text in joined} >= {"INSERT", "UPDATE", "DELETE", "SELECT"}
    by_key = re.compile(rf"{name}\.transaction_id = {name}\.transaction_id")
    calls_of_citus = [text for text in joined if "create_distributed_table(" in text]
    assert [text for text in joined if not by_key.search(text)] == calls_of_citus
    updates = [text for text in sent.all if re.match(r"UPDATE \S*fact_sales", text)]
    assert updates
    assert not [text for text in updates if re.search(r"[ ,]transaction_id=", text)]


@pytest.mark.parametrize(("group", "is_analyzed"), [("1", True), ("0", False)])
def test_statistics_are_asked_for_where_all_rows_are_on_other_nodes(
    citus_shop: Retailer, cluster: Cluster, group: str, *, is_analyzed: bool
) -> None:
    """Citus refuses it in a transaction that has written rows of its own node."""
    shop = citus_shop
    url = with_options(shop.star, **{"standin.group": group})
    shop.publish(WAREHOUSE_URL=url)
    tomorrow(shop)
    with Statements(cluster) as sent:
        shop.publish(WAREHOUSE_URL=url)
    assert bool(sent.like(r"ANALYZE star\.stage_fact_sales")) == is_analyzed
    assert bool(sent.like("ANALYZE")) == is_analyzed


# --- what cannot be relied on --------------------------------------------------------------------


def test_no_row_is_proven_by_the_number_of_its_transaction(
    citus_shop: Retailer, cluster: Cluster
) -> None:
    """Rows have numbers of their node, so that a match would be chance. Every night checks all
    rows: also those that no earlier run has left wrong.
    """
    shop = citus_shop
    shop.publish()
    with Statements(cluster) as sent:
        assert shop.publish()["repeats_run"] is None
    assert recognised(shop) == 0
    assert not [text for text in sent.all if re.search(r"\bxmin\b", text)]
    marks = shop.star.column("SELECT counts::jsonb ->> 'mark' FROM etl_run")
    assert marks == ["", ""]
    shop.star.execute("UPDATE fact_sales SET net_amount = 1 WHERE transaction_id = 'T2'")
    part_of_the_sales(shop)  # T2 does not come again
    assert shop.run()["status"] == "gate_failed"


def test_a_mark_from_before_the_extension_came_proves_nothing(
    cluster: Cluster, citus_shop: Retailer
) -> None:
    """The server and its number are the same; only the extension tells."""
    shop = citus_shop
    shop.star.execute("DROP EXTENSION citus", "DROP SCHEMA IF EXISTS citus CASCADE")
    shop.publish()
    assert shop.publish()["repeats_run"]
    assert shop.star.column("SELECT counts::jsonb ->> 'mark' FROM etl_run") != ["", ""]
    citus.extend(cluster, shop.star)
    spread(shop)
    with Statements(cluster) as sent:
        assert shop.publish()["repeats_run"] is None
    assert not [text for text in sent.all if re.search(r"\bxmin\b", text)]


def spread(shop: Retailer) -> None:
    """Note the star as spread, rows and all, as the functions of Citus would."""
    rows = [f"('star.{name}', 'n', NULL, 1, 't')" for name in DIMENSIONS]
    rows.append("('star.fact_sales', 'h', 'transaction_id', 2, 's')")
    shop.star.execute(f"INSERT INTO pg_dist_partition VALUES {', '.join(rows)}")


def test_a_failed_run_leaves_its_row_and_no_table(citus_shop: Retailer) -> None:
    shop = citus_shop
    shop.publish()
    before = shop.star.content()
    tomorrow(shop)

    def fail(run_id: str) -> None:
        raise RuntimeError(run_id)

    assert disturbed(shop, "dimension_loading", fail)["status"] == "failed"
    assert disturbed(shop, "fact_loading", fail)["status"] == "failed"
    assert shop.star.content() == before
    assert shop.star.tables() == set(TABLES)
    assert [status for _, status in shop.star.runs()] == ["published", "failed", "failed"]
    assert is_spread_right(shop)
    assert "etl_run" not in {relation for _, relation, *_ in calls(shop.star)}


def at_commit(shop: Retailer, action: str) -> None:
    """Have the server do something in the COMMIT of each run; all that was deferred before then is
    done when it is stated.
    """
    shop.star.execute(
        "CREATE SCHEMA beside",
        "CREATE TABLE beside.late (number int)",
        "CREATE FUNCTION beside.act() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN {action}; RETURN NULL; END $$",
        "CREATE CONSTRAINT TRIGGER act AFTER INSERT ON beside.late DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION beside.act()",
        "CREATE FUNCTION beside.wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "SET CONSTRAINTS beside.act DEFERRED; INSERT INTO beside.late VALUES (1); "
        "RETURN NULL; END $$",
        "CREATE TRIGGER wait AFTER INSERT ON etl_run FOR EACH ROW EXECUTE FUNCTION beside.wait()",
    )


def test_a_node_that_does_not_confirm_the_commit_is_told(citus_shop: Retailer) -> None:
    """The coordinator has committed then, so that the run is published."""
    citus_shop.publish()
    at_commit(citus_shop, "RAISE WARNING 'failed to commit transaction on w2:5432'")
    tomorrow(citus_shop)
    citus_shop.publish()
    assert "failed to commit transaction on w2:5432; until Citus has done that" in citus_shop.log


def test_an_unknown_outcome_says_what_becomes_of_other_nodes(
    citus_shop: Retailer, cluster: Cluster
) -> None:
    shop, server = citus_shop, Star(cluster.url)
    shop.publish()
    at_commit(shop, "PERFORM pg_terminate_backend(pg_backend_pid())")
    tomorrow(shop)
    closed = f"ALTER DATABASE {_database(shop)} WITH ALLOW_CONNECTIONS false"
    results = shop.run(partial(StarSchemaETLPipeline, before_commit=lambda: server.execute(closed)))
    assert results["status"] == "unknown"
    assert "SELECT recover_prepared_transactions()" in results["errors"][0]


# --- what is refused, and what `check` says ------------------------------------------------------


def test_a_worker_is_refused_before_anything_is_read(citus_shop: Retailer) -> None:
    shop = citus_shop
    url = with_options(shop.star, **{"standin.is_worker_of": 1})
    results = shop.run(WAREHOUSE_URL=url)
    assert results["status"] == "failed"
    assert (
        "it is a worker of a Citus cluster; name the coordinator at coordinator:5432"
        in (results["errors"][0])
    )
    assert results["phases"]["extraction"]["status"] == "not_run"
    assert shop.star.tables() == set()


def test_a_server_to_which_no_node_was_added_is_a_cluster_of_one(citus_shop: Retailer) -> None:
    citus_shop.star.execute("DELETE FROM pg_dist_node", "DELETE FROM citus.answers")
    citus_shop.publish()
    assert is_spread_right(citus_shop)


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        (
            "DELETE FROM pg_dist_partition WHERE logicalrelid = 'star.fact_sales'::regclass",
            "fact_sales is a plain table instead of distributed by transaction_id (SELECT "
            "create_distributed_table('star.fact_sales', 'transaction_id'), after its dimensions)",
        ),
        (
            "UPDATE pg_dist_partition SET partkey = 'customer_key' WHERE partmethod = 'h'",
            "fact_sales is distributed by customer_key instead of distributed by transaction_id "
            "(SELECT undistribute_table('star.fact_sales'), then SELECT create_distributed_table(",
        ),
        (
            "DELETE FROM pg_dist_partition WHERE logicalrelid = 'star.dim_product'::regclass",
            "dim_product is a plain table instead of a reference table (SELECT "
            "create_reference_table('star.dim_product'))",
        ),
        (
            "INSERT INTO pg_dist_partition VALUES ('star.etl_run', 'h', 'run_id', 3, 's')",
            "etl_run is distributed by run_id instead of a plain table (SELECT "
            "undistribute_table('star.etl_run'))",
        ),
    ],
)
def test_a_star_that_is_spread_otherwise_is_refused_with_what_changes_it(
    citus_shop: Retailer, capsys: pytest.CaptureFixture[str], statement: str, told: str
) -> None:
    shop = citus_shop
    shop.publish()
    before = shop.star.content()
    shop.star.execute(statement)
    tomorrow(shop)
    results = shop.run()
    assert results["status"] == "failed"
    assert told in results["errors"][0]
    assert results["phases"]["extraction"]["status"] == "not_run"
    assert shop.star.content() == before
    assert main(["--env-file", shop.env_file(), "check"]) == 2
    assert told in capsys.readouterr().out


def test_a_plain_table_that_citus_has_noted_is_plain(citus_shop: Retailer) -> None:
    """Citus keeps a list of tables of the coordinator that a key makes it know."""
    citus_shop.publish()
    noted = "INSERT INTO pg_dist_partition VALUES ('star.etl_run', 'n', NULL, 0, 's')"
    citus_shop.star.execute(noted)
    tomorrow(citus_shop)
    citus_shop.publish()


def test_check_tells_the_versions_and_the_workers(
    citus_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = citus_shop
    assert main(["--env-file", shop.env_file(), "check"]) == 0
    told = capsys.readouterr().out
    assert f"reachable: Citus {citus.VERSION} with 2 active workers, PostgreSQL" in told
    assert "problem" not in told


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        (
            "UPDATE citus.answers SET result = '0' WHERE nodename = 'w1'",
            "worker w1:5432 has max_prepared_transactions = 0",
        ),
        (
            "UPDATE citus.answers SET success = false, result = 'no route' WHERE nodename = 'w2'",
            "worker w2:5432 does not answer (no route)",
        ),
        (
            "UPDATE pg_dist_node SET isactive = false WHERE nodename = 'w2'",
            "worker w2:5432 is not active (SELECT citus_activate_node('w2', 5432))",
        ),
    ],
)
def test_check_tells_what_a_cluster_lacks(
    citus_shop: Retailer, capsys: pytest.CaptureFixture[str], statement: str, told: str
) -> None:
    citus_shop.star.execute(statement)
    assert main(["--env-file", citus_shop.env_file(), "check"]) == 2
    assert f"\u2718 {told}" in capsys.readouterr().out


def test_a_role_needs_to_make_staged_tables_and_is_told_so(
    citus_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    """`init` prints all that it needs; without it, a run is refused before anything is read."""
    shop = citus_shop
    role = f"loader_{uuid.uuid4().hex[:8]}"
    shop.star.execute(f"CREATE ROLE {role} LOGIN")
    try:
        assert main(["--env-file", shop.env_file(), "init", "--role", role]) == 0
        grants = capsys.readouterr().out.strip().splitlines()
        assert f"GRANT USAGE, CREATE ON SCHEMA star TO {role};" in grants
        assert is_spread_right(shop)
        shop.star.execute(
            *grants, "REVOKE TEMPORARY ON DATABASE " + _database(shop) + " FROM PUBLIC"
        )
        url = as_role(shop.star, role)
        assert changes(shop.publish(WAREHOUSE_URL=url)) > 0
        tomorrow(shop)
        assert changes(shop.publish(WAREHOUSE_URL=url)) > 0
        shop.star.execute(f"REVOKE CREATE ON SCHEMA star FROM {role}")
        code, _, err = run_command(shop, capsys, WAREHOUSE_URL=url)
        assert code == 1
        assert "may not read and write the table" in err
        assert main(["--env-file", shop.env_file(WAREHOUSE_URL=url), "check"]) == 2
        told = "\u2718 the role may not make tables in schema star"
        assert told in capsys.readouterr().out
    finally:
        shop.star.execute(f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def _database(shop: Retailer) -> str:
    return str(shop.star.scalar("SELECT current_database()"))
