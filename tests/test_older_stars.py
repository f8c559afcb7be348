"""Stars that earlier versions made: kept as SQL in `stars/`, with the files they were made of."""

from __future__ import annotations

from support import Retailer, sources_of


def test_the_star_of_an_earlier_version_comes_back_as_it_was(shop: Retailer) -> None:
    shop.star.restore("0.1.0")
    content = shop.star.content()
    assert {name: len(rows) for name, rows in content.items()} == {
        "dim_customer": 6, "dim_product": 6, "dim_sales_rep": 5, "dim_date": 732, "fact_sales": 7,
    }  # fmt: skip
    assert shop.star.column("SELECT product_id FROM dim_product ORDER BY product_key") == [
        "", "1001.0", "1002", "88.0", "P3\ufeff", "P9\u2060",
    ]  # fmt: skip
    assert [status for _, status in shop.star.runs()] == ["published", "published"]
    assert all(path.endswith((".csv", ".json", ".jsonl")) for path in sources_of("0.1.0").values())
