"""The validator, validated: each thing that a wrong load can do to the star is caught and named.

A mutated loader is the real one, with one statement more in its transaction. The tables have no
keys or other constraints here, so that it is the checks alone that stand in the way.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import sqlalchemy as sa

import schema
from common.star_model import Role, business_key, columns_of, surrogate_key
from load_dimensions import DimensionLoader
from load_facts import FactLoader
from support.retailer import Retailer, counts
from support.star import Star, dropping
from support.tables import Row
from validate import quality_score
from warehouse.keymap import KeyMap

ADDED = {"customers": "C3", "products": "P3"}  # tonight's new members, whom no sale names


PROFIT = "'profit = net - quantity x unit cost'"


@dataclass(frozen=True)
class Mutation:
    """Statements that spoil a star, and the check that must tell of it."""

    statements: tuple[str, ...]
    told: str
    by_hand: bool = True  # whether a row of an earlier night, spoiled so, is found too
    only: str = ""  # an engine


def mutation(*statements: str, told: str, by_hand: bool = True, only: str = "") -> Mutation:
    """A mutation by SQL in which {S} stands for the schema, {T} for the id of a sale."""
    return Mutation(statements, told, by_hand, only)


def copying(table: str, where: str, **changed: str) -> str:
    """A statement that adds copies of rows, with other values in some columns."""
    names = schema.metadata.tables[table].columns.keys()
    values = ", ".join(changed.get(name, name) for name in names)
    return f"INSERT INTO {{S}}.{table} SELECT {values} FROM {{S}}.{table} WHERE {where}"


def _of_facts() -> dict[str, Mutation]:
    sale = "transaction_id = '{T}'"
    update = "UPDATE {S}.fact_sales SET "
    more = "quantity = quantity + 1, gross_amount = gross_amount + unit_price, "
    more += "net_amount = net_amount + unit_price, profit_amount = profit_amount + unit_price - 42"
    nothing = ", ".join(f"{c.name} = NULL" for c in columns_of(
        schema.fact_sales, Role.MEASURE
    ))  # fmt: skip
    found = {
        "a sale is dropped": mutation(
            f"DELETE FROM {{S}}.fact_sales WHERE {sale}",
            told="the rows of transactions do not add up",
            by_hand=False,
        ),
        "a sale is doubled": mutation(copying("fact_sales", sale), told="'unique transaction_id'"),
        "a sale is doubled under another id": mutation(
            copying("fact_sales", sale, transaction_id="'other'"),
            told="the rows of transactions do not add up",
            by_hand=False,
        ),
        "a sale is altered in all its amounts": mutation(
            f"{update}{more} WHERE {sale}", told="the net amounts do not add up", by_hand=False
        ),
        "a sale is altered in its quantity": mutation(
            f"{update}quantity = quantity + 1 WHERE {sale}",
            told="'gross = quantity x unit price'",
        ),
        "a sale is altered in its discount": mutation(
            f"{update}discount_amount = discount_amount + 1 WHERE {sale}",
            told="'net = gross - discount'",
        ),
        "a sale is altered in its profit": mutation(
            f"{update}profit_amount = profit_amount + 0.0001 WHERE {sale}",
            told=PROFIT,
        ),
        "a sale has lost its profit": mutation(
            f"{update}profit_amount = NULL WHERE {sale}",
            told=PROFIT,
        ),
        "a sale is altered in its cost": mutation(
            f"{update}unit_cost = unit_cost + 0.0001 WHERE {sale}", told=PROFIT
        ),
        "a sale has no id": mutation(
            f"{update}transaction_id = NULL WHERE {sale}", told="'no value is missing'"
        ),
        "a sale has no amounts": mutation(
            f"{update}{nothing} WHERE {sale}", told="'no value is missing'"
        ),
        "a sale is of no run": mutation(
            f"{update}run_id = NULL WHERE {sale}", told="'no value is missing'"
        ),
    }
    follows = {
        "quantity": "'gross = quantity x unit price'",
        "unit_price": "'gross = quantity x unit price'",
        "gross_amount": "'gross = quantity x unit price'",
        "discount_amount": "'net = gross - discount'",
        "unit_cost": PROFIT,
    }
    for measure in columns_of(schema.fact_sales, Role.MEASURE):
        name = measure.name
        found[f"{name} is not a number"] = mutation(
            f"{update}{name} = 'NaN' WHERE {sale}",
            told=follows.get(name, "'amounts are finite'"),
            only="postgresql",
        )
    for key, other in (("customer_key", -1), ("sales_rep_key", -1), ("date_key", 20240505)):
        found[f"{key} is another one that there is"] = mutation(
            f"{update}{key} = {other} WHERE {sale}",
            told="'keys are those that were found'",
            by_hand=False,
        )
    found["two keys have changed places"] = mutation(
        f"{update}customer_key = sales_rep_key, sales_rep_key = customer_key WHERE {sale}",
        told="'keys are those that were found'",
        by_hand=False,
    )
    found["date_key is no day of a year that is there"] = mutation(
        f"{update}date_key = 20240230 WHERE {sale}", told="'orphan date_key'"
    )
    for key in ("customer_key", "product_key", "sales_rep_key", "date_key"):
        for value, told in (("999", f"'orphan {key}'"), ("NULL", "'no value is missing'")):
            found[f"{key} is {value}"] = mutation(
                f"{update}{key} = {value} WHERE {sale}", told=told
            )
    return found


def _of_dimensions() -> dict[str, Mutation]:
    found: dict[str, Mutation] = {}
    for table, sample in (("dim_customer", "C1"), ("dim_product", "P1"),
                          ("dim_sales_rep", "grace_hopper")):  # fmt: skip
        dimension = schema.metadata.tables[table]
        key, surrogate = business_key(dimension).name, surrogate_key(dimension).name
        member = f"{key} = '{sample}'"
        other = {key: "'other'"}
        found |= {
            f"{table} has two Unknown members": mutation(
                copying(table, member, **other, **{surrogate: "-1"}), told="'one Unknown member'"
            ),
            f"{table} has no Unknown member": mutation(
                f"DELETE FROM {{S}}.{table} WHERE {surrogate} = -1",
                told="'one Unknown member'",
                by_hand=False,  # the load itself puts it back
            ),
            f"{table} has an id twice": mutation(
                copying(table, member, **{surrogate: "500"}), told="'unique business keys'"
            ),
            f"{table} has a member without id": mutation(
                copying(table, member, **{surrogate: "500", key: "NULL"}),
                told="'unique business keys'",
            ),
            f"{table} has a key twice": mutation(
                copying(table, member, **other), told="'unique surrogate keys'"
            ),
            f"{table} has a negative key": mutation(
                copying(table, member, **other, **{surrogate: "-5"}),
                told="'no other negative keys'",
            ),
            f"{table} has a member too many": mutation(
                copying(table, member, **other, **{surrogate: "500"}),
                told="'members before + new = now'",
                by_hand=False,
            ),
        }
    for table, source in (("dim_customer", "customers"), ("dim_product", "products")):
        key = business_key(schema.metadata.tables[table]).name
        found[f"{table} has lost a member"] = mutation(
            f"DELETE FROM {{S}}.{table} WHERE {key} = '{ADDED[source]}'",
            told="'members before + new = now'",
            by_hand=False,
        )
    days = "{S}.dim_date"
    found |= {
        "a day is missing": mutation(
            f"DELETE FROM {days} WHERE date_key = 20240505",
            told="'dates without gaps'",
            by_hand=False,  # the load itself puts it back
        ),
        "a day is there twice": mutation(
            copying("dim_date", "date_key = 20240505"), told="'dates without gaps'"
        ),
        "a day stands in for another": mutation(
            f"UPDATE {days} SET full_date = '2024-05-06' WHERE date_key = 20240505",
            told="'dates without gaps'",
            by_hand=False,  # the load itself corrects it
        ),
        "a day has another's key": mutation(
            f"UPDATE {days} SET date_key = 20241505 WHERE date_key = 20240505",
            told="'dates without gaps'",
        ),
    }  # fmt: skip
    return found


MUTATIONS = {**_of_facts(), **_of_dimensions()}


def without_constraints(shop: Retailer) -> None:
    """The star in tables without a key, a reference or a NOT NULL."""
    for table in (schema.fact_sales.name, *(d.name for d in schema.STAR.dimensions)):
        shop.star.execute(
            f"CREATE TABLE bare_copy AS SELECT * FROM {table}",
            f"DROP TABLE {table} CASCADE",
            f"ALTER TABLE bare_copy RENAME TO {table}",
        )


def tonight(shop: Retailer) -> None:
    """One sale and two members are new, one sale is changed."""
    shop.customers.append(shop.customers[0] | {"customer_id": ADDED["customers"]})
    shop.products.append(shop.products[0] | {"product_id": ADDED["products"]})
    shop.sales = [
        shop.sales[2] | {"transaction_id": "T4"},
        shop.sales[1] | {"discount_amount": "1"},
    ]


@contextmanager
def mutated_loader(chosen: Mutation, sale: str = "T4") -> Iterator[None]:
    """The loader of facts, which also runs the statements of a mutation."""
    real = FactLoader.load_sales_facts

    def load(loader: FactLoader, *rows: Any) -> Any:
        counted = real(loader, *rows)
        for statement in chosen.statements:
            text = statement.format(S=f'"{loader.warehouse.schema}"', T=sale)
            loader.warehouse.connection.exec_driver_sql(text)
        return counted

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FactLoader, "load_sales_facts", load)
        yield


def assert_refused(shop: Retailer, results: Row, told: str, before: str) -> None:
    """The gate named the check, with numbers, and yesterday's star is what is there."""
    assert results["status"] == "gate_failed"
    errors = results["validation_results"]["validation_errors"]
    assert any(told in error for error in errors), errors
    (summary,) = results["errors"]
    assert summary.startswith("Validation phase failed: ")
    assert told in summary
    if told.startswith("'"):
        failed = [
            check for check in results["validation_results"]["checks"]
            if check["check"] == told.strip("'") and check["status"] == "failed"
        ]  # fmt: skip
        assert failed
        assert all(check["problems"] > 0 for check in failed)
    assert shop.star.digest() == before
    assert shop.star.runs()[-1] == (results["run_id"], "gate_failed")


@pytest.fixture(scope="module", params=["duckdb", "postgresql"])
def yesterday(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Retailer]:
    """A shop on the second night, its star without constraints. No test here publishes in it."""
    folder = tmp_path_factory.mktemp("yesterday")
    if request.param == "duckdb":
        star = Star(f"duckdb:///{folder / 'w.duckdb'}")
    else:
        star = Star(request.getfixturevalue("postgresql_url"), f"star_{uuid.uuid4().hex[:16]}")
    with dropping(star):
        shop = Retailer(folder, star)
        shop.publish()
        without_constraints(shop)
        tonight(shop)
        yield shop


def unless_impossible(name: str, shop: Retailer) -> bool:
    """Whether the engine can hold the value; if it cannot, it says so."""
    if MUTATIONS[name].only in ("", shop.star.engine_name):
        return True
    with pytest.raises(sa.exc.DBAPIError, match="NaN"):
        shop.star.execute("UPDATE fact_sales SET quantity = 'NaN'")
    return False


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutated_loader_is_caught(yesterday: Retailer, name: str) -> None:
    """Whatever goes wrong in one row of a load, the check is named, and nothing published."""
    shop = yesterday
    if unless_impossible(name, shop):
        before = shop.star.digest()
        with mutated_loader(MUTATIONS[name]):
            results = shop.run()
        assert_refused(shop, results, MUTATIONS[name].told, before)


@pytest.mark.parametrize(
    "name", [name for name, m in MUTATIONS.items() if m.by_hand and "product has" not in name]
)
def test_what_is_planted_in_an_earlier_row_is_found(yesterday: Retailer, name: str) -> None:
    """A row of an earlier night, broken by hand, stops the next load."""
    shop = yesterday
    if unless_impossible(name, shop):
        whole = shop.star.content()
        place = f'"{shop.star.schema or "main"}"'
        shop.star.execute(*(s.format(S=place, T="T1") for s in MUTATIONS[name].statements))
        spoiled = shop.star.digest()
        try:
            assert_refused(shop, shop.run(), MUTATIONS[name].told, spoiled)
        finally:
            put_back(shop, whole)


def put_back(shop: Retailer, whole: dict[str, list[tuple[Any, ...]]]) -> None:
    """Have the star's tables hold just these rows."""
    now = shop.star.content()
    with shop.star.connection() as connection:
        for name, rows in whole.items():
            if rows == now[name]:
                continue
            table = schema.metadata.tables[name]
            names = table.columns.keys()
            connection.execute(sa.delete(table))
            connection.execute(
                sa.insert(table), [dict(zip(names, row, strict=True)) for row in rows]
            )
        connection.commit()


def test_the_same_night_without_a_mutation_is_published(shop: Retailer) -> None:
    """It is the mutation that is refused, and not the night or the lack of constraints."""
    shop.publish()
    without_constraints(shop)
    tonight(shop)
    with mutated_loader(mutation(told="")):
        assert counts(shop.publish(), "fact_sales") == (1, 1, 0)


def _short(task: Callable[[], Any]) -> Any:
    """What `task` gives, without its first row."""
    return task().slice(1)


@pytest.mark.parametrize(
    "name",
    [
        "a sale is dropped",
        "a sale is altered in all its amounts",
        "date_key is another one that there is",
    ],
)
def test_a_mutated_first_load_is_caught(shop: Retailer, name: str) -> None:
    """On an empty warehouse, where the rows go straight into the new table."""
    tonight(shop)
    with mutated_loader(MUTATIONS[name]):
        results = shop.run()
    assert results["status"] == "gate_failed"
    assert MUTATIONS[name].told in results["errors"][0]
    assert shop.star.tables() == {"etl_run"}


@pytest.mark.parametrize("name", ["a sale is dropped", "a sale is altered in all its amounts"])
def test_a_row_lost_on_the_way_to_the_loader_is_caught(shop: Retailer, name: str) -> None:
    """A batch that arrives short is told by rows and by money."""
    shop.publish()
    tonight(shop)
    before = shop.star.digest()
    real = FactLoader.load_sales_facts

    def load(loader: FactLoader, tasks: Any, *rest: Any) -> Any:
        return real(loader, [partial(_short, task) for task in tasks], *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FactLoader, "load_sales_facts", load)
        results = shop.run()
    assert_refused(shop, results, MUTATIONS[name].told, before)


LOST_MEMBER = "'no fact without its members'"


@pytest.mark.parametrize(
    ("table", "member"),
    [
        ("dim_customer", "C1"),
        ("dim_product", "P2"),
        ("dim_sales_rep", "john_backus"),
        ("dim_date", 20240302),
    ],
)
def test_a_member_that_facts_do_not_find_is_caught(
    shop: Retailer, table: str, member: object
) -> None:
    """Where members are inferred, no sale may lack one."""
    shop.publish()
    tonight(shop)
    before = shop.star.digest()
    real = DimensionLoader.load_all_dimensions

    def load(loader: DimensionLoader, *rows: Any) -> Any:
        keys = real(loader, *rows)
        members = keys[table].members
        keys[table] = KeyMap(members.filter(pc.not_equal(members[0], pa.scalar(member))))
        return keys

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DimensionLoader, "load_all_dimensions", load)
        results = shop.run()
    assert_refused(shop, results, LOST_MEMBER, before)


TRIGGERS = {
    "a new member is dropped": ("dim_customer", "INSERT", "RETURN NULL"),
    "a new member is altered": ("dim_product", "INSERT", "NEW.brand := 'x'; RETURN NEW"),
    "a changed member is left as it was": ("dim_customer", "UPDATE", "RETURN OLD"),
    "a new rep is altered": ("dim_sales_rep", "INSERT", "NEW.region := 'x'; RETURN NEW"),
    "a new day is altered": ("dim_date", "INSERT", "NEW.is_weekend := true; RETURN NEW"),
    "a new sale is dropped": ("fact_sales", "INSERT", "RETURN NULL"),
    "a new sale gets another id": (
        "fact_sales", "INSERT", "NEW.transaction_id := 'x'; RETURN NEW"
    ),
    "a changed sale is left as it was": ("fact_sales", "UPDATE", "RETURN NULL"),
    "a changed sale keeps amounts of the same net": (
        "fact_sales", "UPDATE", "NEW.quantity := NEW.quantity * 2; NEW.unit_price := "
        "NEW.unit_price / 2; RETURN NEW",
    ),
    "a changed sale loses its profit": (
        "fact_sales", "UPDATE", "NEW.profit_amount := NULL; RETURN NEW"
    ),
}  # fmt: skip


def busy_night(shop: Retailer) -> None:
    """Something is new and something is changed in every table."""
    tonight(shop)
    shop.customers[0] |= {"city": "Paris"}
    shop.sales[0] |= {"transaction_date": "2025-01-01", "sales_rep_id": "jean_sammet"}


@pytest.mark.parametrize("name", TRIGGERS)
def test_what_a_trigger_does_to_written_rows_is_noticed(
    postgresql_shop: Retailer, name: str
) -> None:
    shop, (table, event, body) = postgresql_shop, TRIGGERS[name]
    shop.publish()
    busy_night(shop)
    shop.star.execute(
        f"CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body}; END $$",
        f"CREATE TRIGGER spoil BEFORE {event} ON {table} FOR EACH ROW EXECUTE FUNCTION spoil()",
    )
    assert_not_published(shop, table)


@pytest.mark.parametrize(
    ("table", "event"),
    [("dim_customer", "INSERT"), ("dim_customer", "UPDATE"), ("fact_sales", "INSERT"),
     ("fact_sales", "UPDATE")],
)  # fmt: skip
def test_what_a_rule_does_to_written_rows_is_noticed(
    postgresql_shop: Retailer, table: str, event: str
) -> None:
    shop = postgresql_shop
    shop.publish()
    busy_night(shop)
    shop.star.execute(f"CREATE RULE spoil AS ON {event} TO {table} DO INSTEAD NOTHING")
    assert_not_published(shop, table)


def test_what_a_trigger_does_at_the_commit_is_noticed(postgresql_shop: Retailer) -> None:
    shop = postgresql_shop
    shop.publish()
    busy_night(shop)
    change = "UPDATE dim_customer SET city = 'x' WHERE customer_id = NEW.customer_id"
    shop.star.execute(
        f"CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql SET search_path = "
        f'"{shop.star.schema}" AS $$ BEGIN {change}; RETURN NULL; END $$',
        "CREATE CONSTRAINT TRIGGER spoil AFTER INSERT ON dim_customer INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION spoil()",
    )
    assert_not_published(shop, "dim_customer")


def assert_not_published(shop: Retailer, table: str) -> None:
    """The run says that a trigger or a rule on `table` is in the way; yesterday's star is there."""
    before = shop.star.digest()
    results = shop.run()
    assert results["status"] == "gate_failed"
    assert f"{table}: " in results["errors"][0]
    assert "rows are not in the warehouse as they were written" in results["errors"][0]
    assert f"a trigger or a rule on {table}" in results["errors"][0]
    assert shop.star.digest() == before


def test_every_check_there_is_has_a_mutation_that_it_catches(shop: Retailer) -> None:
    """No check is there for show: the summary has none that the tests above do not see fail."""
    results = shop.publish()["validation_results"]
    told = {m.told.strip("'") for m in MUTATIONS.values()} | {LOST_MEMBER.strip("'")}
    assert {check["check"] for check in results["checks"]} <= told
    assert {"the rows of transactions do not add up", "the net amounts do not add up"} <= told


def test_nothing_that_was_not_looked_at_is_passed(shop: Retailer) -> None:
    """Of an empty fact table no check passes, and the score is not 100 but none at all."""
    header = "transaction_id,transaction_date,customer_id,product_id,quantity,unit_price\n"
    shop.files["transactions"] = header
    results = shop.publish()["validation_results"]
    of_facts = [check for check in results["checks"] if check["table"] == "fact_sales"]
    assert len(of_facts) > 5
    assert {check["status"] for check in of_facts} == {"not evaluated"}
    assert results["data_quality_score"] is None
    del shop.files["transactions"]
    assert shop.publish()["validation_results"]["data_quality_score"] == 100


@pytest.mark.parametrize(
    ("read", "rejected", "score"),
    [
        (0, 0, None), (3, 0, 100.0), (3, 3, 0.0), (3, 1, 66.6666), (10_000_000, 1, 99.9999),
        (10**15, 1, 99.9999), (10**15, 10**15 - 1, 0.0),
    ],
)  # fmt: skip
def test_the_score_is_rounded_down(read: int, rejected: int, score: float | None) -> None:
    """One bad row in ten million never shows as 100."""
    assert quality_score(read, rejected) == score


def test_the_score_follows_from_the_reject_files(shop: Retailer) -> None:
    """Accepted / read, where the rejects are those on disk; duplicates are accepted."""
    shop.sales += [shop.sales[0], shop.sales[1] | {"transaction_id": "T8", "quantity": "x"}]
    shop.customers.append({"customer_id": ""})
    results = shop.publish()
    on_disk = sum(len(shop.rejects(results, source)) for source in ("transactions", "customers"))
    read = results["extraction_results"]["_metadata"]["total_records"]
    assert (read, on_disk) == (10, 2)
    assert results["validation_results"]["data_quality_score"] == 80.0
