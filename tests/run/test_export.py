"""`export`: the star as Parquet files, read here as other tools read them."""

from __future__ import annotations

import errno
import gc
import json
import os
import signal
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as pa_dataset
import pyarrow.parquet as pq
import pytest

import schema
from common import folder_swap
from config import load_config
from errors import EtlError
from star import open_star
from support.commands import in_a_child, run_command, run_json
from support.disturbances import Gate
from support.processes import Warm
from support.retailer import Retailer
from support.star import Star
from support.stores import star_with_stores
from warehouse import parquet
from warehouse.export import export_star

FACTS = "read_parquet('{}/fact_sales/*/*.parquet', hive_partitioning = true)"
SHOWN = "transaction_id, product_key, quantity, net_amount, profit_amount, currency"


def export(shop: Retailer, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """Export into `out`; returns what was told."""
    code, out, err = run_command(shop, capsys, "export", str(shop.folder / "out"), *options)
    assert code == 0, err
    return out


def asked(sql: str, folder: Path) -> list[tuple[Any, ...]]:
    """What DuckDB finds in the files."""
    with duckdb.connect() as reader:
        return reader.execute(sql.replace("facts", FACTS).format(folder)).fetchall()


def state(folder: Path) -> dict[str, bytes]:
    """All files of a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def litter(shop: Retailer) -> list[str]:
    """What an export has left beside its folder."""
    return [path.name for path in shop.folder.iterdir() if "export" in path.name]


def two_years(shop: Retailer) -> Retailer:
    """The shop, with a sale of the year before."""
    shop.sales[0]["transaction_date"] = "2023-12-31"
    shop.publish()
    return shop


def test_the_files_hold_what_the_star_holds(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    two_years(shop)
    told = export(shop, capsys)
    out = shop.folder / "out"
    assert sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()) == [
        "_export.json", "dim_customer/part-0.parquet", "dim_date/part-0.parquet",
        "dim_product/part-0.parquet", "dim_sales_rep/part-0.parquet",
        "fact_sales/year=2023/part-0.parquet", "fact_sales/year=2024/part-0.parquet",
    ]  # fmt: skip
    assert asked(f"SELECT {SHOWN} FROM facts ORDER BY 1", out) == shop.star.rows(
        f"SELECT {SHOWN} FROM fact_sales ORDER BY 1"
    )
    assert asked("SELECT year, count(*) FROM facts GROUP BY 1 ORDER BY 1", out) == [
        (2023, 1), (2024, 2),
    ]  # fmt: skip
    for table in schema.STAR.dimensions:
        names = ", ".join(table.columns.keys())
        found = asked(f"SELECT {names} FROM '{{}}/{table.name}/*.parquet'", out)
        there = shop.star.rows(f"SELECT {names} FROM {table.name}")
        assert sorted(found, key=repr) == sorted(there, key=repr)
    assert "exported" in told
    assert "fact_sales" in told
    assert str(out) in told
    assert litter(shop) == []


def test_types_and_meanings_are_in_the_files(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    duckdb_shop.publish()
    export(duckdb_shop, capsys)
    out = duckdb_shop.folder / "out"
    facts = pq.read_schema(out / "fact_sales/year=2024/part-0.parquet")
    assert facts.field("net_amount").type == pa.decimal128(19, 4)
    assert facts.field("transaction_id").type == pa.string()
    assert b"gross_amount" in facts.field("net_amount").metadata[b"description"]
    days = pq.ParquetFile(out / "dim_date/part-0.parquet")
    assert days.schema_arrow.field("full_date").type == pa.date32()
    assert days.metadata.row_group(0).column(0).compression == "ZSTD"
    marker = json.loads((out / "_export.json").read_text())
    assert marker["rows"]["fact_sales"] == 3
    assert marker["run_id"] == duckdb_shop.star.runs()[-1][0]
    assert marker["years"]["2024"]["sums"]["net_amount"] == {"": "729.9725"}


def test_pyarrow_and_polars_read_the_years(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    import polars as pl

    two_years(shop)
    export(shop, capsys)
    facts = shop.folder / "out/fact_sales"
    total = shop.star.scalar("SELECT sum(net_amount) FROM fact_sales")
    table = pa_dataset.dataset(facts, partitioning="hive").to_table()
    assert sorted(table["year"].to_pylist()) == [2023, 2024, 2024]
    assert sum(table["net_amount"].to_pylist()) == total
    frame = pl.scan_parquet(f"{facts}/**/*.parquet", hive_partitioning=True).collect()
    assert (frame["net_amount"].sum(), sorted(frame["year"])) == (total, [2023, 2024, 2024])


def test_since_a_date_the_years_before_are_taken_over(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    two_years(shop)
    export(shop, capsys)
    out = shop.folder / "out"
    old, new = (out / f"fact_sales/year={year}/part-0.parquet" for year in (2023, 2024))
    before = (old.stat().st_ino, new.stat().st_ino)
    shop.sales[1]["quantity"] = "7"
    shop.sales.append({**shop.sales[0], "transaction_id": "T4", "transaction_date": "2025-01-02"})
    shop.publish()
    told = export(shop, capsys, "--since", "2024-06-30")
    assert "2024, 2025 written, of 2023 taken over" in told
    after = (old.stat().st_ino, new.stat().st_ino)
    assert (before[0] == after[0], before[1] == after[1]) == (True, False)
    assert asked(f"SELECT {SHOWN} FROM facts ORDER BY 1", out) == shop.star.rows(
        f"SELECT {SHOWN} FROM fact_sales ORDER BY 1"
    )


@pytest.mark.parametrize("change", ["corrected", "removed", "damaged", "of another version"])
def test_a_year_that_has_changed_is_written_again_whatever_is_said(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str], change: str
) -> None:
    """Its rows and sums may be the same: a sale that has another customer now."""
    shop = two_years(duckdb_shop)
    export(shop, capsys)
    out = shop.folder / "out"
    if change == "corrected":
        shop.sales[0]["customer_id"] = "C2"
    elif change == "removed":
        shop.sales[0]["is_deleted"] = "yes"
    elif change == "damaged":
        (out / "fact_sales/year=2023/part-0.parquet").write_bytes(b"PAR1")
    else:
        marker = json.loads((out / "_export.json").read_text())
        (out / "_export.json").write_text(json.dumps({**marker, "version": "0.1.0"}))
    shop.publish_in_full()
    told = export(shop, capsys, "--since", "2024-01-01")
    assert ("written again" in told or "all years were written" in told) == (change != "removed")
    assert ("no sales of 2023 any more" in told) == (change == "removed")
    assert asked("SELECT transaction_id, customer_key FROM facts ORDER BY 1", out) == (
        shop.star.rows("SELECT transaction_id, customer_key FROM fact_sales ORDER BY 1")
    )


def test_without_an_earlier_export_all_years_are_written(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    two_years(duckdb_shop)
    told = export(duckdb_shop, capsys, "--since", "2024-01-01")
    assert "no earlier export is there: all years were written" in told
    assert asked("SELECT count(*) FROM facts", duckdb_shop.folder / "out") == [(3,)]


@pytest.mark.parametrize("since", ["2999-01-01", "01.02.2024", "2024-13-01", "soon"])
def test_a_date_that_is_none_is_refused(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str], since: str
) -> None:
    duckdb_shop.publish()
    out = duckdb_shop.folder / "out"
    code, _, err = run_command(duckdb_shop, capsys, "export", "--since", since, str(out))
    assert (code, out.exists()) == (2, False)
    assert since in err


def _notes(out: Path) -> None:
    (out / "notes.txt").write_text("mine")


def _inside(out: Path) -> None:
    (out / "fact_sales/year=2024/mine.parquet").write_text("mine")


def _link(out: Path) -> None:
    (out / "dim_date/part-0.parquet").unlink()
    (out / "dim_date/part-0.parquet").symlink_to("/etc/hostname")


def _unmarked(out: Path) -> None:
    (out / "_export.json").unlink()


def _other_marker(out: Path) -> None:
    (out / "_export.json").write_text('{"made_by": "somebody"}')


def _broken_marker(out: Path) -> None:
    marker = json.loads((out / "_export.json").read_text())
    (out / "_export.json").write_text(json.dumps({**marker, "rows": None}))


@pytest.mark.parametrize(
    "change", [_notes, _inside, _link, _unmarked, _other_marker, _broken_marker]
)
def test_a_folder_with_anything_else_in_it_is_refused(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str], change: Callable[[Path], None]
) -> None:
    duckdb_shop.publish()
    export(duckdb_shop, capsys)
    out = duckdb_shop.folder / "out"
    change(out)
    before = state(out)
    code, _, err = run_command(duckdb_shop, capsys, "export", str(out))
    assert code == 2
    assert "takes the whole folder" in " ".join(err.split())
    assert state(out) == before
    assert litter(duckdb_shop) == []


def test_a_file_is_no_folder_and_an_empty_folder_is_taken(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    duckdb_shop.publish()
    out = duckdb_shop.folder / "out"
    out.write_text("mine")
    code, _, err = run_command(duckdb_shop, capsys, "export", str(out))
    assert (code, out.read_text()) == (2, "mine"), err
    out.unlink()
    out.mkdir()
    export(duckdb_shop, capsys)
    assert (out / "_export.json").exists()


def test_a_link_of_ours_is_followed(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    duckdb_shop.publish()
    (tmp_path / "elsewhere").mkdir()
    (duckdb_shop.folder / "out").symlink_to(tmp_path / "elsewhere/star")
    for _ in range(2):
        export(duckdb_shop, capsys)
        assert (duckdb_shop.folder / "out").is_symlink()
        assert [p.name for p in (tmp_path / "elsewhere").iterdir()] == ["star"]
    assert (tmp_path / "elsewhere/star/_export.json").exists()


def test_a_link_that_leads_nowhere_is_refused(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    (duckdb_shop.folder / "out").symlink_to("out")
    code, _, err = run_command(duckdb_shop, capsys, "export", str(duckdb_shop.folder / "out"))
    assert code == 2
    assert "leads nowhere" in err


def test_sales_of_no_known_year_are_told_and_read(
    duckdb_shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = two_years(duckdb_shop)
    export(shop, capsys)
    shop.star.execute("UPDATE fact_sales SET date_key = -1 WHERE transaction_id = 'T2'")
    told = export(shop, capsys, "--since", "2025-01-01")
    assert "sales of 2024, no known year written, of 2023 taken over" in told
    years = asked("SELECT year, count(*) FROM facts GROUP BY 1 ORDER BY 1", shop.folder / "out")
    assert years == [(2023, 1), (2024, 1), (None, 1)]


def test_from_python_the_day_may_be_a_date(duckdb_shop: Retailer) -> None:
    shop = two_years(duckdb_shop)
    star = open_star(shop.config())
    out = star.export(shop.folder / "out")
    old = out / "fact_sales/year=2023/part-0.parquet"
    before = old.stat().st_ino
    for since in ("2024-01-01", date(2024, 1, 1), datetime(2024, 1, 1, 12, tzinfo=UTC)):
        star.export(out, since)
        assert old.stat().st_ino == before


def test_an_empty_star_can_be_read(shop: Retailer, capsys: pytest.CaptureFixture[str]) -> None:
    shop.files["transactions"] = (
        "transaction_id,transaction_date,customer_id,product_id,quantity,unit_price\n"
    )
    shop.publish()
    for _ in range(2):
        export(shop, capsys)
        assert asked("SELECT sum(net_amount) FROM facts", shop.folder / "out") == [(None,)]


def test_without_a_star_nothing_is_made(shop: Retailer, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run_command(shop, capsys, "export", str(shop.folder / "out"))
    assert code == 1
    assert "there is no star yet" in err
    assert not (shop.folder / "out").exists()
    assert litter(shop) == []


def test_amounts_of_several_currencies_have_sums_of_their_own(
    shop: Retailer, capsys: pytest.CaptureFixture[str]
) -> None:
    for sale, currency in zip(shop.sales, ["EUR", "USD", "CHF"], strict=True):
        sale["currency"] = currency
    shop.publish()
    export(shop, capsys)
    marker = json.loads((shop.folder / "out/_export.json").read_text())
    assert marker["years"]["2024"]["sums"]["net_amount"] == {
        "CHF": "60", "EUR": "500", "USD": "169.9725",
    }  # fmt: skip


def test_a_star_with_more_has_more_files(shop: Retailer, tmp_path: Path) -> None:
    star = star_with_stores()
    (tmp_path / "stores.csv").write_text("store_id,city\nS1,Rome\n")
    for sale in shop.sales:
        sale |= {"store_id": "S1", "tax_amount": "1.5"}
    settings = shop.settings(STORES__PATH=tmp_path / "stores.csv")
    config = load_config(None, settings, star)
    from main import StarSchemaETLPipeline

    assert StarSchemaETLPipeline(config, quiet=True).run_full_pipeline()["success"]
    out = tmp_path / "out"
    assert export_star(config, out).rows["dim_store"] == 2
    assert asked("SELECT sum(tax_amount) FROM facts", out) == [(Decimal("4.5"),)]
    opened = open_star(config)
    assert opened.dim_store.df().city.dropna().tolist() == ["Rome"]
    by_store = opened.sales(by=["city" if "city" in opened.sales().df() else "store_city"]).df()
    assert by_store.tax_amount.tolist() == [Decimal("4.5")]


def test_the_export_is_of_one_run_however_late_it_is_read(
    postgresql_shop: Retailer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that publishes in the middle of it is not in it at all."""
    shop = two_years(postgresql_shop)
    before = shop.star.scalar("SELECT sum(net_amount) FROM fact_sales")
    config = shop.config()
    usual, done = parquet.ParquetFile.write, list[int]()

    def publishing(file: Any, piece: pa.Table) -> None:
        if not done:
            done.append(1)
            shop.sales[2]["quantity"] = "50"
            shop.sales.append({**shop.sales[0], "transaction_id": "T9"})
            shop.customers[0]["first_name"] = "Augusta"
            shop.publish()
        usual(file, piece)

    monkeypatch.setattr(parquet.ParquetFile, "write", publishing)
    export_star(config, shop.folder / "out")
    assert shop.star.scalar("SELECT sum(net_amount) FROM fact_sales") != before
    out = shop.folder / "out"
    assert asked("SELECT sum(net_amount), count(*) FROM facts", out) == [(before, 3)]
    names = asked(
        "SELECT first_name FROM '{}/dim_customer/*.parquet' WHERE customer_id = 'C1'", out
    )
    assert names == [("Ada",)]


STEPS = ["_written", "_write", "share_as"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("step", STEPS)
def test_an_interrupted_export_leaves_the_one_before(
    shop: Retailer, warm: Warm, capsys: pytest.CaptureFixture[str], step: str, number: int
) -> None:
    shop.publish()
    export(shop, capsys)
    out = shop.folder / "out"
    before = state(out)
    shop.sales[0]["quantity"] = "70"
    shop.publish()
    gate = Gate(shop.folder)
    run = warm.start(
        shop.folder, "export_pausing", shop.env_file(), step, str(gate), "export", str(out)
    )
    gate.wait()
    assert state(out) == before
    run.send(number)
    assert run.wait() == 128 + number, run.stderr
    assert state(out) == before
    assert litter(shop) == []
    assert "Traceback" not in run.stderr


def test_what_a_killed_export_left_is_removed_by_the_next(
    duckdb_shop: Retailer, warm: Warm, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = duckdb_shop
    shop.publish()
    export(shop, capsys)
    out = shop.folder / "out"
    before = state(out)
    gate = Gate(shop.folder)
    options = ("export_pausing", shop.env_file(), "_write", str(gate), "export", str(out))
    run = warm.start(shop.folder, *options)
    gate.wait()
    other = run_command(shop, capsys, "export", str(out))
    assert other[0] == 4
    assert "another export writes into" in other[2]
    run.send(signal.SIGKILL)
    run.wait()
    assert state(out) == before
    assert litter(shop) != []
    export(shop, capsys)
    assert litter(shop) == []


@pytest.mark.parametrize("cut", [False, True], ids=["done", "cut in the middle"])
def test_where_folders_cannot_change_places_they_are_renamed(
    duckdb_shop: Retailer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    cut: bool,
) -> None:
    """A crash between the two renames is mended by the next export."""
    shop = duckdb_shop
    shop.publish()
    export(shop, capsys)
    out = shop.folder / "out"
    monkeypatch.setattr(folder_swap, "_exchanged", lambda *_: False)
    if cut:
        out.rename(shop.folder / ".out.export-old")
        (shop.folder / ".out.export-new").mkdir()
    shop.sales[0]["quantity"] = "70"
    shop.publish()
    export(shop, capsys)
    assert asked("SELECT sum(quantity) FROM facts", out) == [(Decimal(74),)]
    assert litter(shop) == []


def test_folders_change_places_in_one_step_here(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    (one / "file").touch()
    other.mkdir()
    assert folder_swap._exchanged(one, other)  # noqa: SLF001
    assert ((other / "file").exists(), (one / "file").exists()) == (True, False)


def test_a_full_disk_leaves_the_export_before(duckdb_shop: Retailer) -> None:
    shop = duckdb_shop
    shop.publish()
    out = shop.folder / "out"
    assert in_a_child("--env-file", shop.env_file(), "export", str(out)).code == 0
    before = state(out)
    ended = in_a_child("--env-file", shop.env_file(), "export", str(out), file_bytes=3000)
    assert ended.code == 1
    assert "the export into" in ended.err
    assert os.strerror(errno.EFBIG) in ended.err
    assert state(out) == before
    assert litter(shop) == []


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_a_value_that_is_too_large_for_its_type_is_named(shop: Retailer) -> None:
    """Somebody has widened a column; nothing is written when the file is forgotten."""
    two_years(shop)
    before = state(open_star(shop.config()).export(shop.folder / "out"))
    shop.star.execute(
        "ALTER TABLE fact_sales ALTER COLUMN quantity TYPE NUMERIC(30, 10)",
        "UPDATE fact_sales SET quantity = 1.0000000001",
    )
    with pytest.raises(EtlError, match=r"fact_sales\.quantity has a value"):
        open_star(shop.config()).export(shop.folder / "out")
    gc.collect()
    assert state(shop.folder / "out") == before


def test_a_file_that_lost_a_row_is_noticed(
    duckdb_shop: Retailer, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = duckdb_shop
    shop.publish()
    usual = parquet.ParquetFile.write
    monkeypatch.setattr(
        parquet.ParquetFile, "write", lambda file, piece: usual(file, piece.slice(1))
    )
    with pytest.raises(EtlError, match="not the rows and sums"):
        export_star(shop.config(), shop.folder / "out")
    assert not (shop.folder / "out").exists()
    assert litter(shop) == []


def test_files_are_private_and_sharing_one_lasts(
    duckdb_shop: Retailer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From Python, too, where nobody has set a umask."""
    shop = duckdb_shop
    shop.publish()
    out = shop.folder / "out"
    before = os.umask(0)
    try:
        open_star(shop.config()).export(out)
        assert {p.stat().st_mode & 0o077 for p in [out, *out.rglob("*")]} == {0}
        out.chmod(0o750)
        open_star(shop.config()).export(str(out), since="2024-01-01")
    finally:
        os.umask(before)
    kinds = {(p.is_dir(), p.stat().st_mode & 0o777) for p in [out, *out.rglob("*")]}
    assert kinds == {(True, 0o750), (False, 0o640)}


def test_it_can_be_told_as_json(shop: Retailer, capsys: pytest.CaptureFixture[str]) -> None:
    two_years(shop)
    out = shop.folder / "out"
    code, told, _ = run_json(shop, capsys, "export", str(out))
    assert code == 0
    assert told["rows"]["fact_sales"] == 3
    assert told["years"] == {"written": ["2023", "2024"], "kept": []}
    assert (told["success"], told["exit_code"], told["run_id"]) == (
        True, 0, shop.star.runs()[-1][0],
    )  # fmt: skip


def test_a_run_can_begin_right_after(duckdb_shop: Retailer) -> None:
    duckdb_shop.publish()
    star = open_star(duckdb_shop.config())
    star.export(duckdb_shop.folder / "out")
    duckdb_shop.publish_in_full()
    assert star.dates.df().full_date[0] == date(2024, 1, 1)


def test_a_star_of_an_earlier_version_is_written_as_it_is(shop: Retailer) -> None:
    shop.star.restore("0.1.0")
    done = export_star(shop.config(), shop.folder / "out")
    assert done.rows["fact_sales"] == shop.star.scalar("SELECT count(*) FROM fact_sales")


def test_a_disk_of_its_own_is_refused(duckdb_shop: Retailer, duckdb_star: Star) -> None:
    duckdb_shop.publish()
    ended = in_a_child("--env-file", duckdb_shop.env_file(), "export", "/proc")
    assert ended.code == 2
    assert "a disk of its own" in ended.err
