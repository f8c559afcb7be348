"""Lines that are not in the declared encoding are rejects; files that are not are refused, with
the encoding that fits.
"""

from __future__ import annotations

import csv
import io
import json

import pytest

from support.retailer import Retailer
from support.tables import Row, to_csv

JAPANESE = "山田,太郎,東京都\n鈴木,花子,大阪府ソフトウェア表\n"
CHINESE = "张伟,北京市,海淀区\n李娜,上海市,浦东新区\n"
KOREAN = "김철수,서울특별시,강남구\n이영희,부산광역시,대구\n"
TAIWANESE = "王小明,台北市,信義區\n陳美麗,高雄市,左營區\n"
RUSSIAN = "Иван,Петров,Москва\nМария,Сидорова,Казань\n"  # noqa: RUF001
FRENCH = "Renée,Lefèvre,Zürich\nFrançois,Müller,Køge\n"
POLISH = "Łukasz,Wiśniewski,Łódź\nJiří,Dvořák,Plzeň\n"


@pytest.mark.parametrize(
    ("text", "encoding", "advised"),
    [
        (JAPANESE, "shift_jis", "__ENCODING=cp932,"),
        (CHINESE, "gb18030", "__ENCODING=gb18030,"),
        (KOREAN, "euc-kr", "__ENCODING=cp949,"),
        (TAIWANESE, "big5", "__ENCODING=big5,"),
        (RUSSIAN, "cp1251", "__ENCODING=cp1251,"),
        (FRENCH, "cp1252", "none is certain"),
        (POLISH, "cp1250", "none is certain"),
        (FRENCH, "utf-16-le", "utf-16-le"),
        (FRENCH, "utf-16-be", "utf-16-be"),
    ],
)
def test_the_advised_encoding_is_the_one_of_the_bytes_seen(
    text: str, encoding: str, advised: str, duckdb_shop: Retailer
) -> None:
    duckdb_shop.files["customers"] = ("customer_id,first_name,city\n" + text).encode(encoding)
    (error,) = duckdb_shop.run()["errors"]
    assert advised in error
    assert "latin" not in error


def with_bad_line(text: str, encoding: str, bad: bytes) -> bytes:
    """`text` in an encoding, with bad bytes where it says BAD."""
    mark = "BAD".encode(encoding).removeprefix("".encode(encoding))
    return text.encode(encoding).replace(mark, bad)


ENCODED = [
    ("utf-8", "Zoë", b"\xe9"),
    ("utf-8", "Zoë", b"\xe2\x82"),  # half a character, then a delimiter
    ("cp1252", "Zoë", b"\x81"),
    ("shift_jis", "ソフト表", b"\xff"),  # the second byte of these is a backslash
    ("gb18030", "张伟", b"\xff"),
    ("euc-kr", "김철수", b"\xff"),
    ("big5", "許功蓋", b"\xff"),
    ("utf-16", "Zoë", b"\x00\xd8"),
    ("utf-16-be", "Zoë", b"\xd8\x00"),
]


@pytest.mark.parametrize(("encoding", "name", "bad"), ENCODED)
@pytest.mark.parametrize("batch_rows", [1, 100_000])
def test_one_undecodable_line_of_csv_is_a_reject(
    encoding: str, name: str, bad: bytes, batch_rows: int, duckdb_shop: Retailer
) -> None:
    text = f'customer_id,company\nC1,{name}\nC2,BAD,\n\nC3,"{name}\n""BAD"""\nC4,"{name}\nx"\n'
    duckdb_shop.files["customers"] = with_bad_line(text, encoding, bad) + (
        f"C5,{name}\nC6,{name}\n".encode(encoding).removeprefix("".encode(encoding))
    )
    settings = {"CUSTOMERS__ENCODING": encoding, "BATCH_ROWS": batch_rows}
    results = duckdb_shop.publish_in_full(**settings)
    assert companies(duckdb_shop) == {
        "C1": name, "C4": f"{name}\nx", "C5": name, "C6": name,
    }  # fmt: skip
    shown = "".join(f"\\x{byte:02x}" for byte in bad)
    first, second = rejects_of(duckdb_shop, results, encoding)
    assert (first["_line"], first["_reason"]) == ("3", "invalid_text")
    assert first["_raw"] == f"C2,{shown},"
    assert (second["_line"], second["_reason"]) == ("5", "invalid_text")
    assert second["_raw"] == f'C3,"{name}\n""{shown}"""'
    assert f"bytes that are not {encoding}" in first["_detail"]
    accounts = results["validation_results"]["reconciliation"]["sources"]
    assert accounts["customers"]["closed"]
    assert accounts["customers"]["read"] == 6


def companies(shop: Retailer) -> Row:
    """The described customers and what their companies are called."""
    return dict(
        shop.star.rows(
            "SELECT customer_id, company FROM dim_customer WHERE customer_key > 0 "
            "AND NOT is_inferred"
        )
    )


def rejects_of(shop: Retailer, results: Row, encoding: str) -> list[Row]:
    """The rejected customers, read in the encoding of the source."""
    path = shop.folder / "rejects" / results["run_id"] / "customers.csv"
    text = path.read_bytes().decode(encoding)
    rows = csv.DictReader(io.StringIO(text, newline=""))
    return sorted(rows, key=lambda row: int(row["_line"]))


@pytest.mark.parametrize(("encoding", "name", "bad"), ENCODED)
@pytest.mark.parametrize("form", ["lines", "array"])
def test_one_undecodable_record_of_json_is_a_reject(
    encoding: str, name: str, bad: bytes, form: str, duckdb_shop: Retailer
) -> None:
    rows = [
        {"customer_id": "C1", "company": name},
        {"customer_id": "C2", "company": "BAD"},
        {"customer_id": "C3", "company": name},
        {"customer_id": "C4", "company": name},
    ]
    written = [json.dumps(row, ensure_ascii=False) for row in rows]
    text = "\n".join(written) if form == "lines" else f"[{', '.join(written)}]"
    path = duckdb_shop.folder / "customers.json"
    path.write_bytes(with_bad_line(text, encoding, bad))
    settings = {"CUSTOMERS__PATH": path, "CUSTOMERS__ENCODING": encoding}
    results = duckdb_shop.publish_in_full(**settings)
    assert companies(duckdb_shop) == {"C1": name, "C3": name, "C4": name}
    (reject,) = rejects_of(duckdb_shop, results, encoding)
    assert (reject["_line"], reject["_reason"]) == ("2", "invalid_text")
    assert "".join(f"\\x{byte:02x}" for byte in bad) in reject["_raw"]


def test_an_undecodable_sale_is_a_reject_on_both_engines(shop: Retailer) -> None:
    lines = to_csv(shop.sales).encode().splitlines(keepends=True)
    shop.files["transactions"] = b"".join([*lines, lines[1].replace(b"T1", b"T9\xe9")])
    results = shop.publish_in_full()
    assert shop.star.scalar("SELECT count(*) FROM fact_sales") == 3
    (reject,) = shop.rejects(results, "transactions")
    assert (reject["_line"], reject["_reason"]) == ("5", "invalid_text")
    assert reject["_raw"].startswith("T9\\xe9,2024")


@pytest.mark.parametrize(
    ("encoding", "name"), [("utf-8", "Zoë"), ("shift_jis", "表"), ("utf-16-le", "Zoë")]
)
def test_a_file_cut_off_inside_a_character_loses_its_last_line_alone(
    encoding: str, name: str, duckdb_shop: Retailer
) -> None:
    whole = f"customer_id,company\nC1,{name}\nC2,{name}".encode(encoding)
    duckdb_shop.files["customers"] = whole[:-1]
    results = duckdb_shop.publish_in_full(CUSTOMERS__ENCODING=encoding)
    assert companies(duckdb_shop) == {"C1": name}
    (reject,) = rejects_of(duckdb_shop, results, encoding)
    assert (reject["_line"], reject["_reason"]) == ("3", "invalid_text")


def test_a_byte_too_many_in_utf_16_is_no_single_line(duckdb_shop: Retailer) -> None:
    """All behind it is shifted, and its line breaks are none: the lines would be lost."""
    lines = "".join(f"C{number},Zoë\n" for number in range(50)).encode("utf-16-le")
    header = "customer_id,company\n".encode("utf-16-le")
    duckdb_shop.files["customers"] = header + b"\n" + lines
    (error,) = duckdb_shop.run(CUSTOMERS__ENCODING="utf-16-le")["errors"]
    assert "is not valid utf-16-le" in error


def test_the_code_point_of_our_marks_is_no_text(duckdb_shop: Retailer) -> None:
    duckdb_shop.files["customers"] = "customer_id,company\nC1,a\nC2,\ufdd1ff\n"
    results = duckdb_shop.publish_in_full()
    assert companies(duckdb_shop) == {"C1": "a"}
    (reject,) = duckdb_shop.rejects(results, "customers")
    assert reject["_raw"] == r"C2,\xef\xb7\x91ff"


@pytest.mark.parametrize(
    ("good", "bad", "is_refused"),
    [(0, 2, True), (1, 1, False), (3, 2, False), (30, 20, False), (19, 20, True)],
)
def test_a_file_has_another_encoding_when_most_lines_beyond_ascii_are_not_in_it(
    good: int, bad: int, is_refused: bool, duckdb_shop: Retailer
) -> None:
    right = [f"G{number},Zoë" for number in range(good)]
    wrong = [f"B{number},Lefèvre" for number in range(bad)]
    data = "\n".join(["customer_id,company", *right, ""]).encode()
    duckdb_shop.files["customers"] = data + "\n".join(wrong).encode("cp1252")
    results = duckdb_shop.run(MAX_REJECT_RATE="1.0")
    assert bool(results["errors"]) is is_refused
    if is_refused:
        assert "set CUSTOMERS__ENCODING" in results["errors"][0]
    else:
        assert len(duckdb_shop.rejects(results, "customers")) == bad


def test_a_few_wrong_lines_among_many_in_ascii_are_rejects(duckdb_shop: Retailer) -> None:
    lines = [f"C{number},x" for number in range(3_000)]
    lines[2_900:2_903] = ["C2900,é", "C2901,é", "C2902,é"]
    text = "\n".join(["customer_id,company", *lines, ""])
    duckdb_shop.files["customers"] = text.encode("cp1252")
    results = duckdb_shop.publish(MAX_REJECT_RATE="1.0")
    told = duckdb_shop.rejects(results, "customers")
    assert [row["_line"] for row in told] == ["2902", "2903", "2904"]


def test_lines_in_another_encoding_at_the_end_of_a_long_file_are_counted(
    duckdb_shop: Retailer,
) -> None:
    lines = b"".join(b"C%d,x\n" % number for number in range(20_000))
    wrong = "".join(f"W{number},é\n" for number in range(20)).encode("cp1252")
    duckdb_shop.files["customers"] = b"customer_id,company\n" + lines + wrong
    (error,) = duckdb_shop.run()["errors"]
    assert f"byte {len(lines) + 20 + 3} is not valid utf-8" in error


def test_utf_8_in_a_file_declared_otherwise_is_told_before_it_is_loaded_wrong(
    duckdb_shop: Retailer,
) -> None:
    text = "customer_id,company\nC1,Zoë\nC2,Café\nC3,Í\nC4,Ábel\n"
    duckdb_shop.files["customers"] = text
    (error,) = duckdb_shop.run(CUSTOMERS__ENCODING="cp1252")["errors"]
    assert "CUSTOMERS__ENCODING=utf-8, which fits the bytes seen" in error


@pytest.mark.parametrize(
    "data", [b"customer_id,st\xe4dt\nC1,x\n", b'[{"customer_id": "C1"}, \xe9]']
)
def test_undecodable_bytes_beside_all_records_fail_the_file(
    data: bytes, duckdb_shop: Retailer
) -> None:
    duckdb_shop.files["customers"] = data
    (error,) = duckdb_shop.run()["errors"]
    assert "is not valid utf-8" in error
    assert "CUSTOMERS__ENCODING" in error
