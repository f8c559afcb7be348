"""Whatever a file holds, every record of it is accounted for, or the file is refused with a reason.

The files are generated: good rows with dirt between them, JSON of any shape, and files of every
format with damaged bytes. DIRTY_EXAMPLES in the environment sets how many; the more, the deeper.
"""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from errors import EXIT_CODES, ExtractionError
from support.examples import examples, expect_accounts
from support.formats import (
    csv_text,
    excel,
    gzipped,
    json_array,
    json_lines,
    parquet,
    records_of,
    zipped,
    zstandard,
)
from support.retailer import Retailer
from support.tables import Row, to_csv


def expect_refusal(results: Row, shop: Retailer, source: str) -> None:
    """A run that says of the source what is wrong with it, and has published nothing."""
    (error,) = results["errors"]
    assert EXIT_CODES[results["status"]] == 1
    assert error.startswith(f"Extraction phase failed: {source}: {shop.path(source)}")
    expect_words(error)


def expect_words(error: str) -> None:
    """A message for people, in which the words of no exception are."""
    assert "a bug" not in error
    assert "Traceback" not in error
    assert not re.search(
        r"(Type|Value|Key|Index|Attribute|Codec|Decode|Encode|Overflow|Recursion|Runtime)Error",
        error,
    )


# --- good rows with dirt between them -------------------------------------------------------------


COLUMNS = (
    "transaction_id", "transaction_date", "customer_id", "product_id", "quantity", "unit_price",
    "sales_rep_id", "discount_amount",
)  # fmt: skip
_PIECES = (
    '"', '""', '"""', ",", ",,", ",,,,,,,", ";", "\t", "|", "'", "\\", '\\"', " ", "\u00a0",
    "\0", "\x01", "\x1a", "\x1b[31m", "\x7f", "\x85", "\u2028", "\ufeff", "\ufffe", "\U0001f600",
    "é", "e\u0301", "\u202e", "T", "X1", "2024-02-29", "2024-02-30", "29.02.2024", "9999-12-31",
    "C1", "P1", "1", "0", "-1", "1e5", "1_000", "\u0661", "NaN", "inf", "9" * 30, "0.00005", "$5",
    "=1+1", "@x", "NULL", "\\N", "#", "--", "x" * 5000, "1,2024-02-29,C1,P1,1,1,,",
    'Q,2024-02-29,C1,P1,1,1,,"', '"Q",2024-02-29,"C1","P1","1","1","",""',
)  # fmt: skip
_FIELD = st.one_of(
    st.sampled_from(["", "X1", "2024-02-29", "C1", "P1", "2", "9.99", '"a,b"', '"a""b"', "\0"]),
    st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=6),
)
_LINE = st.one_of(
    st.lists(st.sampled_from(_PIECES), max_size=12).map("".join),
    st.lists(_FIELD, min_size=7, max_size=9).map(",".join),
)
_BREAK = st.sampled_from(["\n", "\n", "\r\n", "\r", "\n\n", "\n \n"])


@st.composite
def dirty_csv(draw: st.DrawFn) -> tuple[list[str | None], list[str]]:
    """Lines, where None stands for a good row, and the line break after each."""
    lines: list[str | None] = draw(st.lists(st.one_of(st.none(), _LINE), max_size=25))
    end = draw(st.sampled_from(["\n", "\r\n", "\r", "mixed"]))
    breaks = [draw(_BREAK) if end == "mixed" else end for _ in range(len(lines) + 1)]
    if draw(st.booleans()):
        breaks[-1] = ""
    return lines, breaks


_numbers = itertools.count()


@examples()
@given(dirty=dirty_csv())
def test_dirt_between_sales_neither_swallows_nor_shifts_a_good_one(
    dirty: tuple[list[str | None], list[str]], shop: Retailer
) -> None:
    lines, breaks = dirty
    example, good, written = next(_numbers), {}, [",".join(COLUMNS)]
    for number, line in enumerate(lines):
        if line is None:
            identity = f"good-{example}-{number}"
            good[identity] = (20240131, number + 1)
            line = f"{identity},2024-01-31,C1,P1,{number + 1},9.99,grace_hopper,0.5"  # noqa: PLW2901
        written.append(line)
    text = "".join(itertools.chain.from_iterable(zip(written, breaks, strict=True)))
    shop.files["transactions"] = text
    accounts = expect_accounts(shop.run(), shop)
    found = shop.star.rows(
        "SELECT transaction_id, date_key, CAST(quantity AS INTEGER) FROM fact_sales "
        "WHERE transaction_id LIKE :these",
        these=f"good-{example}-%",
    )
    assert {identity: values for identity, *values in found} == {
        identity: list(values) for identity, values in good.items()
    }
    body = re.split("\r\n|\r|\n", text.removeprefix("\ufeff"))[1:]
    count = sum(1 for line in body if line)
    if '"' in text:  # where a quoted field may hold line breaks
        assert accounts["transactions"]["read"] <= count
    else:
        assert accounts["transactions"]["read"] == count


# --- JSON of any shape ----------------------------------------------------------------------------


_BOTTOMLESS = "[" * 3000 + "]" * 3000
_NUMBER = st.sampled_from(
    ["0", "-0", "1", "1.5", "-1", "1e2", "1E400", "-1e-400", "1e999999999", "9" * 30, "9" * 5000,
     "0.1234567890123456789", "NaN", "Infinity", "-Infinity"]
)  # fmt: skip
_STRING = st.one_of(
    st.text(max_size=8).map(json.dumps),
    st.sampled_from(['"\\ud800"', '"\\udc00\\ud800"', '"\\u0000"', '""', '" "', '"P1"', '"NULL"']),
    st.just(json.dumps("x" * 5000)),
)
_KEY = st.one_of(
    st.sampled_from(
        ["product_id", "Product_ID", "name", "category", "brand", "price", "cost", "specifications",
         "", " ", " price", "_line", "_file", "_reason", "a.b", "a,b", "\u00e9", "e\u0301"]
    ).map(json.dumps),
    _STRING,
)  # fmt: skip
_SCALAR = st.one_of(_NUMBER, _STRING, st.sampled_from(["null", "true", "false"]))


def _objects(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pair = st.tuples(_KEY, values).map(":".join)
    return st.lists(pair, max_size=6).map(lambda pairs: f"{{{','.join(pairs)}}}")


def _arrays(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(values, max_size=3).map(lambda items: f"[{','.join(items)}]")


_VALUE = st.recursive(_SCALAR, lambda inner: _arrays(inner) | _objects(inner), max_leaves=8) | (
    st.sampled_from([_BOTTOMLESS, *("[" * n + "]" * n for n in (50, 99, 100, 101))])
)
_ELEMENT = st.one_of(_objects(_VALUE), _objects(_VALUE), _VALUE)


@examples()
@given(elements=st.lists(_ELEMENT, max_size=12), is_array=st.booleans())
def test_every_element_of_a_json_source_is_accounted_for(
    elements: list[str], is_array: bool, shop: Retailer
) -> None:
    example = next(_numbers)
    good = f'{{"product_id":"good-{example}","name":"Lamp","price":12.50}}'
    elements = [good, *elements]
    shop.files["products"] = f"[{','.join(elements)}]" if is_array else "\n".join(elements)
    results = shop.run()
    if is_array and results["errors"] and _BOTTOMLESS in "".join(elements):
        expect_refusal(results, shop, "products")
        assert "nested more than 100 deep" in results["errors"][0]
        return
    accounts = expect_accounts(results, shop)
    assert accounts["products"]["read"] == len(elements)
    member = shop.star.member("dim_product", f"good-{example}")
    assert (member["product_name"], str(member["price"])) == ("Lamp", "12.5000")


# --- damaged bytes --------------------------------------------------------------------------------


_ROWS: list[Row] = [
    {"transaction_id": f"T{n}", "transaction_date": f"2024-01-{n + 1:02}", "customer_id": "C1",
     "product_id": "P1", "quantity": n + 1, "unit_price": 9.5, "sales_rep_id": 'a "b", c',
     "discount_amount": 0, "note": "Größe\n2"}
    for n in range(30)
]  # fmt: skip
WRITTEN = {
    "csv": csv_text(_ROWS),
    "semicolons": csv_text(_ROWS).replace(b",", b";"),
    "utf-16": to_csv(_ROWS).encode("utf-16"),
    "json_array": json_array(_ROWS),
    "json_lines": json_lines(_ROWS),
    "gzip": gzipped(_ROWS),
    "zstd": zstandard(_ROWS),
    "zip": zipped(_ROWS),
    "excel": excel(_ROWS),
    "parquet": parquet(_ROWS),
}
_INSERTED = st.one_of(
    st.sampled_from([b'"', b",", b"\n", b"\r", b"\0", b"\xff", b"\xc3", b"{", b"[", b"}", b"]"]),
    st.sampled_from(
        [b"\\", b":", b'""', b"\n\n", b"\xef\xbb\xbf", b"\xff\xfe", b"\x1f\x8b", b"PK"]
    ),
    st.binary(max_size=8),
    st.just(b"x" * 70_000),
)


@st.composite
def damaged(draw: st.DrawFn, forms: tuple[str, ...]) -> tuple[str, bytes]:
    """A file of some form, and what became of its bytes."""
    form = draw(st.sampled_from(forms))
    data = WRITTEN[form]
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        to = min(len(data), at + draw(st.integers(0, 200)))
        new = draw(_INSERTED)
        data = draw(
            st.sampled_from(
                [
                    data[:at],
                    data[:at] + data[to:],
                    data[:at] + new + data[at:],
                    data[:at] + new + data[at + len(new) :],
                    data[:to] + data[at:],
                    data[at:] + data[:at],
                ]
            )
        )
    return form, data


@examples()
@given(written=damaged(("csv", "semicolons", "json_array", "json_lines")))
def test_a_damaged_file_is_accounted_for_or_refused(
    written: tuple[str, bytes], shop: Retailer
) -> None:
    _, data = written
    shop.files["transactions"] = data
    results = shop.run(ACCEPT_RETURNS="true")
    if results["errors"]:
        expect_refusal(results, shop, "transactions")
    else:
        accounts = expect_accounts(results, shop)
        count = _elements(data)
        assert count in (None, accounts["transactions"]["read"])
    assert "Traceback" not in shop.log


def _elements(data: bytes) -> int | None:
    """How many elements a JSON array has, if it is one."""
    try:
        value = json.loads(data.decode("utf-8-sig"), strict=False)
    except (ValueError, RecursionError):
        return None
    return len(value) if isinstance(value, list) else None


@examples(share=10)
@given(written=damaged(tuple(WRITTEN)))
def test_what_is_read_of_a_damaged_file_does_not_depend_on_the_size_of_a_batch(
    written: tuple[str, bytes], duckdb_shop: Retailer
) -> None:
    form, data = written
    duckdb_shop.files["transactions"] = data
    encoding = "utf-16" if form == "utf-16" else "utf-8"
    outcomes = [_read(duckdb_shop, encoding, rows) for rows in (100_000, 3)]
    whole, in_parts = outcomes
    if isinstance(whole, str) or isinstance(in_parts, str):
        assert isinstance(whole, str)
        assert isinstance(in_parts, str)
        expect_words(whole)
        expect_words(in_parts)
    else:
        assert in_parts == whole


def _read(shop: Retailer, encoding: str, batch_rows: int) -> str | list[tuple[int, Any]]:
    """The records of the sales, or why they are refused."""
    config = shop.config(TRANSACTIONS__ENCODING=encoding, BATCH_ROWS=batch_rows)
    try:
        return records_of(config)["transactions"]
    except ExtractionError as error:
        return str(error)
