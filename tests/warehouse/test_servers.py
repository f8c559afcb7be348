"""PostgreSQL as others have set it up: encodings, defaults, standbys, policies, triggers."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
import sqlalchemy as sa

from support.commands import in_a_child
from support.proxy import Pooler, Proxy, via
from support.retailer import Retailer, changes, counts, tomorrow
from support.sessions import with_options
from support.star import Star

AWKWARD = "Zürich ÅÆß"
PLAIN = "LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"


@pytest.fixture
def database(postgresql_url: str) -> Iterator[Callable[..., str]]:
    """Makes a database of its own with these options and defaults; returns its URL."""
    made: list[str] = []

    def admin(statement: str) -> None:
        engine = sa.create_engine(
            postgresql_url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT"
        )
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)

    def make(options: str = "", **defaults: object) -> str:
        name = f"made_{uuid.uuid4().hex[:12]}"
        admin(f"CREATE DATABASE {name} {options}")
        made.append(name)
        for setting, value in defaults.items():
            admin(f"ALTER DATABASE {name} SET {setting} = {value}")
        url = sa.make_url(postgresql_url).set(database=name)
        return url.render_as_string(hide_password=False)

    yield make
    for name in made:
        admin(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def pooler(proxy: Proxy) -> Iterator[Pooler]:
    """A pooler in front of the tests' PostgreSQL."""
    with closing(Pooler(proxy.server)) as made:
        yield made


def digests(shop: Retailer) -> list[str]:
    """The star after a first night, after the same night in full, and after the next one."""
    found: list[str] = []
    for night in (shop.publish, shop.publish_in_full, shop.publish_in_full):
        if found[1:]:
            tomorrow(shop)
        night()
        found.append(shop.star.digest(with_runs=False))
    return found


@pytest.mark.parametrize(
    ("options", "defaults"),
    [
        (f"ENCODING 'LATIN1' {PLAIN}", {}),
        (f"ENCODING 'SQL_ASCII' {PLAIN}", {}),
        ("", {"client_encoding": "'LATIN1'"}),
    ],
    ids=["LATIN1", "SQL_ASCII", "clients default to LATIN1"],
)
def test_text_is_stored_as_it_is_in_a_database_of_any_encoding(
    duckdb_shop: Retailer, database: Callable[..., str], options: str, defaults: dict[str, object]
) -> None:
    shop = duckdb_shop
    shop.star = Star(database(options, **defaults), "star")
    shop.customers[0]["city"] = AWKWARD
    shop.publish()
    encoding = "LATIN1" if "LATIN1" in options else "UTF8"
    stored = "SELECT encode(city\\:\\:bytea, 'hex') FROM dim_customer WHERE customer_id = 'C1'"
    if encoding == "LATIN1":
        stored = stored.replace("city\\:\\:bytea", "convert_to(city, 'LATIN1')")
    assert bytes.fromhex(shop.star.scalar(stored)).decode(encoding) == AWKWARD
    assert changes(shop.publish_in_full()) == 0


def test_a_star_whose_keys_are_in_the_order_of_their_database_goes_on_with_it(
    postgresql_shop: Retailer,
) -> None:
    """As those are that an earlier version made: ours are ordered by code points."""
    shop = postgresql_shop
    shop.publish()
    collation = (
        "SELECT collation_name FROM information_schema.columns WHERE table_schema = "
        f"'{shop.star.schema}' AND table_name = 'fact_sales' AND column_name = 'transaction_id'"
    )
    assert shop.star.scalar(collation) == "C"
    shop.star.execute(
        *(
            f'ALTER TABLE {table} ALTER COLUMN {key} TYPE text COLLATE pg_catalog."default"'
            for table, key in (("dim_customer", "customer_id"), ("fact_sales", "transaction_id"))
        )
    )
    tomorrow(shop)
    results = shop.publish_in_full()
    assert counts(results, "fact_sales") == (1, 1, 2)
    assert counts(results, "dim_customer") == (1, 1, 1)
    assert changes(shop.publish_in_full()) == 0


def test_a_database_that_cannot_hold_a_letter_says_so(
    duckdb_shop: Retailer, database: Callable[..., str]
) -> None:
    """Rather than another letter in its place."""
    shop = duckdb_shop
    shop.star = Star(database(f"ENCODING 'LATIN1' {PLAIN}"), "star")
    shop.publish()
    before = shop.star.digest()
    shop.customers[0]["city"] = "北京"
    results = shop.run()
    assert results["status"] == "failed"
    assert "ENCODING 'UTF8'" in results["errors"][0]
    assert shop.star.digest() == before


DEFAULTS: dict[str, dict[str, object]] = {
    "display": {
        "datestyle": "'SQL, DMY'",
        "intervalstyle": "'sql_standard'",
        "timezone": "'Pacific/Auckland'",
        "bytea_output": "'escape'",
        "extra_float_digits": "-15",
        "quote_all_identifiers": "on",
        "lc_numeric": "'C'",
    },
    "syntax": {
        "standard_conforming_strings": "off",
        "backslash_quote": "on",
        "transform_null_equals": "on",
        "array_nulls": "off",
        "check_function_bodies": "off",
    },
    "serializable": {
        "default_transaction_isolation": "'serializable'",
        "default_transaction_deferrable": "on",
    },
    "triggers off": {"session_replication_role": "'replica'"},
}


@pytest.mark.parametrize("defaults", DEFAULTS)
def test_what_is_loaded_does_not_depend_on_the_defaults_of_a_database(
    postgresql_shop: Retailer, database: Callable[..., str], defaults: str
) -> None:
    shop = postgresql_shop
    there = Retailer(shop.folder.parent, Star(database(**DEFAULTS[defaults]), "star"))
    assert digests(there) == digests(shop)


MOMENTS = [
    "2024-03-02",
    "2024-03-02T23:30:00",
    "2024-03-02T23:30:00Z",
    "2024-03-02T23:30:00+13:00",
    "2024-03-02T00:30:00-11:00",
    "2024-03-31T02:30:00",  # there is no such moment in Berlin
    "2024-10-27T02:30:00",  # and this one is there twice
]


def test_neither_the_machines_time_zone_nor_the_servers_moves_a_sale(shop: Retailer) -> None:
    shop.sales = [
        {**shop.sales[0], "transaction_id": f"T{n}", "transaction_date": moment}
        for n, moment in enumerate(MOMENTS)
    ]
    shop.publish()
    before = shop.star.digest(with_runs=False)
    for zone in ("Pacific/Auckland", "America/Los_Angeles"):
        shop.nights += 1
        env = shop.env_file(MAX_REJECT_RATE="1." + "0" * shop.nights)
        ended = in_a_child("--env-file", env, "--json", environment={"TZ": zone, "PGTZ": zone})
        assert (ended.code, changes(ended.results), ended.results["repeats_run"]) == (0, 0, None)
    assert shop.star.digest(with_runs=False) == before


@pytest.mark.parametrize("how", ["database", "session"])
def test_a_server_that_may_only_be_read_is_refused_before_sources_are_read(
    postgresql_shop: Retailer, database: Callable[..., str], how: str
) -> None:
    """A standby says the same; where several hosts are named, the one that may be written to is
    taken.
    """
    shop = postgresql_shop
    shop.publish()
    setting = {"default_transaction_read_only": "on"}
    url = database(**setting) if how == "database" else with_options(shop.star, **setting)
    results = shop.run(WAREHOUSE_URL=url)
    assert (results["status"], results["retries"]) == ("failed", 0)
    assert "read-only" in results["errors"][0]
    assert "standby" in results["errors"][0]
    assert results["phases"]["extraction"]["status"] == "not_run"


def test_a_pool_of_transactions_is_refused_and_told(
    postgresql_shop: Retailer, pooler: Pooler
) -> None:
    """The lock would be in one session, the transaction in another, and two runs in the star."""
    shop = postgresql_shop
    shop.publish()
    before = shop.star.digest()
    tomorrow(shop)
    results = shop.run(WAREHOUSE_URL=via(shop.star, pooler))
    assert (results["status"], results["retries"]) == ("failed", 0)
    assert "pool" in results["errors"][0]
    assert shop.star.digest() == before


# --- what others have put there -------------------------------------------------------------------

DROPPING = (
    "CREATE FUNCTION planted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$",
    "CREATE TRIGGER planted BEFORE INSERT ON fact_sales FOR EACH ROW EXECUTE FUNCTION planted()",
)
PLANTED: dict[str, tuple[tuple[str, ...], str, str]] = {
    "a rule that does nothing": (
        ("CREATE RULE planted AS ON INSERT TO fact_sales DO INSTEAD NOTHING",),
        "gate_failed",
        "not in the warehouse as they were written",
    ),
    "a trigger that drops rows": (
        DROPPING,
        "gate_failed",
        "not in the warehouse as they were written",
    ),
    "a trigger that alters rows": (
        (DROPPING[0].replace("RETURN NULL", "NEW.quantity = 1; RETURN NEW"), DROPPING[1]),
        "gate_failed",
        "not in the warehouse as they were written",
    ),
    "a column of somebody's": (
        ("ALTER TABLE fact_sales ADD note text",),
        "failed",
        "fact_sales has a column note",
    ),
    "a view in the fact's place": (
        (
            "ALTER TABLE fact_sales RENAME TO former",
            "CREATE VIEW fact_sales AS SELECT * FROM former",
        ),
        "failed",
        'relation "fact_sales" already exists',
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_not_loaded_as_told_is_not_published(postgresql_shop: Retailer, name: str) -> None:
    shop = postgresql_shop
    shop.publish()
    statements, status, told = PLANTED[name]
    shop.star.execute(*statements)
    before = shop.star.digest()
    tomorrow(shop)
    results = shop.run()
    assert results["status"] == status
    assert told in results["errors"][0]
    assert shop.star.digest() == before


def test_rows_that_a_policy_hides_are_an_error_and_not_missing(postgresql_shop: Retailer) -> None:
    """Or they would be inserted once more, or counted as lost."""
    shop = postgresql_shop
    shop.publish()
    role = f"loader_{uuid.uuid4().hex[:8]}"
    name = f'"{shop.star.schema}"'
    shop.star.execute(
        f"CREATE ROLE {role} LOGIN",
        f"GRANT USAGE ON SCHEMA {name} TO {role}",
        f"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA {name} TO {role}",
        "ALTER TABLE fact_sales ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY planted ON fact_sales USING (transaction_id <> 'T2') WITH CHECK (true)",
    )
    before: Any = shop.star.digest()
    try:
        tomorrow(shop)
        url = sa.make_url(shop.star.url).set(username=role)
        results = shop.run(WAREHOUSE_URL=url.render_as_string(hide_password=False))
    finally:
        shop.star.execute(f"DROP OWNED BY {role}", f"DROP ROLE {role}")
    assert results["status"] == "failed"
    assert "row-level security" in results["errors"][0]
    assert shop.star.digest() == before
