"""Zip and tar archives as sources: their members, which are wanted, and what is wrong with them."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import tarfile
import zipfile
from collections.abc import Callable
from itertools import starmap
from pathlib import Path

import pyarrow as pa
import pytest

from support.formats import BY_SUFFIX, csv_text, json_lines
from support.retailer import Retailer, counts
from support.summary import surprises

IDS = "SELECT transaction_id FROM fact_sales ORDER BY 1"


def zstd(content: bytes) -> bytes:
    return bytes(pa.compress(content, codec="zstd", asbytes=True))


COMPRESSED: dict[str, Callable[[bytes], bytes]] = {
    ".tar": bytes,
    ".tar.gz": gzip.compress,
    ".tgz": gzip.compress,
    ".tar.bz2": bz2.compress,
    ".TAR.XZ": lzma.compress,
    ".tar.zst": zstd,
    ".dat": gzip.compress,
}


def entry(name: str, content: bytes = b"", **changed: object) -> tuple[tarfile.TarInfo, bytes]:
    """A member of a tar archive."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for attribute, value in changed.items():
        setattr(info, attribute, value)
    return info, content


def tarred(*entries: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar archive."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as archive:
        for info, content in entries:
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def zipped(*entries: tuple[str, bytes]) -> bytes:
    """A zip archive."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return file.getvalue()


def write(shop: Retailer, name: str, content: bytes) -> Path:
    path = shop.folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


def fault(shop: Retailer, path: object) -> str:
    """Why the sales cannot be read; the message names the archive."""
    (error,) = shop.run(TRANSACTIONS__PATH=path)["errors"]
    return str(error)


@pytest.mark.parametrize("suffix", COMPRESSED)
def test_the_members_of_a_tar_archive_are_files(suffix: str, duckdb_shop: Retailer) -> None:
    shop = duckdb_shop
    first, second, third = shop.sales
    content = tarred(
        entry("./day", type=tarfile.DIRTYPE),
        entry("./day/a.csv", csv_text([first])),
        entry("./day/b.jsonl", json_lines([second])),
        entry("c.csv.gz", gzip.compress(csv_text([third]))),
    )
    path = write(shop, f"sales{suffix}", COMPRESSED[suffix](content))
    assert surprises(shop.publish(TRANSACTIONS__PATH=path)) == []
    assert shop.star.column(IDS) == ["T1", "T2", "T3"]
    assert list(shop.folder.glob("work/*")) == []


@pytest.mark.parametrize("form", BY_SUFFIX)
def test_members_are_read_in_every_format(form: str, duckdb_shop: Retailer) -> None:
    shop = duckdb_shop
    content = BY_SUFFIX[form](shop.sales)
    in_tar = write(shop, "sales.tar.gz", gzip.compress(tarred(entry(f"a.{form}", content))))
    shop.publish(TRANSACTIONS__PATH=in_tar)
    assert shop.star.column(IDS) == ["T1", "T2", "T3"]
    in_zip = write(shop, "sales.zip", zipped((f"a.{form}", content)))
    assert counts(shop.publish(TRANSACTIONS__PATH=in_zip), "fact_sales") == (0, 0, 3)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_tar_archive_of_every_dialect_is_read(form: int, duckdb_shop: Retailer) -> None:
    name = "/".join(["a-folder-with-a-long-name"] * 6)
    content = tarred(entry(f"{name}/sales.csv", csv_text(duckdb_shop.sales)), form=form)
    duckdb_shop.publish(TRANSACTIONS__PATH=write(duckdb_shop, "sales.tar", content))
    assert duckdb_shop.star.column(IDS) == ["T1", "T2", "T3"]


@pytest.mark.parametrize("form", ["zip", "tar", "tgz"])
@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*", ["T1", "T2", "T3"]),
        ("orders*.csv", ["T1", "T2"]),
        ("2024/*.csv", ["T2"]),
        ("in/**/orders*", ["T1", "T2"]),
        ("**/2024/**", ["T2"]),
        ("in/others [1].csv", ["T3"]),
    ],
)
def test_some_members_are_named_behind_an_exclamation_mark(
    pattern: str, expected: list[str], form: str, duckdb_shop: Retailer
) -> None:
    shop = duckdb_shop
    first, second, third = (csv_text([sale]) for sale in shop.sales)
    named = {
        "in/orders.csv": first,
        "in/2024/orders_1.csv": second,
        "in/others [1].csv": third,
        "in/README": b"about",
    }
    if form == "zip":
        content = zipped(*named.items())
    else:
        content = tarred(*(entry(name, member) for name, member in named.items()))
    path = write(shop, f"all.{form}", gzip.compress(content) if form == "tgz" else content)
    shop.publish(TRANSACTIONS__PATH=f"{path}!{pattern}")
    assert shop.star.column(IDS) == expected


@pytest.mark.parametrize("form", ["zip", "tar"])
def test_a_pattern_of_archives_has_a_pattern_of_members(form: str, duckdb_shop: Retailer) -> None:
    shop = duckdb_shop
    for day, sale in enumerate(shop.sales, 9):
        named = {"orders.csv": csv_text([sale]), "customers.csv": b"customer_id\nC1\n"}
        pack = zipped(*named.items()) if form == "zip" else tarred(*starmap(entry, named.items()))
        write(shop, f"in/day-{day}.{form}", pack)
    results = shop.publish(TRANSACTIONS__PATH=f"{shop.folder}/in/*.{form}!orders.csv")
    assert surprises(results) == []
    assert shop.star.column(IDS) == ["T1", "T2", "T3"]
    write(
        shop, f"in/day-20.{form}", zipped(("x.csv", b"a")) if form == "zip" else tarred(entry("x"))
    )
    told = fault(shop, f"{shop.folder}/in/*.{form}!orders.csv")
    assert f"day-20.{form}: no file in it matches orders.csv; it has x" in told


@pytest.mark.parametrize("form", ["zip", "tar"])
def test_members_are_read_in_natural_order(form: str, duckdb_shop: Retailer) -> None:
    """It decides which of several rows of one sale is the last."""
    shop, names = duckdb_shop, [f"part-{number}.csv" for number in (10, 9, 1)]
    members = {
        name: csv_text([{**shop.sales[0], "quantity": str(10 - place)}])
        for place, name in enumerate(names)
    }
    content = (
        zipped(*members.items())
        if form == "zip"
        else tarred(*(entry(name, member) for name, member in members.items()))
    )
    shop.publish(TRANSACTIONS__PATH=write(shop, f"parts.{form}", content))
    assert shop.star.column("SELECT quantity FROM fact_sales") == [10]


def test_folders_in_an_archive_name_columns(duckdb_shop: Retailer) -> None:
    shop = duckdb_shop
    rows = [{k: v for k, v in s.items() if k != "sales_rep_id"} for s in shop.sales]
    named = "sales_rep_id=grace_hopper/part-0"
    for form in ("csv", "jsonl"):
        content = tarred(entry("_SUCCESS"), entry(f"{named}.{form}", BY_SUFFIX[form](rows)))
        results = shop.publish(TRANSACTIONS__PATH=write(shop, f"{form}.tar", content))
        assert "_SUCCESS (no table)" in results["warnings"][0]
        reps = (
            "SELECT DISTINCT sales_rep_id FROM fact_sales JOIN dim_sales_rep USING (sales_rep_key)"
        )
        assert shop.star.column(reps) == ["grace_hopper"]


def test_of_two_members_with_one_name_the_last_is_there(duckdb_shop: Retailer) -> None:
    shop = duckdb_shop
    old = csv_text([{**shop.sales[0], "quantity": "1"}])
    path = write(shop, "s.tar", tarred(entry("s.csv", old), entry("s.csv", csv_text(shop.sales))))
    assert counts(shop.publish(TRANSACTIONS__PATH=path), "fact_sales") == (3, 0, 0)


# --- what is never followed, and what is wrong ----------------------------------------------


def test_links_and_paths_in_a_tar_archive_are_not_followed(duckdb_shop: Retailer) -> None:
    shop = duckdb_shop
    secret = write(shop, "secret.csv", csv_text(shop.sales[2:]))
    content = tarred(
        entry("soft.csv", type=tarfile.SYMTYPE, linkname=str(secret)),
        entry("hard.csv", type=tarfile.LNKTYPE, linkname="../secret.csv"),
        entry("._one.csv", b"of macOS"),
        entry(".three.csv", csv_text(shop.sales[2:])),
        entry("device.csv", type=tarfile.CHRTYPE),
        entry("../../etc/one.csv", csv_text(shop.sales[:1])),
        entry("/etc/two.csv", csv_text(shop.sales[1:2])),
    )
    results = shop.publish(TRANSACTIONS__PATH=write(shop, "sales.tar", content))
    assert shop.star.column(IDS) == ["T1", "T2"]
    (told,) = surprises(results)
    assert ".three.csv (hidden)" in told
    assert "._one" not in told
    assert "soft.csv (a link)" in told
    assert "hard.csv (a link)" in told


def test_a_bomb_in_a_tar_archive_is_refused(duckdb_shop: Retailer) -> None:
    blank = bz2.compress(b"\0" * (32 << 20))
    path = write(duckdb_shop, "sales.tar.bz2", bz2.compress(tarred(entry("a.csv"))) + blank * 9)
    assert "the limit for a compressed source" in fault(duckdb_shop, path)


def sales_tar(shop: Retailer) -> bytes:
    return tarred(*(entry(f"{n}.csv", csv_text([s]) * 9) for n, s in enumerate(shop.sales)))


@pytest.mark.parametrize(
    ("name", "damage", "words"),
    [
        ("s.tar", lambda tar: tar[:700], "a damaged or cut off tar archive; fetch it again"),
        ("s.tar", lambda tar: tar[: tar.index(b"1.csv")], "a damaged or cut off tar archive"),
        ("s.tar", lambda tar: tar.replace(b"1.csv", b"1.cs\0"), "a damaged or cut off tar archive"),
        ("s.tar", lambda tar: tar + tar, "several tar archives, one after the other"),
        ("s.tar", lambda tar: b"a,b\n1,2\n" * 99, "a damaged or cut off tar archive"),
        ("s.tar.gz", lambda tar: gzip.compress(tar)[:-30], "damaged or cut off"),
        ("s.tar.xz", lambda tar: lzma.compress(os.urandom(9000))[:-30], "damaged or cut off"),
        ("s.tgz", lambda tar: gzip.compress(tarred()), "the archive holds no files"),
        ("s.zip", lambda tar: zipped(("a/.b.csv", b"x")), "the archive holds no files"),
    ],
)
def test_a_damaged_archive_is_told(
    name: str, damage: Callable[[bytes], bytes], words: str, duckdb_shop: Retailer
) -> None:
    path = write(duckdb_shop, name, damage(sales_tar(duckdb_shop)))
    told = fault(duckdb_shop, path)
    assert f"{path}: " in told
    assert words in told


@pytest.mark.parametrize("inner", ["more.zip", "more.tar.gz", "more.TGZ", "more.7z"])
@pytest.mark.parametrize("form", ["zip", "tar"])
def test_an_archive_inside_an_archive_is_told(inner: str, form: str, duckdb_shop: Retailer) -> None:
    sales = csv_text(duckdb_shop.sales)
    content = (
        zipped((inner, b"PK"), ("a.csv", sales))
        if form == "zip"
        else tarred(entry(inner, b"PK"), entry("a.csv", sales))
    )
    path = write(duckdb_shop, f"outer.{form}", content)
    assert f"{path}!{inner}: an archive inside another one" in fault(duckdb_shop, path)
    duckdb_shop.publish(TRANSACTIONS__PATH=f"{path}!*.csv")


def test_an_encrypted_member_is_told(duckdb_shop: Retailer) -> None:
    content = zipped(("sales.csv", csv_text(duckdb_shop.sales)))
    for mark in (b"PK\x03\x04", b"PK\x01\x02"):  # the flag is in both headers
        place = content.index(mark) + (6 if mark[2] == 3 else 8)
        content = content[:place] + bytes([content[place] | 1]) + content[place + 1 :]
    path = write(duckdb_shop, "sales.zip", content)
    assert f"{path}!sales.csv: it is encrypted; unpack the archive yourself" in fault(
        duckdb_shop, path
    )


def test_a_pattern_of_members_needs_an_archive(duckdb_shop: Retailer) -> None:
    path = write(duckdb_shop, "sales.zip", csv_text(duckdb_shop.sales))
    told = fault(duckdb_shop, f"{path}!*.csv")
    assert f"{path}: it is no zip or tar archive, so nothing in it is *.csv" in told


def test_an_archive_is_read_again_where_it_has_not_changed(duckdb_shop: Retailer) -> None:
    shop = duckdb_shop
    path = write(shop, "sales.tgz", gzip.compress(sales_tar(shop)))
    for _ in range(2):
        results = shop.publish(TRANSACTIONS__PATH=path)
    assert counts(results, "fact_sales") == (0, 0, 3)
    assert json.dumps(results)
