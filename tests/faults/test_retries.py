"""What is tried again, and what is not."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
import sqlalchemy as sa

from errors import TransientError
from support.cluster import Cluster
from support.disturbances import disturbed, meanwhile, once
from support.proxy import Proxy, via
from support.retailer import Retailer, a_day_later, tomorrow
from support.sessions import session_of, somebody_waits, transaction, with_options
from support.star import Star, dropping
from support.summary import ALL_DONE, STAGES, statuses
from support.tables import Row
from support.waiting import wait_until
from warehouse import tries

TRIES = 4


def raising(star: Star, table: str, state: str, times: int) -> None:
    """Have the server raise an error of this SQLSTATE, the first `times` that the table is
    written to. A sequence counts: it is not rolled back.
    """
    star.execute(
        "CREATE SEQUENCE attempts",
        f"""
        CREATE FUNCTION disturb() RETURNS trigger LANGUAGE plpgsql
        SET search_path = "{star.schema}" AS $$
        BEGIN
            IF nextval('attempts') <= {times} THEN
                RAISE EXCEPTION 'disturbed on purpose' USING ERRCODE = '{state}';
            END IF;
            RETURN NULL;
        END $$""",
        f"CREATE TRIGGER disturb AFTER INSERT ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION disturb()",
    )


def attempts(star: Star) -> int:
    """How often the table of `raising` was written to."""
    return int(star.scalar("SELECT last_value FROM attempts"))


@pytest.fixture
def shop(postgresql_shop: Retailer) -> Retailer:
    """Yesterday is published, today's files are there."""
    return a_day_later(postgresql_shop)


@pytest.fixture(scope="module")
def todays(postgresql_url: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the star must be like once today's files are loaded."""
    with dropping(Star(postgresql_url, f"today_{uuid.uuid4().hex[:16]}")) as star:
        other = Retailer(tmp_path_factory.mktemp("today"), star)
        other.publish()
        tomorrow(other)
        other.publish()
        return star.digest(with_runs=False)


def assert_published(shop: Retailer, results: Row, todays: str, retries: int) -> None:
    """Published, once, after so many retries, and told so."""
    assert results["errors"] == []
    assert (results["status"], results["retries"]) == ("published", retries)
    assert shop.star.digest(with_runs=False) == todays
    assert [status for _, status in shop.star.runs()] == ["published"] * 2
    warnings = [w for w in results["warnings"] if "is tried again" in w]
    assert len(warnings) == retries
    assert statuses(results) == ALL_DONE
    assert results["fact_loading_results"]["records_inserted"] == 1
    assert results["fact_loading_results"]["records_updated"] == 1


def assert_failed(shop: Retailer, results: Row, yesterday: str, *told: str) -> None:
    """Failed, nothing published, and it says why."""
    assert results["status"] == "failed"
    (error,) = results["errors"]
    for text in told:
        assert text in error
    assert "a bug" not in error
    assert "Traceback" not in shop.log
    assert shop.star.digest() == yesterday
    assert [status for _, status in shop.star.runs()] == ["published", "failed"]


# --- SQLSTATEs ------------------------------------------------------------------------------

PASSING = ("40001", "40P01", "55P03", "57P01", "57P02", "57P03", "08006")


@pytest.mark.parametrize(
    ("state", "table"),
    [
        *((state, "fact_sales") for state in PASSING),
        ("40001", "dim_customer"),
        ("40P01", "etl_run"),
    ],
)
def test_a_disturbance_that_may_pass_is_tried_again_from_the_beginning(
    state: str, table: str, shop: Retailer, todays: str
) -> None:
    raising(shop.star, table, state, times=2)
    results = shop.run()
    assert_published(shop, results, todays, retries=2)
    assert attempts(shop.star) == 3
    assert state in results["warnings"][0]


@pytest.mark.parametrize("state", ["40001"])
def test_tries_are_limited(state: str, shop: Retailer) -> None:
    yesterday = shop.star.digest()
    raising(shop.star, "fact_sales", state, times=1000)
    results = shop.run()
    assert_failed(shop, results, yesterday, "Fact loading", state, f"{TRIES} of {TRIES} tries")
    assert (attempts(shop.star), results["retries"]) == (TRIES, TRIES - 1)


def test_tries_end_when_their_time_is_over(shop: Retailer) -> None:
    yesterday = shop.star.digest()
    raising(shop.star, "fact_sales", "40001", times=1000)
    results = shop.run(RETRY_SECONDS=0)
    assert_failed(shop, results, yesterday, "1 of 4 tries")
    assert (attempts(shop.star), results["retries"]) == (1, 0)


def test_pauses_between_tries_grow_and_differ() -> None:
    """Full jitter: anything from nothing to a limit, which doubles."""
    pauses: list[list[float]] = []

    def fail() -> None:
        raise TransientError("again and again")

    for _ in range(50):
        pauses.append([])
        with pytest.raises(TransientError):
            tries(TRIES, 60, sleep=pauses[-1].append)(fail)
    for number, limit in enumerate((0.5, 1, 2)):
        nth = [each[number] for each in pauses]
        assert max(nth) <= limit
        assert max(nth) > limit / 2
        assert len(set(nth)) > 40
    assert {len(each) for each in pauses} == {TRIES - 1}


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("53100", "disk of the database server is full"),
        ("53400", "53400"),
        ("57014", "statement_timeout"),
        ("42501", "main.py init"),
        ("54000", "54000"),
        ("23514", "23514"),
        ("22003", "22003"),
        ("XX000", "XX000"),
    ],
)
def test_what_cannot_heal_is_not_tried_again(state: str, told: str, shop: Retailer) -> None:
    yesterday = shop.star.digest()
    raising(shop.star, "fact_sales", state, times=1000)
    results = shop.run()
    assert_failed(shop, results, yesterday, "Fact loading", state, told)
    assert (attempts(shop.star), results["retries"]) == (1, 0)


def test_a_statement_that_the_server_ends_for_its_time_is_not_tried_again(
    shop: Retailer,
) -> None:
    yesterday = shop.star.digest()
    shop.star.execute(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_catalog.pg_sleep(600); RETURN NULL; END $$",
        "CREATE TRIGGER slow AFTER INSERT ON fact_sales EXECUTE FUNCTION slow()",
    )
    url = with_options(shop.star, statement_timeout="3s")
    results = shop.run(WAREHOUSE_URL=url)
    assert_failed(shop, results, yesterday, "Fact loading", "57014", "statement_timeout")
    assert results["retries"] == 0


def test_a_temporary_file_over_the_servers_limit_is_not_tried_again(shop: Retailer) -> None:
    yesterday = shop.star.digest()
    shop.star.execute(
        "CREATE FUNCTION spill() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "PERFORM count(*) FROM (SELECT g FROM generate_series(1, 1000000) g ORDER BY -g) AS s; "
        "RETURN NULL; END $$",
        "CREATE TRIGGER spill AFTER INSERT ON fact_sales EXECUTE FUNCTION spill()",
        "ALTER FUNCTION spill() SET work_mem = '64kB'",
    )
    url = with_options(shop.star, temp_file_limit="1MB")
    results = shop.run(WAREHOUSE_URL=url)
    assert_failed(shop, results, yesterday, "Fact loading", "53400", "temp_file_limit")
    assert results["retries"] == 0


# --- other sessions -------------------------------------------------------------------------


@pytest.mark.parametrize("same_files", [False, True])
def test_a_lock_that_is_not_given_up_is_told_with_its_holder(
    same_files: bool, shop: Retailer
) -> None:
    if same_files:  # then the first to look into the star is the test whether it is as it was
        shop.publish()
    yesterday, runs = shop.star.digest(), len(shop.star.runs())
    with transaction(shop.star) as other:
        other.execute(sa.text("SET application_name = 'an analyst'"))
        other.execute(sa.text("LOCK TABLE fact_sales IN ACCESS EXCLUSIVE MODE"))
        pid = other.scalar(sa.text("SELECT pg_backend_pid()"))
        results = shop.run(LOCK_TIMEOUT_SECONDS=1, RETRY_SECONDS=600)
    assert results["status"] == "failed"
    (error,) = results["errors"]
    for text in (f"server process {pid} (an analyst)", "fact_sales", "55P03", "given up after"):
        assert text in error
    assert results["retries"] >= 1
    assert shop.star.digest() == yesterday
    assert [status for _, status in shop.star.runs()[runs:]] == ["failed"]
    assert shop.run()["status"] == "published"


def test_a_lock_that_is_given_up_in_time_costs_nothing(shop: Retailer, todays: str) -> None:
    with transaction(shop.star) as other:
        other.execute(sa.text("LOCK TABLE fact_sales IN ACCESS EXCLUSIVE MODE"))

        def give_up() -> None:
            somebody_waits(shop.star, other)
            other.rollback()

        with meanwhile(give_up):
            results = shop.run(LOCK_TIMEOUT_SECONDS=600)
    assert_published(shop, results, todays, retries=0)


def test_a_deadlock_is_tried_again(shop: Retailer, todays: str) -> None:
    """The other has a sale and wants a customer, the run has the customer and wants the sale."""
    url = with_options(shop.star, deadlock_timeout="500ms")
    touch = "UPDATE {} SET run_id = run_id WHERE transaction_id = 'T1'"
    with transaction(shop.star) as other:
        other.execute(sa.text("SET deadlock_timeout = '60s'"))  # the run is to be the victim
        other.execute(sa.text(touch.format("fact_sales")))

        def want() -> None:
            somebody_waits(shop.star, other)
            other.execute(sa.text("UPDATE dim_customer SET city = city WHERE customer_id = 'C1'"))
            other.rollback()

        with meanwhile(want):
            results = shop.run(WAREHOUSE_URL=url)
    assert_published(shop, results, todays, retries=1)
    assert "deadlock detected" in results["warnings"][0]


def test_a_change_by_somebody_else_is_tried_again(shop: Retailer, todays: str) -> None:
    """Under REPEATABLE READ, which a role may have as its default, both cannot have been."""
    url = with_options(shop.star, default_transaction_isolation=r"repeatable\ read")
    with transaction(shop.star) as other:
        other.execute(sa.text("UPDATE fact_sales SET quantity = 1 WHERE transaction_id = 'T1'"))

        def commit() -> None:
            somebody_waits(shop.star, other)
            other.commit()

        with meanwhile(commit):
            results = shop.run(WAREHOUSE_URL=url)
    assert_published(shop, results, todays, retries=1)
    assert "40001" in results["warnings"][0]


@pytest.mark.parametrize("phase", STAGES)
def test_a_session_that_an_administrator_ends_is_tried_again(
    phase: str, shop: Retailer, todays: str
) -> None:
    def end(run_id: str) -> None:
        assert shop.star.column(f"SELECT pg_terminate_backend(pid) {session_of(run_id)}") == [True]

    results = disturbed(shop, phase, once(end))
    assert_published(shop, results, todays, retries=1)
    assert "the connection was lost: server closed the connection" in results["warnings"][0]


@pytest.mark.parametrize("phase", STAGES)
def test_the_first_error_is_told_when_it_is_not_tried_again(phase: str, shop: Retailer) -> None:
    def end(run_id: str) -> None:
        shop.star.column(f"SELECT pg_terminate_backend(pid) {session_of(run_id)}")

    yesterday = shop.star.digest()
    results = disturbed(shop, phase, end, RETRY_SECONDS=0)
    told = "the connection was lost: server closed the connection unexpectedly"
    assert_failed(shop, results, yesterday, told, " failed: ")
    assert "already closed" not in results["errors"][0]


def test_a_session_that_is_ended_while_it_works_is_tried_again(shop: Retailer, todays: str) -> None:
    with transaction(shop.star) as other:
        other.execute(sa.text("UPDATE fact_sales SET quantity = 1 WHERE transaction_id = 'T1'"))

        def end() -> None:
            somebody_waits(shop.star, other)
            shop.star.column(f"SELECT pg_terminate_backend(pid) {session_of('')}")
            other.rollback()

        with meanwhile(end):
            results = shop.run()
    assert_published(shop, results, todays, retries=1)
    assert "the connection was lost: server closed the connection" in results["warnings"][0]


def test_no_transaction_is_open_while_sources_are_read_and_cleaned(shop: Retailer) -> None:
    url = with_options(shop.star, idle_session_timeout="1s")
    idle = "SELECT clock_timestamp() - state_change > interval '1.5 s' "
    seen: list[tuple[Any, ...]] = []

    def look(run_id: str) -> None:
        wait_until(lambda: shop.star.scalar(idle + session_of(run_id)), "it idles long enough")
        seen.append(shop.star.row(f"SELECT state, xact_start {session_of(run_id)}"))

    for phase in ("extraction", "transformation"):
        shop.sales[0]["quantity"] = str(20 + len(seen))
        results = disturbed(shop, phase, look, WAREHOUSE_URL=url)
        assert (results["status"], results["retries"]) == ("published", 0)
    assert seen == [("idle", None)] * 2


# --- connecting -----------------------------------------------------------------------------


def test_a_server_that_closes_the_door_is_asked_again(shop: Retailer, proxy: Proxy) -> None:
    proxy.refuses = lambda number: number <= 2
    shop.publish(WAREHOUSE_URL=via(shop.star, proxy))
    assert proxy.connections == 3


def test_a_server_that_keeps_the_door_closed_is_given_up(shop: Retailer, proxy: Proxy) -> None:
    proxy.refuses = lambda number: True
    results = shop.run(WAREHOUSE_URL=via(shop.star, proxy), RETRY_SECONDS=1)
    assert results["status"] == "failed"
    assert "WAREHOUSE_URL" in results["errors"][0]
    assert proxy.connections > 1


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"database": "nowhere"}, 'database "nowhere" does not exist'),
        ({"username": "nobody_at_all"}, 'role "nobody_at_all" does not exist'),
    ],
)
def test_an_unknown_database_or_role_is_not_asked_for_again(
    change: Row, told: str, shop: Retailer, proxy: Proxy
) -> None:
    url = sa.make_url(via(shop.star, proxy)).set(**change)
    results = shop.run(WAREHOUSE_URL=url.render_as_string(hide_password=False))
    assert results["status"] == "failed"
    assert told in results["errors"][0]
    assert proxy.connections == 1


def test_a_wrong_password_is_tried_once(cluster: Cluster, cluster_shop: Retailer) -> None:
    """Or the account would be locked by us."""
    cluster_shop.star.execute(
        "DROP ROLE IF EXISTS guarded", "CREATE ROLE guarded LOGIN PASSWORD 'right'"
    )
    cluster.demand_password("guarded")
    url = sa.make_url(cluster.url).set(username="guarded", password="wrong")  # noqa: S106
    before = cluster.log.count("password authentication failed")
    results = cluster_shop.run(WAREHOUSE_URL=url.render_as_string(hide_password=False))
    assert results["status"] == "failed"
    assert "password authentication failed" in results["errors"][0]
    assert cluster.log.count("password authentication failed") == before + 1


def test_a_server_that_accepts_and_says_nothing_is_given_up(duckdb_shop: Retailer) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        url = f"postgresql+psycopg2://u@127.0.0.1:{port}/db?connect_timeout=2"
        results = duckdb_shop.run(WAREHOUSE_URL=url, RETRY_SECONDS=0)
    assert results["status"] == "failed"
    assert "timeout expired" in results["errors"][0]


# --- a server that crashes ------------------------------------------------------------------


@pytest.fixture
def crashing(cluster_shop: Retailer) -> Retailer:
    """Yesterday is published in a server that may crash, today's files are there."""
    return a_day_later(cluster_shop)


@pytest.mark.parametrize("phase", ["extraction", "fact_loading"])
def test_a_server_that_crashes_and_comes_back_costs_a_retry(
    phase: str, crashing: Retailer, cluster: Cluster
) -> None:
    def crash(run_id: str) -> None:
        cluster.crash()
        cluster.start()

    results = disturbed(crashing, phase, once(crash))
    assert (results["status"], results["retries"]) == ("published", 1)
    facts = results["fact_loading_results"]
    assert (facts["records_inserted"], facts["records_updated"]) == (1, 1)


def test_after_a_crash_the_star_is_yesterdays_and_a_run_makes_it_todays(
    crashing: Retailer, cluster: Cluster
) -> None:
    yesterday = crashing.star.digest()
    results = disturbed(crashing, "fact_loading", lambda run_id: cluster.crash(), RETRY_SECONDS=0)
    cluster.start()
    assert results["status"] == "failed"
    assert results["errors"][0].startswith("Validation phase failed: ")
    assert crashing.star.digest() == yesterday
    facts = crashing.publish()["fact_loading_results"]
    assert (facts["records_inserted"], facts["records_updated"]) == (1, 1)


def test_what_was_published_survives_a_crash(crashing: Retailer, cluster: Cluster) -> None:
    """Also where the role's commits need not reach the disk, as its default."""
    crashing.star.execute(
        "CREATE TABLE seen (value text)",
        f"""
        CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql
        SET search_path = "{crashing.star.schema}" AS $$
        BEGIN
            INSERT INTO seen VALUES (current_setting('synchronous_commit'));
            RETURN NULL;
        END $$""",
        "CREATE TRIGGER see AFTER INSERT ON etl_run FOR EACH STATEMENT EXECUTE FUNCTION see()",
    )
    results = crashing.run(WAREHOUSE_URL=with_options(crashing.star, synchronous_commit="off"))
    cluster.crash()
    cluster.start()
    assert results["status"] == "published"
    assert crashing.star.column("SELECT value FROM seen") == ["on"]
    published = crashing.star.digest()
    assert crashing.star.runs()[-1] == (results["run_id"], "published")
    kinds = crashing.star.column(
        "SELECT DISTINCT relpersistence::text FROM pg_class WHERE relkind IN ('r', 'i') "
        "AND relnamespace = CAST(:schema AS regnamespace)",
        schema=f'"{crashing.star.schema}"',
    )
    assert kinds == ["p"]
    crashing.publish_in_full()
    assert crashing.star.digest() == published


def test_orphans_of_a_load_that_is_tried_again_are_rejected_once(shop: Retailer) -> None:
    shop.sales.append(shop.sales[0] | {"transaction_id": "T8", "customer_id": "NOBODY"})
    shop.sales.append(shop.sales[0] | {"transaction_id": "T9", "quantity": "many"})
    raising(shop.star, "fact_sales", "40001", times=2)
    results = shop.publish(ORPHAN_POLICY="reject")
    assert results["retries"] == 2
    told = [(row["transaction_id"], row["_reason"]) for row in shop.rejects(results)]
    assert told == [("T8", "unknown_customer"), ("T9", "invalid_quantity")]
