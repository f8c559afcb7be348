"""`star.toml`: settings as tables, beneath `.env` and the environment; mistakes are told."""

from __future__ import annotations

import copy
import json
import os
import re
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from cli import main
from config import StarSchemaConfig, load_config
from errors import ConfigError
from support.retailer import Retailer
from tools.generate_docs import ROOT

SCHEMA = json.loads((ROOT / "docs" / "star.schema.json").read_text(encoding="utf-8"))


def load(text: str, environment: dict[str, str] | None = None) -> StarSchemaConfig:
    """The settings of a `star.toml` in the working directory."""
    Path("star.toml").write_text(text, encoding="utf-8")
    return load_config(None, environment or {})


def problems(text: str, environment: dict[str, str] | None = None) -> list[str]:
    """What is told of a `star.toml`."""
    with pytest.raises(ConfigError) as told:
        load(text, environment)
    return [line.removeprefix("  - ") for line in str(told.value).splitlines()[1:]]


def example() -> str:
    """The example of the page on settings."""
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"^```toml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    return str(text)


# --- what it sets ---------------------------------------------------------------------------


def test_the_example_of_the_page_on_settings_is_loaded() -> None:
    config = load(example())
    sales = config.source("transactions")
    assert sales.path == "in/**/lines_*.csv"
    assert sales.date_formats == ["%d.%m.%Y"]
    assert sales.rule("transaction_id").parts == (("order",), ("line",))
    assert sales.rule("product_id").parts == (("sku", "article"),)
    assert sales.skip_when == {"status": ["voided", "test"]}
    assert sales.join is not None
    assert config.source("orders").path == "in/orders.csv"
    assert config.source("customers").sheet == "Kunden"
    assert config.business_timezone == "Europe/Berlin"
    assert config.accept_returns is True


def test_a_table_says_the_same_as_the_settings_in_env() -> None:
    as_tables = load("""
version = 1
max_reject_rate = 0.07
batch_rows = 1_000
log_level = "debug"
rejects_dir = "refused"
[sources.customers]
sheet = 2
null_tokens = "-"
[sources.transactions]
widths = [10, 8]
delimiter = " "
query = ""
period = [2026-01-01, 2026-01-31]
extract = "period"
skip_when = { paid = false, kind = [7, "test"] }
currency = "eur"
[sources.transactions.columns]
quantity = { value = 1 }
""")
    Path("star.toml").unlink()
    as_texts = load_config(
        None,
        {
            "MAX_REJECT_RATE": "0.07",
            "BATCH_ROWS": "1000",
            "LOG_LEVEL": "debug",
            "REJECTS_DIR": "refused",
            "CUSTOMERS__SHEET": "2",
            "CUSTOMERS__NULL_TOKENS": '["-"]',
            "TRANSACTIONS__WIDTHS": "[10, 8]",
            "TRANSACTIONS__DELIMITER": " ",
            "TRANSACTIONS__PERIOD": "2026-01-01/2026-01-31",
            "TRANSACTIONS__EXTRACT": "period",
            "TRANSACTIONS__SKIP_WHEN": '{"paid": [false], "kind": [7, "test"]}',
            "TRANSACTIONS__CURRENCY": "EUR",
            "TRANSACTIONS__COLUMNS": '{"quantity": {"value": 1}}',
        },
    )
    assert as_tables == as_texts
    assert as_tables.max_reject_rate == Decimal("0.07")


def test_env_and_environment_have_precedence_setting_by_setting() -> None:
    Path("star.toml").write_text(
        "version = 1\naccept_returns = true\nmax_reject_rate = 0.1\nbatch_rows = 10\n"
        '[sources.transactions]\ncolumns = { quantity = "qty", unit_price = "price" }\n'
        'currency = "EUR"\n',
        encoding="utf-8",
    )
    Path(".env").write_text(
        'MAX_REJECT_RATE=0.2\nBATCH_ROWS=20\nTRANSACTIONS__COLUMNS=\'{"quantity": "menge"}\'\n'
        "ACCEPT_RETURNS=\n",
        encoding="utf-8",
    )
    config = load_config(environment={"BATCH_ROWS": "30"})
    assert config.accept_returns is True
    assert config.max_reject_rate == Decimal("0.2")
    assert config.batch_rows == 30
    assert config.source("transactions").columns == {"quantity": "menge"}
    assert config.source("transactions").currency == "EUR"


def test_a_run_uses_the_file_that_star_file_names(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = duckdb_shop
    shop.files["transactions"] = (
        "transaction_id;transaction_date;customer_id;product_id;quantity;unit_price;sales_rep_id\n"
        "T1;29.02.2024;C1;P1;2;250,00;grace_hopper\n"
    )
    tables = shop.folder / "of the shop.toml"
    tables.write_text(
        'version = 1\n[sources.transactions]\ndate_formats = "%d.%m.%Y"\ndecimal_separator = ","\n',
        encoding="utf-8-sig",
    )
    assert main(["--env-file", shop.env_file(STAR_FILE=tables), "--quiet"]) == 0
    assert shop.star.rows("SELECT transaction_id, gross_amount FROM fact_sales") == [
        ("T1", Decimal("500.0000"))
    ]


def test_the_sources_of_a_join_may_be_in_both_places() -> None:
    config = load(
        "version = 1\n[sources.transactions]\n"
        'join = { source = "orders", key = "order_id" }\n[sources.orders]\nencoding = "cp1252"\n',
        {"ORDERS__PATH": "orders.csv"},
    )
    orders = config.source("orders")
    assert (orders.path, orders.encoding) == ("orders.csv", "cp1252")


# --- what is told ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "star.toml: version is missing; write version = 1 as its first line"),
        ("version = 2\n", "star.toml, line 1: version is not one that is known here; write"),
        ('version = "1"\n', "star.toml, line 1: version is not one that is known here; write"),
        ("version = 1\nacept_returns = true\n", "line 2: acept_returns is not a setting; did you"),
        ("version = 1\n\n[source.x]\n", "line 3: source: the table is not known in this version; "
                                       "did you mean sources?"),
        ("version = 1\n[dimensions.store]\n", "line 2: dimensions: the table is not known in this"),
        ("version = 1\n[[sources]]\n", "line 2: sources is no table; write one for each"),
        ('version = 1\nsources.customers = "x.csv"\n', "sources.customers is no table; write ["),
        ("version = 1\n[sources.transaction]\n", "sources.transaction is no source; did you mean "
                                                "transactions?"),
        ("version = 1\n[sources.Customers]\n", "sources.Customers is no source; did you mean cu"),
        ("version = 1\n[sources.orders]\n", "sources.orders is no source; there are customers, "),
        ('version = 1\n[sources.customers]\ncolums = { a = "b" }\n',
         "star.toml, line 3: sources.customers.colums is not a setting; did you mean columns?"),
        ('version = 1\n[sources.customers]\ncurrency = "EUR"\n',
         "line 3: sources.customers.currency is not a setting"),
        ('version = 1\nstar_file = "x"\n', "line 2: star_file is not a setting"),
        ('version = 1\naccept_returns = "true"\n',
         "line 2: accept_returns is a text; write true or false"),
        ("version = 1\nbatch_rows = 1.5\n", "batch_rows is a number; write a whole number"),
        ("version = 1\nbatch_rows = true\n", "batch_rows is true or false; write a whole number"),
        ("version = 1\nbusiness_timezone = 2024-01-01\n", "is a date or time; write a text"),
        ("version = 1\n[sources.products]\ncolumns = '{\"a\": \"b\"}'\n",
         "line 3: sources.products.columns is a text; write a table"),
        ("version = 1\n[sources.products]\nwidths = '[1]'\n", "widths is a text; write a"),
        ("version = 1\n[sources.products]\nwidths = [1, 0.5]\n",
         "widths has a number as number 2 of its list; write a whole number"),
        ("version = 1\nbatch_rows = 0\n", "line 2: batch_rows input should be greater than"),
        ("version = 1\norphan_policy = 'ignore'\n", "line 2: orphan_policy input should be 'inf"),
        ("version = 1\n[sources.transactions]\ndate_formats = [\n  '%Y-%m-%d',\n  '%H'\n]\n",
         "line 3: sources.transactions.date_formats '%H' is no date format"),
        ("version = 1\n[sources.products]\ncolumns.name = []\n",
         'line 3: sources.products.columns maps "name" neither'),
        ("version = 1\n[sources.products]\nsplit_by = 'id'\n",
         "line 3: sources.products.split_by: PRODUCTS__PATH is no database"),
        ('version = 1\n[sources.transactions]\njoin = { source = "orders" }\n',
         "line 3: sources.transactions.join.key field required"),
        ("version = 1\nbatch_rows = \n", "star.toml, line 2 (column 14): is not valid TOML: "),
        ("version = 1\nversion = 1\n", "star.toml, line 2 (column 12): is not valid TOML: "),
        ("version = 1\nx = [1,\n", "star.toml, its end: is not valid TOML: "),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line_and_key(text: str, told: str) -> None:
    assert any(told in line for line in problems(text)), problems(text)


def test_all_mistakes_of_all_places_are_told_at_once() -> None:
    Path(".env").write_text("ACEPT_RETURNS=true\n", encoding="utf-8")
    Path("star.toml").write_text(
        "version = 1\nbatch_rows = 'x'\nworkers = 0\n[sources.customers]\npaht = 'x'\n",
        encoding="utf-8",
    )
    with pytest.raises(ConfigError) as error:
        load_config(environment={"LOG_LEVEL": "LOUD"})
    told = str(error.value)
    parts = ("ACEPT_RETURNS", "batch_rows", "workers", "customers.paht", "LOG_LEVEL")
    assert all(part in told for part in parts), told


def test_a_wrong_value_is_told_by_the_place_that_it_is_from() -> None:
    text = "version = 1\nlog_level = 'LOUD'\n"
    assert "star.toml, line 2: log_level" in problems(text)[0]
    told = problems(text, {"LOG_LEVEL": "SHRILL"})
    assert any("LOG_LEVEL input should be" in line for line in told)
    assert not any("star.toml" in line for line in told)


def test_the_line_is_that_of_the_key_and_not_of_the_like_in_a_text() -> None:
    text = (
        "version = 1\n[sources.transactions]\npath = '''\nbatch_rows = 0\n'''\n\n# a word\n"
        "[sources.customers]\nheader_row = 0\n"
    )
    told = problems(text)
    assert told[0].startswith("star.toml, line 9: sources.customers.header_row ")


@pytest.mark.parametrize(
    "text",
    [
        'version = 1\nwarehouse_url = "mysql://etl:s3cret@host/db"\n',
        'version = 1\nwarehouse_url = ["s3cret"]\n',
        'version = 1\nwarehouse_url = "postgresql://etl:s3cret@host/db\n',
        'version = 1\n[sources.products]\npath = "postgresql://u:s3cret@h/d"\n',
        "version = 1\ns3 = s3cret\n",
        'version = 1\n[sources.products]\ncolumns = { name = { s3cret = "s3cret" } }\n',
    ],
)
def test_no_value_is_told(text: str) -> None:
    assert "s3cret" not in "\n".join(problems(text))


def test_a_file_that_is_named_must_be_there(capsys: pytest.CaptureFixture[str]) -> None:
    Path(".env").write_text("STAR_FILE=shop.toml\n", encoding="utf-8")
    assert main([]) == 2
    assert "shop.toml: there is no such file" in capsys.readouterr().err
    os.mkfifo("shop.toml")
    assert main([]) == 2
    assert "shop.toml: is a named pipe" in capsys.readouterr().err
    Path("shop.toml").unlink()
    Path("shop.toml").write_bytes("version = 1 # café".encode("cp1252"))
    assert main([]) == 2
    assert "shop.toml: byte 17 is not UTF-8" in capsys.readouterr().err


# --- the JSON Schema ------------------------------------------------------------------------


def accepted(tables: dict[str, Any]) -> bool:
    """Whether an editor would find no mistake."""
    return bool(jsonschema.Draft7Validator(SCHEMA).is_valid(tables))


def test_the_schema_for_editors_accepts_the_example_and_finds_mistakes() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    tables = tomllib.loads(example())
    assert accepted(tables)
    for path, wrong in [
        (("version",), 2),
        (("accept_returns",), "true"),
        (("acept_returns",), True),
        (("dimensions",), {}),
        (("sources", "transactions", "colums"), {}),
        (("sources", "transactions", "columns", "quantity"), 7),
        (("sources", "transactions", "extract"), "all"),
        (("sources", "transactions", "header_row"), 0),
        (("sources", "transactions", "join"), {"source": "orders"}),
        (("sources", "customers", "currency"), "EUR"),
    ]:
        changed = copy.deepcopy(tables)
        table = changed
        for key in path[:-1]:
            table = table[key]
        table[path[-1]] = wrong
        assert not accepted(changed), path
