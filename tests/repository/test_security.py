"""Nobody let in, nothing let out: injection, secrets, personal data, file modes, TLS, roles."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import selectors
import socket
import ssl
import stat
import struct
import threading
import traceback
import unicodedata
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from errors import EtlError
from load_dimensions import DimensionLoader
from main import StarSchemaETLPipeline, main
from support.commands import in_a_child, run_command
from support.retailer import Retailer, changes
from support.sessions import as_role
from support.star import Star
from support.tables import Row, csv_rows, to_csv

SALES = "transaction_id,transaction_date,customer_id,product_id,quantity,unit_price\n"


def everything_told(shop: Retailer, *outputs: str) -> str:
    """All that a run says anywhere but in reject files and the star."""
    columns = "run_id, status, counts, sources, error_class, code_version"
    runs: list[Any] = []
    if "etl_run" in shop.star.tables():
        runs = shop.star.rows(f"SELECT {columns} FROM etl_run")
    log = shop.log if (shop.folder / "etl.log").exists() else ""
    return "\n".join([*outputs, log, *map(repr, runs)])


# --- injection ------------------------------------------------------------------------------------

HOSTILE = [
    "'); DROP TABLE fact_sales;--", '"; DROP TABLE fact_sales;--', "%s", "%(x)s", "%", ":name",
    "\\", "\\'", "$$", "$1", "{0}", "${HOME}", "$(id)", "`id`", "*/", "/*", "\\copy x",
    "1 OR 1=1", "x' UNION SELECT 1--", "../../etc/passwd", "select", "NULL", "<script>", "é\u0301",
]  # fmt: skip


def test_hostile_values_are_stored_as_they_are(shop: Retailer) -> None:
    """A value is a value, in keys, attributes and the second merge that compares them."""
    shop.customers = [{"customer_id": f"x{v}", "company": f"x{v}"} for v in HOSTILE]
    shop.sales = [
        shop.sales[0] | {"transaction_id": f"x{v}", "customer_id": f"x{v}", "sales_rep_id": f"x{v}"}
        for v in HOSTILE
    ]
    shop.publish()
    stored = shop.star.rows(
        "SELECT f.transaction_id, c.customer_id, c.company, r.sales_rep_id FROM fact_sales f "
        "JOIN dim_customer c USING (customer_key) JOIN dim_sales_rep r USING (sales_rep_key)"
    )
    expected = [unicodedata.normalize("NFC", f"x{v}") for v in HOSTILE]
    assert sorted(row[0] for row in stored) == sorted(expected)
    assert all(len(set(row)) == 1 for row in stored)
    before = shop.star.digest()
    assert changes(shop.publish_in_full()) == 0
    assert shop.star.digest() == before


@pytest.mark.parametrize(
    "column", ['x"; DROP TABLE fact_sales;--', "select", "a'b", "%s", ":x", "x" * 300, "order by"]
)
def test_a_column_of_any_name_is_mapped(shop: Retailer, column: str) -> None:
    """Names from a file's header and from the settings are names, in files and databases."""
    rows = [{**row, column: row["quantity"]} for row in shop.sales]
    for row in rows:
        del row["quantity"]
    shop.sales = rows
    mapping = json.dumps({"quantity": column})
    shop.publish(TRANSACTIONS__COLUMNS=mapping)
    assert shop.star.scalar("SELECT sum(quantity) FROM fact_sales") == 6


@pytest.mark.parametrize("table", ["select", "Sales Lines", "x'; DROP TABLE fact_sales;--"])
def test_a_source_table_of_any_name_is_only_read(
    duckdb_shop: Retailer, tmp_path: Path, table: str
) -> None:
    """A table's name is quoted; whatever is no plain name is SQL, and that may only read."""
    shop = duckdb_shop
    source = sa.create_engine(f"sqlite:///{tmp_path / 'source.db'}")
    with source.begin() as connection:
        columns = [sa.Column(name, sa.Text()) for name in shop.sales[0]]
        made = sa.Table("select", sa.MetaData(), *columns)
        made.create(connection)
        connection.execute(sa.insert(made), shop.sales)
    source.dispose()
    results = shop.run(
        TRANSACTIONS__PATH=f"sqlite:///{tmp_path / 'source.db'}", TRANSACTIONS__QUERY=table
    )
    assert results["success"] is (table == "select")
    if not results["success"]:
        assert "TRANSACTIONS__QUERY" in results["errors"][0]


@pytest.mark.parametrize(
    "name", ['x"; DROP SCHEMA public;--', "select", "Müller's", "a b", "$s", ":x", "é" * 31]
)
def test_a_schema_of_any_name_is_quoted(shop: Retailer, name: str) -> None:
    """Two runs make and find the star there, and nowhere else."""
    name = f"{name}{uuid.uuid4().hex[:1]}"
    quoted = '"{}"'.format(name.replace('"', '""'))
    try:
        shop.publish(WAREHOUSE_SCHEMA=name)
        assert changes(shop.publish_in_full(WAREHOUSE_SCHEMA=name)) == 0
        assert (
            shop.star.scalar(f"SELECT count(*) FROM {quoted}.fact_sales".replace(":", r"\:")) == 3
        )
        assert shop.star.tables() == set()
    finally:
        shop.star.execute(f"DROP SCHEMA IF EXISTS {quoted} CASCADE".replace(":", r"\:"))


@pytest.mark.parametrize("name", ["s" * 64, "é" * 32, "a.b", "a%s"])
def test_a_schema_whose_name_would_become_another_is_refused(
    shop: Retailer, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """An engine shortens a long name, and the drivers take a dot or % for something else."""
    code, _, err = run_command(shop, capsys, WAREHOUSE_SCHEMA=name)
    assert code == 2
    assert "WAREHOUSE_SCHEMA" in err
    assert not (shop.folder / "etl.log").exists()


# --- secrets --------------------------------------------------------------------------------------

CANARY = "QzX@WvJ/KyQ#ZxW%VjK:QyZ JxVqKw"
PIECES = {CANARY[n : n + 3] for n in range(len(CANARY) - 2)}


def assert_secret(text: str) -> None:
    """No three characters in a row of the canary are in a text."""
    leaked = sorted(piece for piece in PIECES if piece in text)
    assert not leaked, [text[max(0, text.find(leaked[0]) - 200) :][:400]]


@pytest.fixture
def guarded(postgresql_url: str, postgresql_star: Star) -> Iterator[str]:
    """The server's URL for a role that is let in with its password only, which is the canary."""
    role = f"canary_{uuid.uuid4().hex[:8]}"
    admin = Star(postgresql_url)
    file = admin.scalar("SELECT current_setting('hba_file')")
    rules = admin.scalar("SELECT pg_read_file(:file)", file=file).splitlines()
    with admin.connection() as connection:
        connection.exec_driver_sql(
            f"CREATE ROLE {role} LOGIN SUPERUSER PASSWORD '{CANARY.replace('%', '%%')}'"
        )
        connection.commit()
    demanding = [f"local all {role} scram-sha-256"]
    demanding += [f"host all {role} {net} scram-sha-256" for net in ("0.0.0.0/0", "::/0")]
    write_file(admin, file, [*demanding, *rules])
    url = sa.make_url(postgresql_url).set(username=role, password=CANARY)
    try:
        yield url.render_as_string(hide_password=False)
    finally:
        write_file(admin, file, rules)
        admin.execute(f"REASSIGN OWNED BY {role} TO CURRENT_USER", f"DROP ROLE {role}")


def write_file(admin: Star, path: str, lines: list[str]) -> None:
    """Write a file of the server, and have the server read its settings again."""
    with admin.connection() as connection:
        connection.exec_driver_sql("CREATE TEMP TABLE lines (n serial, line text)")
        connection.execute(
            sa.text("INSERT INTO lines (line) VALUES (:line)"), [{"line": line} for line in lines]
        )
        name = path.replace("'", "''").replace("%", "%%")
        connection.exec_driver_sql(f"COPY (SELECT line FROM lines ORDER BY n) TO '{name}'")
    admin.reload_settings()


ENCODED = quote(CANARY, safe="")
BAD_URLS = {
    "nothing encoded": (f"postgresql://etl:{CANARY}@127.0.0.1:1/db", 2),
    "only the @ encoded": (f"postgresql://etl:{CANARY.replace('@', '%40')}@127.0.0.1:1/db", 1),
    "all but the @ encoded": (f"postgresql://etl:{quote(CANARY, safe='@')}@127.0.0.1:1/db", 2),
    "behind the ?": (f"postgresql://etl@127.0.0.1:1/db?password={ENCODED}", 2),
    "behind the ? as PassWord": (f"postgresql://etl@127.0.0.1:1/db?PassWord={ENCODED}", 2),
    "no host": (f"postgresql://etl:{ENCODED}", 2),
    "a port that is none": (f"postgresql://etl:{ENCODED}@127.0.0.1:port/db", 2),
    "another engine": (f"oracle://etl:{ENCODED}@127.0.0.1/db", 2),
    "no engine": (f"etl:{CANARY}", 2),
    "no such host": (f"postgresql://etl:{ENCODED}@no-such-host.invalid/db", 1),
    "nobody there": (f"postgresql://etl:{ENCODED}@127.0.0.1:1/db", 1),
}


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        (name, setting)
        for name in BAD_URLS
        for setting in ("WAREHOUSE_URL", "TRANSACTIONS__PATH")
        if (name, setting) != ("no engine", "TRANSACTIONS__PATH")  # nothing but a file's name
    ],
)
def test_a_url_that_cannot_work_is_told_without_its_password(
    duckdb_shop: Retailer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    setting: str,
) -> None:
    """Parsing, name lookup, connecting; by file and by environment; at DEBUG."""
    shop = duckdb_shop
    url, code = BAD_URLS[name]
    settings: Row = {setting: url, "LOG_LEVEL": "DEBUG", "TRANSACTIONS__QUERY": "sales"}
    monkeypatch.setenv("RETRY_SECONDS", "0")
    settings["RETRY_SECONDS"] = 0
    if setting == "TRANSACTIONS__PATH" and name == "another engine":
        code = 1
    ended, out, err = run_command(shop, capsys, "--json", **settings)
    assert ended == code
    assert_secret(everything_told(shop, out, err))
    monkeypatch.setenv(setting, url)
    assert main(["--env-file", shop.env_file(TRANSACTIONS__QUERY="sales")]) == code
    assert main(["--env-file", shop.env_file(TRANSACTIONS__QUERY="sales"), "check"]) == 2
    assert_secret(everything_told(shop, *capsys.readouterr()))


SECRET_PLACES = {
    "an unknown engine": f"snowflake://etl:{ENCODED}@account/db",
    "a driver of its own": f"redshift+psycopg2://etl:{ENCODED}@127.0.0.1:1/db",
    "a protocol that nobody reads": f"ftp://etl:{ENCODED}@127.0.0.1:1/sales.csv",
    "a web server": f"https://etl:{ENCODED}@127.0.0.1:1/sales.csv?signature={ENCODED}",
    "a bucket": f"s3://etl:{ENCODED}@bucket/sales.csv",
}


@pytest.mark.parametrize("place", SECRET_PLACES)
def test_a_source_of_any_scheme_is_told_without_its_password(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    """Also where the scheme is none that is known, and in what a notebook shows."""
    shop = duckdb_shop
    settings: Row = {
        "TRANSACTIONS__PATH": SECRET_PLACES[place],
        "TRANSACTIONS__QUERY": "sales",
        "LOG_LEVEL": "DEBUG",
    }
    code, out, err = run_command(shop, capsys, "--json", **settings)
    assert code == 1
    assert "TRANSACTIONS__PATH" in err
    config = shop.config(**settings)
    assert_secret(everything_told(shop, out, err, repr(config), f"{config.model_dump()}"))


@pytest.mark.parametrize("name", ["motherduck_token", "aws_secret_access_key", "sslpassword"])
def test_a_secret_behind_the_question_mark_is_refused(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """Whatever it is called there, no message would know to hide it."""
    url = f"duckdb:///{duckdb_shop.folder}/w.duckdb?{name}={ENCODED}"
    code, out, err = run_command(duckdb_shop, capsys, WAREHOUSE_URL=url)
    assert code == 2
    assert "WAREHOUSE_URL" in err
    assert_secret(everything_told(duckdb_shop, out, err))


def _refused_mid_load(shop: Retailer, patch: pytest.MonkeyPatch) -> None:
    shop.star.execute("CREATE UNIQUE INDEX planted ON dim_customer (city)")
    shop.customers[1]["city"] = shop.customers[0]["city"]


def _bug(shop: Retailer, patch: pytest.MonkeyPatch) -> None:
    def broken(pipeline: StarSchemaETLPipeline) -> int:
        raise AttributeError(f"{pipeline.config.warehouse_url!r} {pipeline.config!r}")

    patch.setattr(StarSchemaETLPipeline, "_run_fact_loading_phase", broken)


def _gone(shop: Retailer, patch: pytest.MonkeyPatch) -> None:
    """Its sessions are ended in the middle of each try."""
    real = StarSchemaETLPipeline._run_fact_loading_phase

    def ended(pipeline: StarSchemaETLPipeline) -> int:
        shop.star.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            f"WHERE application_name LIKE 'star-etl {pipeline.run_id}%'"
        )
        return real(pipeline)

    patch.setattr(StarSchemaETLPipeline, "_run_fact_loading_phase", ended)


@pytest.mark.parametrize(
    ("arrange", "code"),
    [
        (lambda shop, patch: None, 0),
        (lambda shop, patch: shop.files.update(customers=None), 1),
        (_refused_mid_load, 1),
        (_bug, 1),
        (_gone, 1),
    ],
    ids=["published", "bad input", "refused", "bug", "session ended"],
)
def test_a_password_that_works_is_told_nowhere(
    postgresql_shop: Retailer,
    guarded: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arrange: Callable[[Retailer, pytest.MonkeyPatch], None],
    code: int,
) -> None:
    """Not at DEBUG, not when the load fails half-way, not on the server's own list."""
    shop = postgresql_shop
    settings: Row = {"WAREHOUSE_URL": guarded, "LOG_LEVEL": "DEBUG", "RETRY_SECONDS": 1}
    shop.publish(**settings)
    arrange(shop, monkeypatch)
    shop.sales[0]["quantity"] = "4"
    ended, out, err = run_command(shop, capsys, "--json", **settings)
    assert ended == code
    activity = shop.star.rows("SELECT application_name, query FROM pg_stat_activity")
    assert_secret(everything_told(shop, out, err, repr(activity)))


def test_a_wrong_password_is_told_nowhere(
    postgresql_shop: Retailer, guarded: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Authentication fails, for the warehouse and for a source."""
    shop = postgresql_shop
    wrong = sa.make_url(guarded).set(password=CANARY[::-1]).render_as_string(hide_password=False)
    for setting in ("WAREHOUSE_URL", "CUSTOMERS__PATH"):
        settings: Row = {setting: wrong, "CUSTOMERS__QUERY": "x", "LOG_LEVEL": "DEBUG"}
        code, out, err = run_command(shop, capsys, "--json", **settings)
        assert code == 1
        assert "password authentication failed" in err
        told = everything_told(shop, out, err)
        reversed_pieces = {piece[::-1] for piece in PIECES}
        assert not [piece for piece in reversed_pieces if piece in told]


def test_neither_repr_nor_traceback_shows_a_password(duckdb_shop: Retailer) -> None:
    """What a notebook prints of the settings, the pipeline and an error."""
    shop = duckdb_shop
    url = BAD_URLS["nobody there"][0]
    config = shop.config(WAREHOUSE_URL=url, CUSTOMERS__PATH=url, CUSTOMERS__QUERY="x")
    pipeline = StarSchemaETLPipeline(config, quiet=True)
    shown = [repr(config), str(config), f"{config.model_dump()}", repr(config.customers)]
    shown += [repr(vars(pipeline)), repr(config.warehouse_url), str(config.customers.path)]

    def load() -> None:
        with DimensionLoader(config) as loader:
            loader.load_all_dimensions({})

    with pytest.raises(EtlError) as caught:
        load()
    shown += traceback.format_exception(caught.value)
    assert_secret("\n".join(shown))


# --- personal data --------------------------------------------------------------------------------

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


# --- files ----------------------------------------------------------------------------------------


def modes(folder: Path) -> dict[str, str]:
    """What others than the owner may do to each file and folder that a run made.

    What is inside of a run's own working folder is as safe as that folder.
    """
    given = {"customers.csv", "products.json", "sales.csv", "reps.csv", "shop.env"}
    return {
        str(path.relative_to(folder)): oct(stat.S_IMODE(path.lstat().st_mode))
        for path in folder.rglob("*")
        if path.name not in given
        and not path.parent.name.startswith("run-")
        and path.lstat().st_mode & 0o077
    }


@pytest.mark.parametrize("umask", [0o022, 0o000])
@pytest.mark.parametrize("api", [False, True])
def test_all_that_a_run_writes_is_for_its_owner_alone(
    duckdb_shop: Retailer, tmp_path: Path, umask: int, api: bool
) -> None:
    """Warehouse and its journal, log, rejects, working folder; while it runs and afterwards."""
    shop = duckdb_shop
    shop.sales[0]["quantity"] = "x"
    new = shop.folder / "new"
    settings: Row = {
        "WAREHOUSE_URL": f"duckdb:///{new}/deep/w.duckdb",
        "LOG_FILE": new / "logs" / "etl.log",
        "REJECTS_DIR": new / "rejects",
        "WORK_DIR": new / "work",
    }
    if not api:
        ended = in_a_child("--env-file", shop.env_file(**settings), umask=umask)
        assert ended.code == 0
    else:
        seen: dict[str, str] = {}
        spilled: list[Path] = []

        class Watched(StarSchemaETLPipeline):
            """A run that looks at its files before it commits."""

            def _run_validation_phase(self) -> int:
                seen.update(modes(new))
                spilled.extend(new.glob("work/run-*/*"))
                return super()._run_validation_phase()

        before = os.umask(umask)
        try:
            config = shop.config(**settings)
            (tmp_path / "probe").touch()
            pipeline = Watched(config, quiet=True)
            results = pipeline.run_full_pipeline()
            shop.sales[1]["quantity"] = "8"
            shop.settings()
            again = Watched(config, quiet=True).run_full_pipeline()
        finally:
            os.umask(before)
        assert (results["status"], again["status"]) == ("published", "published")
        assert stat.S_IMODE((tmp_path / "probe").stat().st_mode) == 0o666 & ~umask
        assert seen == {}
        assert spilled
    made = {path.name for path in new.rglob("*")}
    assert made >= {"w.duckdb", "etl.log", "transactions.csv", "deep", "logs", "rejects", "work"}
    assert modes(new) == {}
    assert stat.S_IMODE(new.stat().st_mode) == 0o700


@pytest.mark.parametrize("dangling", [False, True])
@pytest.mark.parametrize("target", ["etl.log", "warehouse.duckdb.lock"])
def test_a_symbolic_link_in_the_place_of_our_file_is_refused(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str], target: str, dangling: bool
) -> None:
    """Else another could have us overwrite what he chose, or read what we write."""
    shop = duckdb_shop
    victim = shop.folder / "victim"
    if not dangling:
        victim.write_text("precious")
    place = shop.folder if target == "etl.log" else shop.folder.parent
    (place / target).symlink_to(victim)
    code, _, err = run_command(shop, capsys)
    assert code == (2 if target == "etl.log" else 1)
    assert target in err
    assert victim.read_text() == "precious" if not dangling else not victim.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
def test_a_log_that_belongs_to_somebody_else_is_refused(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    """He could read what is written there."""
    log = duckdb_shop.folder / "etl.log"
    log.touch()
    os.chown(log, 12345, 12345)
    code, _, err = run_command(duckdb_shop, capsys)
    assert code == 2
    assert "LOG_FILE" in err
    assert log.read_text() == ""


# --- reject files in spreadsheets -----------------------------------------------------------------

FORMULAS = [
    "=1+1", "+SUM(A1)", "-2+3", "@cmd", "=HYPERLINK(\"http://x\",\"y\")", "'=1", "''=1", "'x",
    "a;=1+1", "a\t=1", "a,=1", "a|@x", "a\n=1", "a\r\n+1", "a;'=1", "-5", "-5.25", "+1.5e3",
    "1,234", "x=1", "a;b", "--", "=", ";=", "'", "a;-b", "-1;=2",
]  # fmt: skip


def test_no_cell_of_a_reject_file_is_a_formula_and_all_load_back_exactly(
    shop: Retailer,
) -> None:
    """In whatever way a spreadsheet splits the lines; and a corrected file is the source."""
    shop.customers = [
        {"customer_id": f"F{n}", "company": value, "country": value.strip("\r\n"), "=evil": value}
        for n, value in enumerate(FORMULAS)
    ]
    shop.publish()
    expected = shop.star.rows("SELECT customer_id, company, country FROM dim_customer")
    for row in shop.customers:
        row["customer_id"] = " "
    results = shop.publish()
    path = Path(results["rejects_dir"]) / "customers.csv"
    text = path.read_text(encoding="utf-8")
    number = re.compile(r"[+-]?[0-9]+([.,][0-9]+)*([eE][+-]?[0-9]+)?")
    for delimiter in ",;\t|":
        for line in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            for cell in line:
                triggered = cell[:1] in ("=", "+", "-", "@", "\t", "\r")
                assert not triggered or number.fullmatch(cell), cell
    told = {row["company"] for row in csv_rows(path)}
    assert {"-5", "-5.25", "+1.5e3"} <= told  # amounts stay readable

    corrected = csv_rows(path)
    corrected.sort(key=lambda row: int(row["_line"]))
    for n, row in enumerate(corrected):
        row["customer_id"] = f"F{n}"  # the rejects are in the order of the source
    path.write_text(to_csv(corrected), encoding="utf-8", newline="")
    assert changes(shop.publish(CUSTOMERS__PATH=path)) == 0
    found = shop.star.rows("SELECT customer_id, company, country FROM dim_customer")
    assert sorted(found) == sorted(expected)


# --- log lines ------------------------------------------------------------------------------------

FORGED = "x\n2026-01-01 ERROR: forged\r\x1b[2J\x1b]0;t\x07\u202e\u2028\x85\u0085y"


def assert_one_line_each(*texts: str) -> None:
    """No line was begun by data, and no terminal obeys it."""
    for text in texts:
        found = {c for c in text if c in "\r\x1b\x07\u202e\u2028\x85"}
        assert not found
        assert not re.search(r"^2026-01-01 ERROR: forged", text, re.MULTILINE)


@pytest.mark.parametrize("command", [(), ("check",), ("--json",)])
def test_a_file_name_forges_no_line(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    """One record is one line, its controls written out; for a file that is there or not."""
    shop = duckdb_shop
    place = shop.folder / "in"
    place.mkdir()
    for name, content in (("good", SALES), ("bad", "a,b\n"), ("empty", "")):
        (place / f"{name}{FORGED}.csv").write_text(content)
        for path in (place / f"{name}{FORGED}.csv", place / f"nowhere{FORGED}.csv"):
            shop.settings()
            environment = {**shop.settings(TRANSACTIONS__PATH=path)}
            with pytest.MonkeyPatch.context() as patch:
                for key, value in environment.items():
                    patch.setenv(key, value)
                code = main(["--env-file", ".env", *command])
            assert code in (0, 1, 2)
            assert_one_line_each(*capsys.readouterr(), shop.log if not command else "")
        (place / f"{name}{FORGED}.csv").unlink()


@pytest.mark.parametrize("command", [(), ("check",)])
def test_values_and_headers_forge_no_line(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    """In column names, keys and attributes, well-formed or not."""
    shop = duckdb_shop
    for row in (*shop.customers, *shop.sales):
        row[FORGED] = FORGED
    shop.customers[0]["city"] = FORGED
    shop.products[0] |= {"name": FORGED, "product_id": FORGED}
    shop.sales[0] |= {"transaction_id": FORGED, "quantity": FORGED}
    code, out, err = run_command(shop, capsys, *command, LOG_LEVEL="DEBUG")
    assert code in (0, 1, 2)
    assert_one_line_each(out, err, shop.log if not command else "")


def test_what_the_driver_says_forges_no_line(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    """The name of a constraint that somebody chose is in the warehouse's message."""
    shop.publish()
    name = "x\n2026-01-01 ERROR: forged\r\x1b[2J\u202e"
    shop.star.execute(f'CREATE UNIQUE INDEX "{name}" ON dim_customer (city)'.replace(":", r"\:"))
    shop.customers[1]["city"] = shop.customers[0]["city"]
    code, out, err = run_command(shop, capsys, LOG_LEVEL="DEBUG")
    assert code == 1
    assert "the warehouse refused" in err
    assert_one_line_each(out, err, shop.log)


# --- TLS ------------------------------------------------------------------------------------------

NAME = "warehouse.example"
_SSL_REQUEST, _GSS_REQUEST = 80877103, 80877104


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A self-signed certificate for a host name, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / f"{name}.crt", folder / f"{name}.key"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


class Front:
    """A PostgreSQL server's TLS: the wheel's server has none, so it is done in front of it."""

    def __init__(self, url: str, identity: tuple[Path, Path] | None) -> None:
        self._url = sa.make_url(url)
        self._context = None
        if identity:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(*identity)
        self.encrypted = 0
        """Sessions that began over TLS."""
        self.in_clear = b""
        """What clients sent without it, beside the question for it."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Let nobody in any more."""
        self._listener.close()

    def url(self, host: str, **query: str) -> str:
        """The URL by which it is the server called `host`."""
        where = {"hostaddr": "127.0.0.1"} if host == NAME else {}
        url = self._url.set(host=host, port=self.port, query={**where, **query})
        return url.render_as_string(hide_password=False)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), closing(client):
            while True:
                head = client.recv(8, socket.MSG_WAITALL)
                code = struct.unpack("!II", head)[1] if len(head) == 8 else 0
                if code == _SSL_REQUEST and self._context:
                    client.sendall(b"S")
                    client = self._context.wrap_socket(client, server_side=True)
                    self.encrypted += 1
                    head = b""
                    break
                if code not in (_SSL_REQUEST, _GSS_REQUEST):
                    self.in_clear += head
                    break
                client.sendall(b"N")
            with closing(self._server()) as server:
                server.sendall(head)
                _pump(client, server)

    def _server(self) -> socket.socket:
        folder = self._url.query.get("host")
        if folder:
            server = socket.socket(socket.AF_UNIX)
            server.connect(f"{folder}/.s.PGSQL.{self._url.query.get('port', 5432)}")
            return server
        return socket.create_connection((self._url.host or "127.0.0.1", self._url.port or 5432))


def _pump(client: socket.socket, server: socket.socket) -> None:
    """Bytes from each to the other until one has no more."""
    with selectors.DefaultSelector() as selector:
        selector.register(client, selectors.EVENT_READ, server)
        selector.register(server, selectors.EVENT_READ, client)
        while True:
            for key, _ in selector.select():
                source: Any = key.fileobj
                data = source.recv(1 << 16)
                if not data:
                    return
                while isinstance(source, ssl.SSLSocket) and source.pending():
                    data += source.recv(1 << 16)
                key.data.sendall(data)


@dataclass
class Secured:
    """A shop, a server with a certificate, and certificates of this and another name."""

    shop: Retailer
    server: Callable[[tuple[Path, Path] | None], Front]
    mine: tuple[Path, Path]
    other: tuple[Path, Path]


@pytest.fixture
def secured(
    postgresql_shop: Retailer, postgresql_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Secured]:
    """What TLS is tested with. The home folder has no certificates of its own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("PGSSLMODE", "PGSSLROOTCERT", "PGHOST", "PGSERVICE"):
        monkeypatch.delenv(name, raising=False)
    fronts: list[Front] = []

    def server(identity: tuple[Path, Path] | None) -> Front:
        fronts.append(Front(postgresql_url, identity))
        return fronts[-1]

    mine, other = certificate(tmp_path, NAME), certificate(tmp_path, "elsewhere.example")
    yield Secured(postgresql_shop, server, mine, other)
    for front in fronts:
        front.close()


def test_a_server_that_proves_who_it_is_is_used(secured: Secured) -> None:
    """`verify-full` needs no setting but where the certificate authority is."""
    front = secured.server(secured.mine)
    results = secured.shop.publish(WAREHOUSE_URL=front.url(NAME, sslrootcert=str(secured.mine[0])))
    assert results["warnings"] == []
    assert (front.encrypted > 0, front.in_clear) == (True, b"")


@pytest.mark.parametrize(
    ("identity", "trusted"),
    [("mine", None), ("other", "other"), ("mine", "other"), (None, "mine")],
    ids=["unknown authority", "another host's", "another's signature", "no TLS"],
)
def test_a_server_that_does_not_prove_who_it_is_is_refused(
    secured: Secured, capsys: pytest.CaptureFixture[str], identity: str | None, trusted: str | None
) -> None:
    """By default, before user, database or password were sent; and the way out is told."""
    front = secured.server(getattr(secured, identity) if identity else None)
    query = {"sslrootcert": str(getattr(secured, trusted)[0])} if trusted else {}
    code, _, err = run_command(
        secured.shop, capsys, WAREHOUSE_URL=front.url(NAME, **query), LOG_LEVEL="DEBUG"
    )
    assert code == 1
    assert "sslmode" in err
    assert front.in_clear == b""
    assert secured.shop.star.tables() == set()


@pytest.mark.parametrize(
    "how", ["PGHOST", "PGSERVICE", "service", "host after ?", "one of two", "looks local"]
)
def test_a_host_named_in_any_way_must_prove_itself(
    secured: Secured,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    how: str,
) -> None:
    """Wherever libpq takes the host from, plain text is not what it comes to."""
    front = secured.server(None)
    url = sa.make_url(front.url(NAME))
    service = f"[prod]\nhost={NAME}\nhostaddr=127.0.0.1\nport={front.port}\n"
    (tmp_path / ".pg_service.conf").write_text(service)
    local = {"hostaddr": "127.0.0.1", "port": str(front.port)}
    if how == "PGHOST":
        monkeypatch.setenv("PGHOST", NAME)
        url = url.set(host=None, port=None, query=local)
    elif how == "PGSERVICE":
        monkeypatch.setenv("PGSERVICE", "prod")
        url = url.set(host=None, port=None, query={})
    elif how == "service":
        url = url.set(host=None, port=None, query={"service": "prod"})
    elif how == "host after ?":
        url = url.set(host=None, port=None, query={"host": NAME, **local})
    elif how == "one of two":
        url = url.set(host=None, port=None, query={"host": f"127.0.0.1:1,{NAME}:{front.port}"})
    else:
        url = url.set(host=f"127.0.0.1.{NAME}")
    text = url.render_as_string(hide_password=False)
    code, _, err = run_command(secured.shop, capsys, WAREHOUSE_URL=text)
    assert code == 1, err
    assert front.in_clear == b""


def test_a_weaker_mode_of_tls_is_obeyed_warned_of_and_recorded(secured: Secured) -> None:
    """Who insists gets it, and the run's row says so."""
    front = secured.server(None)
    results = secured.shop.publish(WAREHOUSE_URL=front.url(NAME, sslmode="prefer"))
    (warning,) = results["warnings"]
    assert "sslmode=prefer" in warning
    assert NAME in warning
    counts = json.loads(secured.shop.star.scalar("SELECT counts FROM etl_run"))
    assert counts["warehouse_warnings"] == [warning]


def test_a_server_on_this_machine_needs_no_certificate(secured: Secured) -> None:
    """What never leaves the machine may be in clear."""
    for host in ("127.0.0.1", "localhost"):
        front = secured.server(None)
        results = secured.shop.publish(WAREHOUSE_URL=front.url(host))
        assert results["warnings"] == []
        assert front.in_clear


PEOPLE = (
    "SELECT column1 AS customer_id, column2 AS company"
    " FROM (VALUES ($$7$$, 1815), ($$C1$$, 1), ($$C2$$, 2)) AS people"
)


def test_a_source_that_proves_who_it_is_is_read(secured: Secured) -> None:
    """What is read of another machine is as private as what is written there."""
    front = secured.server(secured.mine)
    url = front.url(NAME, sslrootcert=str(secured.mine[0]))
    results = secured.shop.publish(CUSTOMERS__PATH=url, CUSTOMERS__QUERY=PEOPLE)
    assert results["warnings"] == []
    assert (front.encrypted > 0, front.in_clear) == (True, b"")
    assert secured.shop.star.member("dim_customer", "7")["company"] == "1815"


@pytest.mark.parametrize(
    ("identity", "trusted"),
    [("mine", None), ("other", "other"), (None, "mine")],
    ids=["unknown authority", "another host's", "no TLS"],
)
def test_a_source_that_does_not_prove_who_it_is_is_refused(
    secured: Secured, capsys: pytest.CaptureFixture[str], identity: str | None, trusted: str | None
) -> None:
    """Before user, database or password were sent; `check` says it beforehand."""
    front = secured.server(getattr(secured, identity) if identity else None)
    query = {"sslrootcert": str(getattr(secured, trusted)[0])} if trusted else {}
    settings = {"CUSTOMERS__PATH": front.url(NAME, **query), "CUSTOMERS__QUERY": PEOPLE}
    code, _, err = run_command(secured.shop, capsys, **settings)
    assert code == 1
    assert "see sslmode and sslrootcert" in err
    code, out, _ = run_command(secured.shop, capsys, "check", **settings)
    assert code == 2
    assert "see sslmode and sslrootcert" in out
    assert front.in_clear == b""


def test_a_weaker_mode_of_tls_to_a_source_is_obeyed_and_warned_of(secured: Secured) -> None:
    """And a source on this machine needs nothing."""
    front = secured.server(None)
    settings = {"CUSTOMERS__QUERY": PEOPLE}
    results = secured.shop.publish(CUSTOMERS__PATH=front.url(NAME, sslmode="disable"), **settings)
    (warning,) = results["warnings"]
    assert "CUSTOMERS__PATH: with sslmode=disable" in warning
    assert NAME in warning
    results = secured.shop.publish(CUSTOMERS__PATH=front.url("localhost"), **settings)
    assert results["warnings"] == []


# --- rights ---------------------------------------------------------------------------------------


def test_a_role_that_may_neither_create_nor_drop_loads_an_existing_star(
    postgresql_shop: Retailer, loader_role: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """`init` by the owner prints all that the role needs; a statement beyond fails the run."""
    shop = postgresql_shop
    assert main(["--env-file", shop.env_file(), "init", "--role", loader_role]) == 0
    grants = capsys.readouterr().out.strip().splitlines()
    assert "dim_customer" in " ".join(grants)
    assert not re.search(r"\b(CREATE|DELETE|TRUNCATE|ALL|DROP|ALTER)\b", " ".join(grants))
    tables = shop.star.rows("SELECT oid, relfilenode FROM pg_class WHERE relkind IN ('r', 'i')")
    shop.star.execute(*grants)
    url = as_role(shop.star, loader_role)

    assert changes(shop.publish(WAREHOUSE_URL=url)) > 0
    shop.customers[0]["city"] = "Paris"
    shop.sales[0]["quantity"] = "9"
    shop.sales.append(shop.sales[0] | {"transaction_id": "T9", "customer_id": "C9"})
    assert changes(shop.publish(WAREHOUSE_URL=url)) == 4
    assert shop.star.scalar("SELECT count(*) FROM fact_sales") == 4
    shop.files["customers"] = None
    assert shop.run(WAREHOUSE_URL=url)["status"] == "failed"
    assert [status for _, status in shop.star.runs()] == ["published", "published", "failed"]
    after = shop.star.rows("SELECT oid, relfilenode FROM pg_class WHERE relkind IN ('r', 'i')")
    assert set(tables) <= set(after)  # none was rewritten, truncated or made anew

    as_loader = Star(url, shop.star.schema)
    for denied in ("DELETE FROM fact_sales", "TRUNCATE fact_sales", "DROP TABLE fact_sales",
                   "CREATE TABLE x (y int)", "ALTER TABLE fact_sales ADD y int"):  # fmt: skip
        with pytest.raises(sa.exc.ProgrammingError, match=r"permission denied|must be owner"):
            as_loader.execute(denied)


def test_a_role_without_rights_is_told_who_gives_them(
    postgresql_shop: Retailer, loader_role: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message names the command that prints the GRANTs; nothing changes."""
    shop = postgresql_shop
    assert main(["--env-file", shop.env_file(), "init", "--role", loader_role]) == 0
    before = shop.star.digest()
    url = as_role(shop.star, loader_role)
    code, _, err = run_command(shop, capsys, WAREHOUSE_URL=url)
    assert code == 1
    assert "main.py init" in err
    assert shop.star.digest() == before


def test_a_hostile_search_path_and_temporary_tables_mislead_nobody(
    postgresql_shop: Retailer, loader_role: str
) -> None:
    """Tables and functions of the names we use, found before ours by whoever does not look."""
    shop = postgresql_shop
    evil = f"evil_{uuid.uuid4().hex[:8]}"
    quoted = '"{}"'.format(loader_role.replace('"', '""'))
    shop.publish()
    functions = [
        f"CREATE FUNCTION {evil}.{signature} LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'misled'; END $$"
        for signature in (
            "pg_try_advisory_lock(integer, integer) RETURNS boolean",
            "round(numeric, integer) RETURNS numeric",
            "set_config(text, text, boolean) RETURNS text",
            "pg_backend_pid() RETURNS integer",
            "current_database() RETURNS name",
            "version() RETURNS text",
            "abs(numeric) RETURNS numeric",
            "pg_current_xact_id() RETURNS xid8",
        )
    ]
    shop.star.execute(
        f"CREATE SCHEMA {evil}",
        f"CREATE TABLE {evil}.fact_sales AS TABLE fact_sales",
        f"CREATE TABLE {evil}.etl_run AS TABLE etl_run",
        f"CREATE TABLE {evil}.pg_class (oid oid)",
        *functions,
        f"ALTER ROLE {quoted} SUPERUSER",
        f"ALTER ROLE {quoted} SET search_path = {evil}, pg_catalog",
    )

    @sa.event.listens_for(sa.engine.Engine, "connect")
    def plant(connection: Any, record: Any) -> None:
        if hasattr(connection, "autocommit"):  # of psycopg2
            with connection.cursor() as cursor:
                for table in ("fact_sales", "dim_customer", "etl_run", "stage_fact_sales"):
                    cursor.execute(f"CREATE TEMP TABLE {table} (x integer)")
            connection.commit()

    try:
        shop.sales[0]["quantity"] = "9"
        results = shop.publish(WAREHOUSE_URL=as_role(shop.star, loader_role))
    finally:
        sa.event.remove(sa.engine.Engine, "connect", plant)
        shop.star.execute(f"DROP SCHEMA {evil} CASCADE")
    assert results["fact_loading_results"]["records_updated"] == 1
    quantity = "SELECT quantity FROM fact_sales WHERE transaction_id = 'T1'"
    assert shop.star.scalar(quantity) == 9
    assert len(shop.star.runs()) == 2
