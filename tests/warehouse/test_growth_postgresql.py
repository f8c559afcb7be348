"""What PostgreSQL declares of a star is there after each load, and readers do not wait for it."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from cli import main
from support.disturbances import Gate, meanwhile
from support.growth import declared, part_of_the_sales
from support.processes import Warm
from support.retailer import Retailer, changes, counts
from support.sessions import as_role, somebody_waits, transaction
from support.star import Star
from support.summary import surprises

KEY = "ALTER TABLE fact_sales DROP COLUMN sales_rep_key"
COLUMN = "ALTER TABLE dim_customer DROP COLUMN country"
BARE = (KEY, "ALTER TABLE fact_sales ADD COLUMN sales_rep_key INTEGER")
LOST = {
    "an index": ("DROP INDEX ix_fact_sales_product_key",),
    "a reference": ("ALTER TABLE fact_sales DROP CONSTRAINT fk_fact_sales_date_key",),
    "a reference that is not proven": (
        "ALTER TABLE fact_sales DROP CONSTRAINT fk_fact_sales_date_key",
        "ALTER TABLE fact_sales ADD CONSTRAINT fk_fact_sales_date_key FOREIGN KEY (date_key) "
        "REFERENCES dim_date (date_key) NOT VALID",
    ),
    "the fact's key": ("ALTER TABLE fact_sales DROP CONSTRAINT pk_fact_sales",),
    "a dimension's keys": (
        "ALTER TABLE dim_product DROP CONSTRAINT pk_dim_product CASCADE",
        "ALTER TABLE dim_product DROP CONSTRAINT uq_dim_product_product_id",
    ),
    "not null": (
        "ALTER TABLE fact_sales ALTER COLUMN quantity DROP NOT NULL",
        "ALTER TABLE dim_product ALTER COLUMN is_inferred DROP NOT NULL",
    ),
    "all of a column that 0.1.0 has added": (
        *BARE,
        "UPDATE fact_sales SET sales_rep_key = 1",  # it had to be in every sale
    ),
}
OTHER = {
    "NOT NULL of what may be empty": (
        "ALTER TABLE dim_customer ALTER COLUMN segment SET NOT NULL",
        "dim_customer.segment is NOT NULL",
    ),
    "a reference to another table": (
        "ALTER TABLE fact_sales DROP CONSTRAINT fk_fact_sales_customer_key, "
        "ADD FOREIGN KEY (customer_key) REFERENCES dim_product (product_key)",
        "refers to dim_product.product_key instead of dim_customer.customer_key",
    ),
    "another primary key": (
        "ALTER TABLE etl_run DROP CONSTRAINT pk_etl_run, ADD PRIMARY KEY (started_at)",
        "the primary key of etl_run is started_at instead of run_id",
    ),
    "no business key": (
        "ALTER TABLE dim_product DROP COLUMN product_id",
        "dim_product has lost its key product_id",
    ),
}


@pytest.mark.parametrize("name", LOST)
def test_what_is_declared_and_was_lost_is_completed(postgresql_shop: Retailer, name: str) -> None:
    shop = postgresql_shop
    shop.publish()
    whole = declared(shop.star)
    shop.star.execute(*LOST[name])
    part_of_the_sales(shop)
    assert surprises(shop.publish()) == []
    assert declared(shop.star) == whole


def test_the_same_input_completes_what_was_lost_too(postgresql_shop: Retailer) -> None:
    shop = postgresql_shop
    shop.publish()
    whole = declared(shop.star)
    shop.star.execute(*LOST["an index"])
    assert changes(shop.publish()) == 0
    assert declared(shop.star) == whole
    assert shop.publish()["repeats_run"]


@pytest.mark.parametrize("name", OTHER)
def test_what_differs_and_cannot_be_mended_is_told_before_anything_is_read(
    postgresql_shop: Retailer, name: str
) -> None:
    shop = postgresql_shop
    shop.publish()
    statement, told = OTHER[name]
    shop.star.execute(statement)
    shop.files["customers"] = None  # which would be told first
    results = shop.run()
    assert results["status"] == "failed"
    assert told in results["errors"][0]
    assert results["phases"]["extraction"]["status"] == "not_run"


def test_a_key_without_a_value_is_none_of_unknown(postgresql_shop: Retailer) -> None:
    """A column that was there has lost a value: that is told, and not filled."""
    shop = postgresql_shop
    shop.publish()
    shop.star.execute(
        "ALTER TABLE fact_sales ALTER COLUMN sales_rep_key DROP NOT NULL",
        "UPDATE fact_sales SET sales_rep_key = NULL WHERE transaction_id = 'T2'",
    )
    part_of_the_sales(shop)
    results = shop.run()
    assert results["status"] == "gate_failed"
    assert "'no value is missing'" in results["errors"][0]


# --- readers --------------------------------------------------------------------------------


def answers(star: Star) -> None:
    """Ask each table of the star something, as a reader who cannot wait."""
    with star.connection() as reader:
        reader.execute(sa.text("SET lock_timeout = '1ms'"))
        for table in star.tables():
            reader.execute(sa.text(f"SELECT * FROM {table}")).all()


@pytest.mark.parametrize("phase", ["dimension_loading", "fact_loading", "validation"])
@pytest.mark.parametrize("lacking", [COLUMN, KEY])
def test_readers_do_not_wait_for_the_load_that_adds_a_column(
    lacking: str,
    phase: str,
    postgresql_shop: Retailer,
    warm: Warm,
    gate: Gate,
) -> None:
    shop = postgresql_shop
    shop.publish()
    shop.star.execute(lacking)
    part_of_the_sales(shop)
    run = warm.start(shop.folder, "load_pausing", shop.env_file(), phase, str(gate))
    gate.wait()
    answers(shop.star)
    gate.tell()
    assert run.wait() == 0, run.stderr
    assert shop.star.scalar("SELECT count(*) FROM fact_sales") == 4


def test_nobody_waits_behind_a_column_that_a_long_reader_holds_up(
    postgresql_shop: Retailer,
) -> None:
    shop = postgresql_shop
    shop.publish()
    shop.star.execute(KEY)
    part_of_the_sales(shop)
    with transaction(shop.star) as long_reader:
        long_reader.execute(sa.text("SELECT count(*) FROM fact_sales"))

        def read_in_between() -> None:
            somebody_waits(shop.star, long_reader)
            assert shop.star.scalar("SELECT count(*) FROM fact_sales") == 3
            long_reader.rollback()

        with meanwhile(read_in_between):
            results = shop.run(LOCK_TIMEOUT_SECONDS=300, RETRY_SECONDS=300)
    assert results["status"] == "published"
    assert counts(results, "fact_sales") == (1, 1, 0)


def test_who_holds_up_a_column_is_told(postgresql_shop: Retailer) -> None:
    shop = postgresql_shop
    shop.publish()
    shop.star.execute(COLUMN)
    with transaction(shop.star) as reader:
        reader.execute(sa.text("SET application_name = 'an analyst'"))
        reader.execute(sa.text("SELECT count(*) FROM dim_customer"))
        results = shop.run(LOCK_TIMEOUT_SECONDS=1, RETRY_SECONDS=1)
    assert results["status"] == "failed"
    assert "(an analyst) holds AccessShareLock on dim_customer" in results["errors"][0]
    shop.publish()


def test_a_run_that_fails_later_leaves_the_empty_column(postgresql_shop: Retailer) -> None:
    shop = postgresql_shop
    shop.publish()
    whole, content = declared(shop.star), shop.star.content()
    shop.star.execute(KEY)
    shop.star.execute("ALTER TABLE fact_sales ADD CHECK (transaction_id <> 'T4') NOT VALID")
    part_of_the_sales(shop)
    assert shop.run()["status"] == "failed"
    assert shop.star.column("SELECT sales_rep_key FROM fact_sales") == [-1, -1, -1]
    assert len(shop.star.content()["fact_sales"]) == len(content["fact_sales"])
    shop.star.execute("ALTER TABLE fact_sales DROP CONSTRAINT fact_sales_transaction_id_check")
    shop.publish()
    assert declared(shop.star) == whole


def test_a_dry_run_adds_nothing(postgresql_shop: Retailer) -> None:
    shop = postgresql_shop
    shop.publish()
    shop.star.execute(KEY)
    lacking = declared(shop.star)
    part_of_the_sales(shop)
    env = shop.env_file()
    assert main(["--env-file", env, "--dry-run", "--quiet"]) == 0
    assert declared(shop.star) == lacking


# --- rights ---------------------------------------------------------------------------------


@pytest.fixture
def loader_url(
    postgresql_shop: Retailer,
    loader_role: str,
    capsys: pytest.CaptureFixture[str],
) -> str:
    """The warehouse of a published star, for a role that may load it and no more."""
    shop = postgresql_shop
    shop.publish()
    assert main(["--env-file", shop.env_file(), "init", "--role", loader_role]) == 0
    shop.star.execute(*capsys.readouterr().out.strip().splitlines())
    return as_role(shop.star, loader_role)


@pytest.mark.parametrize(
    ("lacking", "told"),
    [
        ((COLUMN,), "may not add the column dim_customer.country"),
        ((KEY, "DROP TABLE dim_sales_rep"), "create the table dim_sales_rep"),
        (("REVOKE UPDATE ON fact_sales FROM {role}",), "read and write the table fact_sales"),
    ],
)
def test_a_right_that_a_run_needs_is_missed_before_anything_is_read(
    postgresql_shop: Retailer,
    loader_role: str,
    loader_url: str,
    lacking: tuple[str, ...],
    told: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shop = postgresql_shop
    quoted = '"{}"'.format(loader_role.replace('"', '""'))
    shop.star.execute(*(statement.format(role=quoted) for statement in lacking))
    part_of_the_sales(shop)
    shop.files["customers"] = None
    results = shop.run(WAREHOUSE_URL=loader_url)
    assert results["status"] == "failed"
    assert told in results["errors"][0]
    assert "main.py init" in results["errors"][0]
    assert results["phases"]["extraction"]["status"] == "not_run"
    del shop.files["customers"]
    assert main(["--env-file", shop.env_file(), "init", "--role", loader_role]) == 0
    shop.star.execute(*capsys.readouterr().out.strip().splitlines())
    assert counts(shop.publish(WAREHOUSE_URL=loader_url), "fact_sales") == (1, 1, 0)


def test_what_is_no_hindrance_is_left_to_the_owner_and_told(
    postgresql_shop: Retailer,
    loader_role: str,
    loader_url: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shop = postgresql_shop
    whole = declared(shop.star)
    shop.star.execute(*LOST["an index"])
    part_of_the_sales(shop)
    (warning,) = surprises(shop.publish(WAREHOUSE_URL=loader_url))
    assert "an index on fact_sales.product_key is missing" in warning
    assert shop.publish(WAREHOUSE_URL=loader_url)["repeats_run"]
    assert main(["--env-file", shop.env_file(), "init", "--role", loader_role]) == 0
    assert declared(shop.star) == whole
    capsys.readouterr()


def test_check_tells_what_the_next_run_adds_and_completes(
    postgresql_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = postgresql_shop
    shop.publish()
    shop.star.execute(COLUMN, *LOST["an index"])
    main(["--env-file", shop.env_file(), "check"])
    told = capsys.readouterr().out
    assert "the next run adds: dim_customer.country" in told
    assert "the next run completes: an index on fact_sales.product_key" in told
