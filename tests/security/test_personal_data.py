"""Personal data is in the warehouse and the reject files alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.commands import run_command
from support.retailer import Retailer
from support.tables import to_csv
from support.told import everything_told

PERSON = {"first_name": "Zyxwvina", "last_name": "Qanarybird", "email": "zyx.qanary@example.org",
          "phone": "+1 555 010 9977", "address": "77 Zanzibarweg"}  # fmt: skip

PERSONAL = ("Zyxwvina", "Qanarybird", "zyx.qanary", "010 9977", "Zanzibarweg")


def _index(column: str) -> tuple[str, ...]:
    return (f"CREATE UNIQUE INDEX planted ON dim_customer ({column})",)


REFUSALS = {
    "unique name": _index("last_name"),
    "unique e-mail": _index("email"),
    "unique expression": ("CREATE UNIQUE INDEX planted ON dim_customer (lower(address))",),
}

REFUSALS_OF_POSTGRESQL = {
    **REFUSALS,
    "check": ("ALTER TABLE dim_customer ADD CONSTRAINT planted CHECK (city <> 'Rome')",),
    "type": ("CREATE FUNCTION planted() RETURNS trigger LANGUAGE plpgsql AS "
             "$$ BEGIN PERFORM NEW.email\\:\\:integer; RETURN NEW; END $$",
             "CREATE TRIGGER planted BEFORE INSERT ON dim_customer FOR EACH ROW "
             "EXECUTE FUNCTION planted()"),
    "trigger": ("CREATE FUNCTION planted() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN RAISE EXCEPTION 'not %', NEW; END $$",
                "CREATE TRIGGER planted BEFORE INSERT ON dim_customer FOR EACH ROW "
                "EXECUTE FUNCTION planted()"),
}  # fmt: skip

CASES = [("duckdb", name) for name in REFUSALS]
CASES += [("postgresql", name) for name in REFUSALS_OF_POSTGRESQL]


@pytest.mark.parametrize(("engine", "name"), CASES)
def test_a_row_that_the_warehouse_refuses_is_not_in_the_log(
    request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str], engine: str, name: str
) -> None:
    """An error names table and constraint, never what was in the row."""
    shop: Retailer = request.getfixturevalue(f"{engine}_shop")
    shop.publish()
    shop.star.execute(*REFUSALS_OF_POSTGRESQL[name])
    people = [{"customer_id": f"N{n}", "city": "Rome", "country": "US", **PERSON} for n in (1, 2)]
    shop.files["customers"] = to_csv(shop.customers + people, ["segment", *people[0]])
    code, out, err = run_command(shop, capsys, "--json", LOG_LEVEL="DEBUG")
    assert code == 1
    assert "the warehouse refused" in err
    told = everything_told(shop, out, err)
    assert not [piece for piece in PERSONAL if piece in told]


def test_rows_that_are_rejected_are_in_the_reject_file_alone(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Malformed, doubled, without key or with an unusable attribute."""
    header = ["customer_id", *PERSON, "country"]
    person = {"customer_id": "N1", **PERSON, "country": "US"}
    content = to_csv([person, person | {"first_name": "X"}, person | {"customer_id": ""}], header)
    content += ",".join(PERSON.values()) + "\n" + '"' + ",".join(PERSON.values()) + "\n"
    unusable = person | {"customer_id": "N2", "email": "zyx.qanary@@", "phone": "Zyxwvina"}
    content += to_csv([unusable], header).splitlines()[1] + "\n"
    shop.files["customers"] = content
    shop.sales[0]["quantity"] = "Zyxwvina"
    code, out, err = run_command(shop, capsys, "--json", LOG_LEVEL="DEBUG")
    assert code == 0
    told = everything_told(shop, out, err)
    assert not [piece for piece in PERSONAL if piece in told]
    rejects = (Path(json.loads(out)["rejects_dir"]) / "customers.csv").read_text(encoding="utf-8")
    assert all(piece in rejects for piece in PERSONAL)
    assert shop.star.member("dim_customer", "N1")["last_name"] == "Qanarybird"


@pytest.mark.parametrize(
    ("source", "content"),
    [
        ("customers", "N1,Zyxwvina,Qanarybird,zyx.qanary@example.org\n"),
        ("customers", 'customer_id,"Zyxwvina\nN1\n'),
        ("products", '[{"product_id": "P1", "name": "Zyxwvina" "brand": "Qanarybird"}]'),
        ("products", '{"product_id": "P1", "name": "Zyxwvina"'),
        ("customers", b"customer_id,city\nN1,Zyxwvina\xff\n"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_without_its_rows(
    duckdb_shop: Retailer,
    capsys: pytest.CaptureFixture[str],
    source: str,
    content: str | bytes,
) -> None:
    """Also when its first row stands where the header should."""
    duckdb_shop.files[source] = content
    code, out, err = run_command(duckdb_shop, capsys, "--json", LOG_LEVEL="DEBUG")
    assert code in (0, 1)
    told = everything_told(duckdb_shop, out, err)
    assert not [piece for piece in PERSONAL if piece in told]


def test_a_person_who_changes_is_in_no_record_but_in_the_star(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    """All personal columns, there before and after, healed and vanished; a preview shows them on
    the screen and in its file, because somebody asked.
    """
    shop.customers = [{"city": "", "segment": "", **each, **PERSON} for each in shop.customers]
    shop.sales[2]["customer_id"] = "C9"
    shop.publish()
    for customer in shop.customers:
        customer |= {name: f"x{value}" for name, value in PERSON.items()}
    shop.customers.append({**shop.customers[0], "customer_id": "C9"})
    file = shop.folder / "changes.csv"
    arguments = ["--dry-run", "--json", "--changes", str(file)]
    code, out, err = run_command(shop, capsys, *arguments, LOG_LEVEL="DEBUG")
    assert code == 0
    assert not [piece for piece in PERSONAL if piece in everything_told(shop, out, err)]
    assert "Zanzibarweg" in file.read_text()
    _, shown, _ = run_command(shop, capsys, "--dry-run")
    assert "Qanarybird" in shown
    for settings in ({}, {"CUSTOMERS__EXTRACT": "full", "MAX_DELETE_RATE": "1"}):
        code, out, err = run_command(shop, capsys, "--json", LOG_LEVEL="DEBUG", **settings)
        assert code == 0
        assert not [piece for piece in PERSONAL if piece in everything_told(shop, out, err)]
        shop.customers = shop.customers[1:]
    shop.customers[0] |= PERSON
    _, out, err = run_command(shop, capsys, "--json", KEEP_PERSONAL_CHANGES="true")
    told = everything_told(shop, out, err)
    assert "Zanzibarweg" in told
