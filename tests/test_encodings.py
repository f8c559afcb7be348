"""Which encoding is advised for a file that is not in the declared one."""

from __future__ import annotations

import pytest
from support import Retailer

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


@pytest.mark.parametrize("right", [["C1,Zoë", "C2,Müller"], ["C1,Zoë"]])
def test_one_wrong_line_is_no_reason_for_another_encoding(
    right: list[str], duckdb_shop: Retailer
) -> None:
    lines = "\n".join(["customer_id,first_name", *right, ""]).encode()
    duckdb_shop.files["customers"] = lines + b"C3,Ren\xe9,Lef\xe8vre \xe0 Gen\xe8ve\n"
    (error,) = duckdb_shop.run()["errors"]
    assert "most of it is UTF-8, so correct that line" in error
    assert "cp1252" not in error
