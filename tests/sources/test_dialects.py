"""Text files that are no CSV by RFC 4180: other quotes, none, escapes, columns of fixed width."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from support.retailer import Retailer
from support.tables import Row, csv_rows

HEADER = ["transaction_id", "transaction_date", "customer_id", "product_id", "quantity",
          "unit_price", "sales_rep_id"]  # fmt: skip


def line(name: str, rep: str, delimiter: str = ",", customer: str = "C1", price: str = "10") -> str:
    return delimiter.join([name, "2024-03-15", customer, "P1", "1", price, rep])


def load(shop: Retailer, content: str | bytes, name: str = "export.csv", **settings: object) -> Row:
    path = shop.folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return shop.publish(TRANSACTIONS__PATH=path, **settings)


def reps(shop: Retailer) -> list[tuple[object, ...]]:
    return shop.star.rows(
        "SELECT transaction_id, sales_rep_id FROM fact_sales "
        "JOIN dim_sales_rep USING (sales_rep_key) ORDER BY transaction_id"
    )


INCHES = ['"Deluxe" pan 12"', '12" pan', '"quoted start', 'TV 15"', "ok", '""', '"']


@pytest.mark.parametrize("delimiter", ["|", "\t", ","])
def test_quotes_are_text_where_there_are_none(delimiter: str, shop: Retailer) -> None:
    lines = [delimiter.join(HEADER)]
    lines += [line(f"T{n}", text, delimiter) for n, text in enumerate(INCHES)]
    results = load(shop, "\n".join(lines), TRANSACTIONS__QUOTE="none")
    assert results["validation_results"]["reconciliation"]["sources"]["transactions"]["closed"]
    assert reps(shop) == [(f"T{n}", text) for n, text in enumerate(INCHES)]


def test_another_quote_character_holds_delimiters_quotes_and_line_breaks(
    duckdb_shop: Retailer,
) -> None:
    lines = [f"'{name}'" for name in HEADER]
    content = [",".join(lines), line("T1", "'a, b'"), line("T2", "'it''s'"), line("T3", "'a\nb'")]
    content += [line("T4", 'a "b"'), line("T5", "'open"), line("T6", "ok")]
    results = load(duckdb_shop, "\n".join(content), TRANSACTIONS__QUOTE="'")
    expected = [("T1", "a, b"), ("T2", "it's"), ("T3", "a\nb"), ("T4", 'a "b"'), ("T6", "ok")]
    assert reps(duckdb_shop) == expected
    assert [row["_line"] for row in duckdb_shop.rejects(results)] == ["7"]


OUTFILE = [
    HEADER, ["T1", r"\N"], ["T2", r'"Ann \"Ace\" Lee"'], ["T3", r"back\\slash"], ["T4", r"a\,b"],
    ["T5", "two\\\nlines"], ["T6", '"three\\\nlines\\\n\\"so\\""'], ["T7", r"\x"], ["T8", r"C:\\"],
    ["T9", "x", "no price"], ["T10", "ok"],
]  # fmt: skip


def outfile() -> str:
    rows = [line(name, rep, price=(more or ["10"])[0]) for name, rep, *more in OUTFILE[1:]]
    return "\n".join([",".join(HEADER), *rows, ""])


@pytest.mark.parametrize("form", ["plain", "gzip", "utf-16", "CRLF"])
def test_escapes_are_read_as_mysql_writes_them(form: str, duckdb_shop: Retailer) -> None:
    text = outfile().replace("\n", "\r\n") if form == "CRLF" else outfile()
    content = text.encode("utf-16" if form == "utf-16" else "utf-8")
    results = load(
        duckdb_shop,
        gzip.compress(content) if form == "gzip" else content,
        TRANSACTIONS__ESCAPE="\\",
        TRANSACTIONS__ENCODING="utf-16" if form == "utf-16" else "utf-8",
        BATCH_ROWS=3,
    )
    expected = [
        ("T1", ""), ("T10", "ok"), ("T2", 'Ann "Ace" Lee'), ("T3", r"back\slash"),
        ("T4", "a,b"), ("T5", "two\nlines"), ("T6", 'three\nlines\n"so"'), ("T7", r"\x"),
        ("T8", "C:\\"),
    ]  # fmt: skip
    assert reps(duckdb_shop) == expected
    if form != "utf-16":
        assert [row["_line"] for row in duckdb_shop.rejects(results)] == ["13"]


def test_a_refused_record_with_escapes_is_shown_as_it_was_written(duckdb_shop: Retailer) -> None:
    content = "\n".join([",".join(HEADER), r"T1\,2,short\"", line("T2", "ok")])
    results = load(duckdb_shop, content, TRANSACTIONS__ESCAPE="\\")
    (reject,) = duckdb_shop.rejects(results)
    assert (reject["_reason"], reject["_raw"]) == ("malformed_row", r"T1\,2,short\"")
    assert r"T1\,2,short\"" in reject["_detail"]


def test_escapes_without_quotes_are_read(duckdb_shop: Retailer) -> None:
    lines = ["\t".join(HEADER), line("T1", '12" \\\t"pan', "\t"), line("T2", "a\\\nb", "\t")]
    load(duckdb_shop, "\n".join(lines), TRANSACTIONS__ESCAPE="\\", TRANSACTIONS__QUOTE="none")
    assert reps(duckdb_shop) == [("T1", '12" \t"pan'), ("T2", "a\nb")]


def test_a_character_cannot_be_two_things(duckdb_shop: Retailer) -> None:
    results = duckdb_shop.folder / "export.csv"
    with pytest.raises(Exception, match="QUOTE and TRANSACTIONS__DELIMITER are the same"):
        duckdb_shop.config(
            TRANSACTIONS__PATH=results, TRANSACTIONS__QUOTE="|", TRANSACTIONS__DELIMITER="|"
        )


# --- fixed width -----------------------------------------------------------------------------

WIDTHS = [15, 17, 12, 11, 9, 11, 8]
FIXED = [
    [*HEADER[:6], "rep"],
    ["T1", "2024-03-15", "C1", "P1", "       1", "     10.00", "Zoë 東京"],
    ["T2", "2024-03-15", "C1", "P2", "       2", "     20.00"],
    [],
    ["T3", "2024-03-15", "C1", "P2", "       2", "     20.00", "   rep", "  more"],
    ["T4", "2024-03-15", "C1", "P2", "       2", "  twenty"],
]
FIXED_SETTINGS: Row = {
    "TRANSACTIONS__WIDTHS": str(WIDTHS),
    "TRANSACTIONS__COLUMNS": '{"sales_rep_id": "rep"}',
}


def fixed(rows: list[list[str]]) -> str:
    lines = [
        "".join(f"{cell:{width}}" for cell, width in zip(row, [*WIDTHS, 9], strict=False))
        for row in rows
    ]
    return "".join(f"{text.rstrip()}\n" for text in lines)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp932"])
@pytest.mark.parametrize("rows", [1, 1000])
def test_columns_of_fixed_width_are_cut_by_characters(
    encoding: str, rows: int, duckdb_shop: Retailer
) -> None:
    content = fixed(FIXED).replace("ë", "é" if encoding == "utf-16" else "e")
    settings = {**FIXED_SETTINGS, "BATCH_ROWS": rows, "TRANSACTIONS__ENCODING": encoding}
    load(duckdb_shop, content.encode(encoding), "export.txt", **settings)
    found = reps(duckdb_shop)
    assert [name for name, _ in found] == ["T1", "T2"]
    assert found[0][1] == ("Zoé 東京" if encoding == "utf-16" else "Zoe 東京")


def test_text_beyond_the_widths_is_told(duckdb_shop: Retailer) -> None:
    results = load(duckdb_shop, fixed(FIXED), "export.txt", **FIXED_SETTINGS)
    beyond, wrong = duckdb_shop.rejects(results)
    assert (beyond["_line"], beyond["_reason"]) == ("5", "malformed_row")
    assert "text beyond the 83 characters of TRANSACTIONS__WIDTHS" in beyond["_detail"]
    assert (wrong["_line"], wrong["_reason"]) == ("6", "invalid_unit_price")


def test_fixed_width_below_a_title_and_without_header(duckdb_shop: Retailer) -> None:
    content = "The sales of the day, with all that is to be told of it\n\n" + fixed(FIXED[:2])
    load(duckdb_shop, content, "export.txt", **FIXED_SETTINGS)
    names = str(FIXED[0]).replace("'", '"')
    settings = {**FIXED_SETTINGS, "TRANSACTIONS__HEADER": names}
    load(duckdb_shop, fixed(FIXED[2:3]), "export.txt", **settings)
    assert [name for name, _ in reps(duckdb_shop)] == ["T1", "T2"]


def test_the_widths_are_proposed_and_the_proposal_loads(duckdb_shop: Retailer) -> None:
    path = duckdb_shop.folder / "export.txt"
    path.write_text(fixed(FIXED[:3]))
    (error,) = duckdb_shop.run(TRANSACTIONS__PATH=path)["errors"]
    assert "TRANSACTIONS__WIDTHS=" in error
    widths = error.partition("TRANSACTIONS__WIDTHS=")[2].partition("]")[0] + "]"
    duckdb_shop.publish(TRANSACTIONS__PATH=path, TRANSACTIONS__WIDTHS=widths)
    assert [name for name, _ in reps(duckdb_shop)] == ["T1", "T2"]


# --- rejects ---------------------------------------------------------------------------------

NAMES = str(HEADER).replace("'", '"')
REJECTED: list[tuple[str, Row]] = [
    (line("T1", '"it\'s" \\N', price="ten"), {"QUOTE": "none"}),
    (line("T1", "'a, \"b\"'", price="ten"), {"QUOTE": "'"}),
    (line("T1", r"a\,\"b\\", price="ten"), {"ESCAPE": "\\"}),
    (line("T1", "a", price="ten"), {"HEADER_ROW": "3"}),
    (line("T1", "a", price="ten"), {"HEADER": NAMES}),
    (line("T1", "a", price="ten"), {"HEADER": NAMES, "ENCODING": "utf-16"}),
    (line("T1", "a", ";", price="ten"), {"HEADER": NAMES, "DELIMITER": ";"}),
]


@pytest.mark.parametrize(("row", "settings"), REJECTED)
def test_rejects_load_back_with_the_settings_of_their_source(
    row: str, settings: Row, duckdb_shop: Retailer
) -> None:
    header = "\n".join(["a title", "", ",".join(HEADER)])
    content = row if "HEADER" in settings else f"{header}\n{row}"
    own = {f"TRANSACTIONS__{name}": value for name, value in settings.items()}
    encoding = settings.get("ENCODING", "utf-8")
    results = load(duckdb_shop, content.encode(encoding), **own)
    rejects = Path(results["rejects_dir"]) / "transactions.csv"
    rejects.write_text(
        rejects.read_text(encoding=encoding).replace('"ten"', '"10"'), encoding=encoding
    )
    duckdb_shop.publish(TRANSACTIONS__PATH=rejects, **own)
    ((name, rep),) = reps(duckdb_shop)
    shown = {"none": '"it\'s" \\N', "'": 'a, "b"'}.get(settings.get("QUOTE", ""), "a")
    assert (name, rep) == ("T1", 'a,"b\\' if "ESCAPE" in settings else shown)


def test_rejects_of_fixed_width_load_back(duckdb_shop: Retailer) -> None:
    results = load(duckdb_shop, fixed([FIXED[0], FIXED[5]]), "export.txt", **FIXED_SETTINGS)
    rejects = Path(results["rejects_dir"]) / "transactions.csv"
    assert csv_rows(rejects)[0]["unit_price"] == "twenty"
    rejects.write_text(rejects.read_text().replace('"twenty"', '"20"'))
    duckdb_shop.publish(TRANSACTIONS__PATH=rejects, **FIXED_SETTINGS)
    assert [name for name, _ in reps(duckdb_shop)] == ["T4"]
