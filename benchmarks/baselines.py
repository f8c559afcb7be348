"""What the pipeline is measured against: each a process of its own, like the pipeline's runs.

`floor`, `night` and `removal` take the finished rows as CSV files from the working directory and
the database from BENCH_URL; `duckdb` and `duckdb_removal` run a script on the warehouse file that
BENCH_URL names and the sources in BENCH_FILES, in as many threads as they may use cores, or in
BENCH_THREADS.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

CREATE_FACT = """
CREATE TABLE fact_sales (
    transaction_id text COLLATE "C" NOT NULL, customer_key integer NOT NULL,
    product_key integer NOT NULL, sales_rep_key integer NOT NULL, date_key integer NOT NULL,
    quantity numeric(19, 4) NOT NULL,
    unit_price numeric(19, 4) NOT NULL, discount_amount numeric(19, 4) NOT NULL,
    gross_amount numeric(19, 4) NOT NULL, net_amount numeric(19, 4) NOT NULL,
    unit_cost numeric(19, 4), profit_amount numeric(19, 4), currency text, run_id text NOT NULL)
"""
BUILD_KEYS = """
ALTER TABLE fact_sales ADD PRIMARY KEY (transaction_id);
CREATE INDEX ON fact_sales (customer_key);
CREATE INDEX ON fact_sales (product_key);
CREATE INDEX ON fact_sales (sales_rep_key);
CREATE INDEX ON fact_sales (date_key);
ALTER TABLE fact_sales ADD FOREIGN KEY (customer_key) REFERENCES dim_customer (customer_key);
ALTER TABLE fact_sales ADD FOREIGN KEY (product_key) REFERENCES dim_product (product_key);
ALTER TABLE fact_sales ADD FOREIGN KEY (sales_rep_key) REFERENCES dim_sales_rep (sales_rep_key);
ALTER TABLE fact_sales ADD FOREIGN KEY (date_key) REFERENCES dim_date (date_key);
"""

STAGE_FACT = "CREATE TEMP TABLE staged_fact (LIKE fact_sales) ON COMMIT DROP;"
STAGE_MEMBERS = """
CREATE TEMP TABLE staged_customer (LIKE dim_customer) ON COMMIT DROP;
CREATE TEMP TABLE staged_product (LIKE dim_product) ON COMMIT DROP;
"""
MERGE_MEMBERS = """
ANALYZE staged_customer, staged_product;

UPDATE dim_customer AS known
SET first_name = s.first_name, last_name = s.last_name, full_name = s.full_name,
    company = s.company, email = s.email, phone = s.phone, address = s.address, city = s.city,
    state = s.state, postal_code = s.postal_code, country = s.country, segment = s.segment,
    is_deleted = s.is_deleted, is_inferred = s.is_inferred
FROM staged_customer AS s
WHERE known.customer_id = s.customer_id AND known IS DISTINCT FROM s;
INSERT INTO dim_customer
SELECT * FROM staged_customer AS s
WHERE NOT EXISTS (SELECT FROM dim_customer AS known WHERE known.customer_id = s.customer_id);
INSERT INTO dim_product
SELECT * FROM staged_product AS s
WHERE NOT EXISTS (SELECT FROM dim_product AS known WHERE known.product_id = s.product_id);
"""
MERGE_FACTS = """
ANALYZE staged_fact;

UPDATE fact_sales AS known
SET customer_key = s.customer_key, product_key = s.product_key, sales_rep_key = s.sales_rep_key,
    date_key = s.date_key, quantity = s.quantity, unit_price = s.unit_price,
    discount_amount = s.discount_amount, gross_amount = s.gross_amount,
    net_amount = s.net_amount, unit_cost = s.unit_cost, profit_amount = s.profit_amount,
    currency = s.currency, run_id = s.run_id
FROM staged_fact AS s
WHERE known.transaction_id = s.transaction_id
  AND (known.customer_key, known.product_key, known.sales_rep_key, known.date_key,
       known.quantity, known.unit_price, known.discount_amount, known.profit_amount,
       known.currency)
      IS DISTINCT FROM
      (s.customer_key, s.product_key, s.sales_rep_key, s.date_key,
       s.quantity, s.unit_price, s.discount_amount, s.profit_amount, s.currency);
INSERT INTO fact_sales
SELECT * FROM staged_fact AS s
WHERE NOT EXISTS (SELECT FROM fact_sales AS known WHERE known.transaction_id = s.transaction_id);
"""
REMOVE = """
DELETE FROM fact_sales AS known
WHERE NOT EXISTS (SELECT FROM staged_fact AS s WHERE s.transaction_id = known.transaction_id);
"""
REMOVE_IN_DUCKDB = """
DELETE FROM fact_sales AS known
WHERE NOT EXISTS (FROM sales WHERE sales.transaction_id = known.transaction_id);
"""
"""Before the script's COMMIT: `sales` has every row of the file, also those that are refused."""


def floor(cursor: Any) -> None:
    """COPY the finished fact rows into a bare table, then build its keys and indexes."""
    cursor.execute(CREATE_FACT)
    _copy(cursor, "fact_sales", "fact.csv")
    cursor.execute(BUILD_KEYS)


def night(cursor: Any) -> None:
    """COPY a night's finished rows into staging tables, then merge what is new or different."""
    cursor.execute(STAGE_MEMBERS + STAGE_FACT)
    for name in ("customer", "product", "fact"):
        _copy(cursor, f"staged_{name}", f"{name}.csv")
    cursor.execute(MERGE_MEMBERS + MERGE_FACTS)


def removal(cursor: Any) -> None:
    """COPY the finished rows of a whole table, merge them, and remove what is not among them."""
    cursor.execute(STAGE_FACT)
    _copy(cursor, "staged_fact", "fact.csv")
    cursor.execute(MERGE_FACTS + REMOVE)


def _copy(cursor: Any, table: str, file: str) -> None:
    with Path(file).open("rb") as rows:
        cursor.copy_expert(f"COPY {table} FROM STDIN (FORMAT csv)", rows, 1 << 18)


def _postgresql(work: str) -> None:
    import psycopg2  # noqa: PLC0415  # each baseline loads its own engine alone

    connection = psycopg2.connect(os.environ["BENCH_URL"])
    with connection, connection.cursor() as cursor:  # one transaction
        {"floor": floor, "night": night, "removal": removal}[work](cursor)
    connection.close()


def _duckdb(*, removes: bool) -> None:
    import duckdb  # noqa: PLC0415  # as above

    script = Path(__file__).with_name("baseline_duckdb.sql").read_text(encoding="utf-8")
    if removes:
        script = script.replace("COMMIT;", f"{REMOVE_IN_DUCKDB}\nCOMMIT;")
    threads = os.environ.get("BENCH_THREADS") or len(os.sched_getaffinity(0))
    options: Any = {"file_search_path": os.environ["BENCH_FILES"], "threads": threads}
    with duckdb.connect(os.environ["BENCH_URL"], config=options) as connection:
        counted = connection.execute(script).fetchall()
    json.dump(counted, sys.stdout)


def main(argv: list[str] | None = None) -> int:
    """Do one baseline's work."""
    (work,) = sys.argv[1:] if argv is None else argv
    if work.startswith("duckdb"):
        _duckdb(removes=work == "duckdb_removal")
    else:
        _postgresql(work)
    return 0


if __name__ == "__main__":
    sys.exit(main())
