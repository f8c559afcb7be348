"""Reject files: what stands in them, in which order, and what of it is loaded again."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

from support.retailer import Retailer, changes
from support.tables import Row, csv_rows, to_csv

HEADER = "transaction_id,transaction_date,customer_id,product_id,quantity,unit_price\n"
MONDAY = (
    "T1,2024-01-08,C1,P1,1,5\n"  # loses to a row of the next file
    "T2,2024-01-08,C1\n"
    "T3,2024-01-08,NOBODY,P1,1,5\n"
    "T4,someday,C1,P1,1,5\n"
    "T5,2024-01-08,C1,P1,2,5\n"
    'T6,2024-01-08,"C1" x,P1,1,5\n'
    ",2024-01-08,C1,P1,1,5\n"
    "T7,2024-01-08,C1,P9,1,5\n"
    "T8,2024-01-08,C\0,P1,1,5\n"
    "T9,2024-01-08,C1,P1,many,5\n"
)
TUESDAY = (
    "T10,2024-01-09,NOBODY,P1,1,5\n"
    "T11,2024-01-09,C1,P1,1,free\n"
    "T12,2024-01-09,C1,P1,1,5,,,more\n"
    "T13,2024-01-09,C1,P1,1,5\n"  # loses to the last row
    "T1,2024-01-09,C1,P1,7,5\n"
    f"{HEADER}"
    "T14,2024-01-09,C1,P1,0,5\n"
    "T13,2024-01-09,C1,P1,2,5\n"
)
LOST = [
    ("monday", 2, "conflicting_duplicate"),
    ("monday", 3, "malformed_row"),
    ("monday", 4, "unknown_customer"),
    ("monday", 5, "invalid_date"),
    ("monday", 7, "malformed_row"),
    ("monday", 8, "missing_key"),
    ("monday", 9, "unknown_product"),
    ("monday", 10, "invalid_text"),
    ("monday", 11, "invalid_quantity"),
    ("tuesday", 2, "unknown_customer"),
    ("tuesday", 3, "invalid_unit_price"),
    ("tuesday", 4, "malformed_row"),
    ("tuesday", 5, "conflicting_duplicate"),
    ("tuesday", 7, "malformed_row"),
    ("tuesday", 8, "non_positive_quantity"),
]


def reject_file(results: Row, source: str = "transactions") -> Path:
    """Where a run has written the rejects of a source."""
    return Path(results["rejects_dir"]) / f"{source}.csv"


def two_days(shop: Retailer) -> Path:
    """A folder of sales of which most are refused, each for another reason."""
    folder = shop.folder / "days"
    folder.mkdir()
    for name, rows in (("monday", MONDAY), ("tuesday", TUESDAY)):
        (folder / f"{name}.csv").write_bytes((HEADER + rows).encode())
    return folder


def test_rejects_stand_in_file_order_whatever_has_refused_them(shop: Retailer) -> None:
    """Neither the size of a batch nor the number of workers changes a byte."""
    folder, found = two_days(shop), set()
    for batch_rows, workers in ((1, 1), (1, 4), (3, 4), (1000, 1), (1000, 4)):
        results = shop.publish_in_full(
            TRANSACTIONS__PATH=folder,
            ORPHAN_POLICY="reject",
            BATCH_ROWS=batch_rows,
            WORKERS=workers,
        )
        found.add(reject_file(results).read_bytes())
        assert list(reject_file(results).parent.iterdir()) == [reject_file(results)]
    assert len(found) == 1
    rows = csv_rows(reject_file(results))
    assert [(Path(r["_file"]).stem, int(r["_line"]), r["_reason"]) for r in rows] == LOST


def test_a_refused_load_leaves_its_rejects_in_file_order_too(shop: Retailer) -> None:
    folder = two_days(shop)
    shop.publish()
    for limit, orphans in (("0.1", 0), ("0.7", 3)):  # before the orphans are known, and after
        results = shop.run(
            TRANSACTIONS__PATH=folder,
            ORPHAN_POLICY="reject",
            MAX_REJECT_RATE=limit,
            BATCH_ROWS=2,
        )
        assert results["status"] == "gate_failed"
        reasons = [row["_reason"] for row in csv_rows(reject_file(results))]
        expected = [reason for *_, reason in LOST]
        if not orphans:
            expected = [reason for reason in expected if not reason.startswith("unknown")]
        assert reasons == expected


def test_json_records_and_what_is_no_record_stand_in_file_order(duckdb_shop: Retailer) -> None:
    lines = (
        '{"product_id": "P1", "name": "Lamp"}',
        '["P2"]',
        '{"product_id": " ", "name": "Nameless"}',
        '{"product_id": "P3",,}',
        '{"product_id": "P1", "name": "Pen"}',
    )
    found = set()
    for batch_rows in (1, 2, 100):
        duckdb_shop.files["products"] = "\n".join(lines)
        results = duckdb_shop.publish_in_full(BATCH_ROWS=batch_rows)
        found.add(reject_file(results, "products").read_bytes())
    assert len(found) == 1
    rows = csv_rows(reject_file(results, "products"))
    assert [(int(row["_line"]), row["_reason"]) for row in rows] == [
        (1, "conflicting_duplicate"), (2, "malformed_row"), (3, "missing_key"),
        (4, "malformed_row"),
    ]  # fmt: skip


# --- in spreadsheets ------------------------------------------------------------------------------

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
