"""No password is told anywhere."""

from __future__ import annotations

import traceback
import uuid
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
import sqlalchemy as sa

from cli import main
from errors import EtlError
from load_dimensions import DimensionLoader
from main import StarSchemaETLPipeline
from support.commands import run_command
from support.retailer import Retailer
from support.star import Star
from support.tables import Row
from support.told import everything_told

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
    def broken(pipeline: StarSchemaETLPipeline, *_: object) -> None:
        raise AttributeError(f"{pipeline.config.warehouse_url!r} {pipeline.config!r}")

    patch.setattr(StarSchemaETLPipeline, "_run_fact_loading_phase", broken)


def _gone(shop: Retailer, patch: pytest.MonkeyPatch) -> None:
    """Its sessions are ended in the middle of each try."""
    real: Any = StarSchemaETLPipeline._run_fact_loading_phase  # noqa: SLF001 - it is public by name

    def ended(pipeline: StarSchemaETLPipeline, *given: Any) -> Any:
        shop.star.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            f"WHERE application_name LIKE 'star-etl {pipeline.run_id}%'"
        )
        return real(pipeline, *given)

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
    shown = [repr(config), str(config), f"{config.model_dump()}", repr(config.sources["customers"])]
    shown += [
        repr(vars(pipeline)),
        repr(config.warehouse_url),
        str(config.sources["customers"].path),
    ]

    def load() -> None:
        with DimensionLoader(config) as loader:
            loader.load_all_dimensions({})

    with pytest.raises(EtlError) as caught:
        load()
    shown += traceback.format_exception(caught.value)
    assert_secret("\n".join(shown))
