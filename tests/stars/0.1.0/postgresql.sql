CREATE TABLE dim_customer (
    customer_key integer NOT NULL,
    customer_id text NOT NULL COLLATE pg_catalog."C",
    first_name text,
    last_name text,
    full_name text,
    company text,
    email text,
    phone text,
    address text,
    city text,
    state text,
    postal_code text,
    country text,
    segment text,
    is_inferred boolean NOT NULL
);
CREATE TABLE dim_date (
    date_key integer NOT NULL,
    full_date date,
    year smallint,
    quarter smallint,
    month smallint,
    month_name text,
    iso_week smallint,
    day_of_month smallint,
    day_of_week smallint,
    day_name text,
    is_weekend boolean
);
CREATE TABLE dim_product (
    product_key integer NOT NULL,
    product_id text NOT NULL COLLATE pg_catalog."C",
    product_name text,
    category text,
    brand text,
    price numeric(19,4),
    cost numeric(19,4),
    is_cost_estimated boolean,
    price_tier text,
    profit_margin_pct numeric(19,2),
    specifications text,
    is_inferred boolean NOT NULL
);
CREATE TABLE dim_sales_rep (
    sales_rep_key integer NOT NULL,
    sales_rep_id text NOT NULL COLLATE pg_catalog."C",
    first_name text,
    last_name text,
    full_name text,
    email text,
    region text,
    hire_date date,
    is_inferred boolean NOT NULL
);
CREATE TABLE etl_run (
    run_id text NOT NULL,
    started_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone NOT NULL,
    status text NOT NULL,
    counts text NOT NULL,
    sources text NOT NULL,
    error_class text,
    code_version text NOT NULL
);
CREATE TABLE fact_sales (
    transaction_id text NOT NULL COLLATE pg_catalog."C",
    customer_key integer NOT NULL,
    product_key integer NOT NULL,
    sales_rep_key integer NOT NULL,
    date_key integer NOT NULL,
    quantity numeric(19,4) NOT NULL,
    unit_price numeric(19,4) NOT NULL,
    discount_amount numeric(19,4) NOT NULL,
    gross_amount numeric(19,4) NOT NULL,
    net_amount numeric(19,4) NOT NULL,
    profit_amount numeric(19,4),
    run_id text NOT NULL
);
INSERT INTO dim_customer VALUES (-1, '', NULL, NULL, 'Unknown', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'Unknown', false);
INSERT INTO dim_customer VALUES (1, '7.0', 'Grace', 'Murray', 'Grace Murray', NULL, 'grace@example.org', NULL, NULL, 'Arlington', NULL, NULL, 'US', 'Business', false);
INSERT INTO dim_customer VALUES (2, 'C1', 'Ada', 'Lovelace', 'Ada Lovelace', NULL, 'ada@example.org', NULL, NULL, 'London', NULL, NULL, 'GB', 'Consumer', false);
INSERT INTO dim_customer VALUES (3, 'C2​', 'Alan', 'Turing', 'Alan Turing', NULL, NULL, NULL, NULL, 'Munich', NULL, NULL, 'DE', 'Business', false);
INSERT INTO dim_customer VALUES (4, 'C9', NULL, NULL, 'Customer C9', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'Unknown', true);
INSERT INTO dim_customer VALUES (5, '‎C4', NULL, NULL, 'Customer ‎C4', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'Unknown', false);
INSERT INTO dim_date VALUES (-1, NULL, NULL, NULL, NULL, 'Unknown', NULL, NULL, NULL, 'Unknown', NULL);
INSERT INTO dim_date
SELECT to_char(d, 'YYYYMMDD')::integer, d::date, extract(year FROM d), extract(quarter FROM d),
    extract(month FROM d), to_char(d, 'FMMonth'), extract(week FROM d), extract(day FROM d),
    extract(isodow FROM d), to_char(d, 'FMDay'), extract(isodow FROM d) > 5
FROM generate_series('2023-01-01'::date, '2024-12-31'::date, interval '1 day') AS d;
INSERT INTO dim_product VALUES (-1, '', 'Unknown', 'Unknown', 'Unknown', NULL, NULL, false, 'Unknown', NULL, NULL, false);
INSERT INTO dim_product VALUES (1, '1001.0', 'Lamp', 'Home', 'Lux', 250.0000, 100.0000, false, 'High', 60.00, '{"watt":9}', false);
INSERT INTO dim_product VALUES (2, '1002', 'Pen', 'Office', 'Ink', 60.0000, 42.0000, true, 'Medium', 30.00, NULL, false);
INSERT INTO dim_product VALUES (3, '88.0', 'Tape', 'Office', 'Ink', 3.0000, 1.0000, false, 'Low', 66.67, NULL, false);
INSERT INTO dim_product VALUES (4, 'P3﻿', 'Cup', 'Home', 'Lux', 12.5000, 5.0000, false, 'Low', 60.00, NULL, false);
INSERT INTO dim_product VALUES (5, 'P9⁠', 'Product P9⁠', 'Unknown', 'Unknown', NULL, NULL, false, 'Unknown', NULL, NULL, true);
INSERT INTO dim_sales_rep VALUES (-1, '', NULL, NULL, 'Unknown', NULL, 'Unknown', NULL, false);
INSERT INTO dim_sales_rep VALUES (1, '12.0', NULL, NULL, '12.0', NULL, 'Unassigned', NULL, false);
INSERT INTO dim_sales_rep VALUES (2, 'grace_hopper', 'Grace', 'Hopper', 'Grace Hopper', NULL, 'Unassigned', NULL, false);
INSERT INTO dim_sales_rep VALUES (3, 'john_smith​', 'John', 'Smith​', 'John Smith​', NULL, 'Unassigned', NULL, false);
INSERT INTO dim_sales_rep VALUES (4, 'zed_only', 'Zed', 'Only', 'Zed Only', NULL, 'Unassigned', NULL, false);
INSERT INTO etl_run VALUES ('20261126T103450-45863e', '2026-11-26 10:34:50+00', '2026-11-26 10:34:50.724858+00', 'published', '{"phases": {"extraction": {"status": "success", "duration_seconds": 0.014, "rows": 16}, "transformation": {"status": "success", "duration_seconds": 0.081, "rows": 15}, "dimension_loading": {"status": "success", "duration_seconds": 0.179, "rows": 745}, "fact_loading": {"status": "success", "duration_seconds": 0.019, "rows": 7}, "validation": {"status": "success", "duration_seconds": 0.083, "rows": 756}}, "extraction_results": {"_metadata": {"total_records": 16, "success": true, "extraction_errors": []}, "customers": {"records": 4, "files": [{"path": "customers.csv", "format": "csv", "records": 4, "sha256": "a3e9a8be317fe87e4fd5ee4ff9825bcbd936a6094c37b169972632724afcd7b4"}]}, "products": {"records": 4, "files": [{"path": "products.json", "format": "json array", "records": 4, "sha256": "6b6908c364a616e76fb2f6e4c8538e5781b1f07f44761648a913c6cff023e0d3"}]}, "transactions": {"records": 8, "files": [{"path": "sales.jsonl", "format": "json lines", "records": 8, "sha256": "73c4126855afc3c9f35979ff793f6d8c3348541f019107fe6d477cb17b62e502"}]}}, "transformation_results": {"dim_customer": {"source": "customers", "rows": 4, "duplicates": 0, "rejected": {}, "attribute_issues": {}}, "dim_product": {"source": "products", "rows": 4, "duplicates": 0, "rejected": {}, "attribute_issues": {}}, "fact_sales": {"source": "transactions", "rows": 7, "duplicates": 0, "rejected": {"invalid_date": 1}, "attribute_issues": {}}}, "dimension_loading_results": {"dim_customer": {"inserted": 4, "updated": 0, "unchanged": 0, "inferred": 1}, "dim_product": {"inserted": 4, "updated": 0, "unchanged": 0, "inferred": 1}, "dim_sales_rep": {"inserted": 4, "updated": 0, "unchanged": 0, "inferred": 0}, "dim_date": {"inserted": 731, "updated": 0, "unchanged": 0, "inferred": 0}}, "fact_loading_results": {"records_inserted": 7, "records_updated": 0, "records_unchanged": 0, "records_failed": 0, "orphaned_records": 0, "processing_time": 0.019}, "validation_results": {"row_counts": {"dim_customer": 6, "dim_product": 6, "dim_sales_rep": 5, "dim_date": 732, "fact_sales": 7}, "referential_integrity": {"orphans": {"customer_key": 0, "product_key": 0, "sales_rep_key": 0, "date_key": 0}, "valid": true}, "data_quality_score": 93.75, "checks": [{"check": "one Unknown member", "table": "dim_customer", "status": "passed", "problems": 0, "rows": 6}, {"check": "unique business keys", "table": "dim_customer", "status": "passed", "problems": 0, "rows": 6}, {"check": "unique surrogate keys", "table": "dim_customer", "status": "passed", "problems": 0, "rows": 6}, {"check": "no other negative keys", "table": "dim_customer", "status": "passed", "problems": 0, "rows": 6}, {"check": "one Unknown member", "table": "dim_product", "status": "passed", "problems": 0, "rows": 6}, {"check": "unique business keys", "table": "dim_product", "status": "passed", "problems": 0, "rows": 6}, {"check": "unique surrogate keys", "table": "dim_product", "status": "passed", "problems": 0, "rows": 6}, {"check": "no other negative keys", "table": "dim_product", "status": "passed", "problems": 0, "rows": 6}, {"check": "one Unknown member", "table": "dim_sales_rep", "status": "passed", "problems": 0, "rows": 5}, {"check": "unique business keys", "table": "dim_sales_rep", "status": "passed", "problems": 0, "rows": 5}, {"check": "unique surrogate keys", "table": "dim_sales_rep", "status": "passed", "problems": 0, "rows": 5}, {"check": "no other negative keys", "table": "dim_sales_rep", "status": "passed", "problems": 0, "rows": 5}, {"check": "one Unknown member", "table": "dim_date", "status": "passed", "problems": 0, "rows": 732}, {"check": "unique business keys", "table": "dim_date", "status": "passed", "problems": 0, "rows": 732}, {"check": "unique surrogate keys", "table": "dim_date", "status": "passed", "problems": 0, "rows": 732}, {"check": "no other negative keys", "table": "dim_date", "status": "passed", "problems": 0, "rows": 732}, {"check": "dates without gaps", "table": "dim_date", "status": "passed", "problems": 0, "rows": 731}, {"check": "orphan customer_key", "table": "fact_sales", "status": "passed", "problems": 0, "rows": 7}, {"check": "orphan product_key", "table": "fact_sales", "status": "passed", "problems": 0, "rows": 7}, {"check": "orphan sales_rep_key", "table": "fact_sales", "status": "passed", "problems": 0, "rows": 7}, {"check": "orphan date_key", "table": "fact_sales", "status": "passed", "problems": 0, "rows": 7}, {"check": "no value is missing", "table": "fact_sales", "status": "passed", "problems": 0, "rows": 7}, {"check": "gross = quantity x unit price", "table": "fact_sales", "status": "passed", "problems": 0, "rows": 7}, {"check": "net = gross - discount", "table": "fact_sales", "status": "passed", "problems": 0, "rows": 7}, {"check": "amounts are finite", "table": "fact_sales", "status": "passed", "problems": 0, "rows": 7}, {"check": "profit = net - quantity x cost", "table": "fact_sales", "status": "passed", "problems": 0, "rows": 7}, {"check": "unique transaction_id", "table": "fact_sales", "status": "passed", "problems": 0, "rows": 7}, {"check": "members before + new = now", "table": "dim_customer", "status": "passed", "problems": 0, "rows": 6}, {"check": "members before + new = now", "table": "dim_product", "status": "passed", "problems": 0, "rows": 6}, {"check": "members before + new = now", "table": "dim_sales_rep", "status": "passed", "problems": 0, "rows": 5}, {"check": "members before + new = now", "table": "dim_date", "status": "passed", "problems": 0, "rows": 732}, {"check": "keys are those that were found", "table": "fact_sales", "status": "passed", "problems": 0, "rows": 7}, {"check": "no fact without its members", "table": "fact_sales", "status": "passed", "problems": 0, "rows": 7}], "validation_errors": [], "reconciliation": {"sources": {"customers": {"read": 4, "inserted": 4, "updated": 0, "unchanged": 0, "duplicate": 0, "rejected": 0, "closed": true}, "products": {"read": 4, "inserted": 4, "updated": 0, "unchanged": 0, "duplicate": 0, "rejected": 0, "closed": true}, "transactions": {"read": 8, "inserted": 7, "updated": 0, "unchanged": 0, "duplicate": 0, "rejected": 1, "closed": true}}, "money": {"read": "1015.4725", "loaded": "1014.4725", "unchanged": "0.0000", "duplicate": "0.0000", "rejected": "1.0000", "closed": true}}}, "warehouse_warnings": [], "signature": "a57a9d50cf16e8bda3e56a918fafcd17893e13d0a3d724e9dbd74be1cd3a7a87", "mark": "{\"xid\": 752, \"rows\": [6, 6, 5, 732, 7]}"}', '{"customers": [{"path": "customers.csv", "format": "csv", "records": 4, "sha256": "a3e9a8be317fe87e4fd5ee4ff9825bcbd936a6094c37b169972632724afcd7b4"}], "products": [{"path": "products.json", "format": "json array", "records": 4, "sha256": "6b6908c364a616e76fb2f6e4c8538e5781b1f07f44761648a913c6cff023e0d3"}], "transactions": [{"path": "sales.jsonl", "format": "json lines", "records": 8, "sha256": "73c4126855afc3c9f35979ff793f6d8c3348541f019107fe6d477cb17b62e502"}]}', NULL, '0.1.0');
INSERT INTO etl_run VALUES ('20261126T103450-4d24c3', '2026-11-26 10:34:50+00', '2026-11-26 10:34:51.02594+00', 'published', '{"phases": {"extraction": {"status": "success", "duration_seconds": 0.009, "rows": 16}, "transformation": {"status": "success", "duration_seconds": 0.074, "rows": 15}, "dimension_loading": {"status": "success", "duration_seconds": 0.118, "rows": 743}, "fact_loading": {"status": "success", "duration_seconds": 0.035, "rows": 7}, "validation": {"status": "success", "duration_seconds": 0.029, "rows": 756}}, "extraction_results": {"_metadata": {"total_records": 16, "success": true, "extraction_errors": []}, "customers": {"records": 4, "files": [{"path": "customers.csv", "format": "csv", "records": 4, "sha256": "a3e9a8be317fe87e4fd5ee4ff9825bcbd936a6094c37b169972632724afcd7b4"}]}, "products": {"records": 4, "files": [{"path": "products.json", "format": "json array", "records": 4, "sha256": "6b6908c364a616e76fb2f6e4c8538e5781b1f07f44761648a913c6cff023e0d3"}]}, "transactions": {"records": 8, "files": [{"path": "sales.jsonl", "format": "json lines", "records": 8, "sha256": "e72bd2affc757c0d0f38397b1352a8e365c86919931b502ea38a5acf1469ff13"}]}}, "transformation_results": {"dim_customer": {"source": "customers", "rows": 4, "duplicates": 0, "rejected": {}, "attribute_issues": {}}, "dim_product": {"source": "products", "rows": 4, "duplicates": 0, "rejected": {}, "attribute_issues": {}}, "fact_sales": {"source": "transactions", "rows": 7, "duplicates": 0, "rejected": {"invalid_date": 1}, "attribute_issues": {}}}, "dimension_loading_results": {"dim_customer": {"inserted": 0, "updated": 0, "unchanged": 4, "inferred": 0}, "dim_product": {"inserted": 0, "updated": 0, "unchanged": 4, "inferred": 0}, "dim_sales_rep": {"inserted": 0, "updated": 0, "unchanged": 4, "inferred": 0}, "dim_date": {"inserted": 0, "updated": 0, "unchanged": 731, "inferred": 0}}, "fact_loading_results": {"records_inserted": 0, "records_updated": 1, "records_unchanged": 6, "records_failed": 0, "orphaned_records": 0, "processing_time": 0.035}, "validation_results": {"row_counts": {"dim_customer": 6, "dim_product": 6, "dim_sales_rep": 5, "dim_date": 732, "fact_sales": 7}, "referential_integrity": {"orphans": {"customer_key": 0, "product_key": 0, "sales_rep_key": 0, "date_key": 0}, "valid": true}, "data_quality_score": 93.75, "checks": [{"check": "one Unknown member", "table": "dim_customer", "status": "passed", "problems": 0, "rows": 6}, {"check": "unique business keys", "table": "dim_customer", "status": "passed", "problems": 0, "rows": 6}, {"check": "unique surrogate keys", "table": "dim_customer", "status": "passed", "problems": 0, "rows": 6}, {"check": "no other negative keys", "table": "dim_customer", "status": "passed", "problems": 0, "rows": 6}, {"check": "one Unknown member", "table": "dim_product", "status": "passed", "problems": 0, "rows": 6}, {"check": "unique business keys", "table": "dim_product", "status": "passed", "problems": 0, "rows": 6}, {"check": "unique surrogate keys", "table": "dim_product", "status": "passed", "problems": 0, "rows": 6}, {"check": "no other negative keys", "table": "dim_product", "status": "passed", "problems": 0, "rows": 6}, {"check": "one Unknown member", "table": "dim_sales_rep", "status": "passed", "problems": 0, "rows": 5}, {"check": "unique business keys", "table": "dim_sales_rep", "status": "passed", "problems": 0, "rows": 5}, {"check": "unique surrogate keys", "table": "dim_sales_rep", "status": "passed", "problems": 0, "rows": 5}, {"check": "no other negative keys", "table": "dim_sales_rep", "status": "passed", "problems": 0, "rows": 5}, {"check": "one Unknown member", "table": "dim_date", "status": "passed", "problems": 0, "rows": 732}, {"check": "unique business keys", "table": "dim_date", "status": "passed", "problems": 0, "rows": 732}, {"check": "unique surrogate keys", "table": "dim_date", "status": "passed", "problems": 0, "rows": 732}, {"check": "no other negative keys", "table": "dim_date", "status": "passed", "problems": 0, "rows": 732}, {"check": "dates without gaps", "table": "dim_date", "status": "passed", "problems": 0, "rows": 731}, {"check": "orphan customer_key", "table": "fact_sales", "status": "passed", "problems": 0, "rows": 7}, {"check": "orphan product_key", "table": "fact_sales", "status": "passed", "problems": 0, "rows": 7}, {"check": "orphan sales_rep_key", "table": "fact_sales", "status": "passed", "problems": 0, "rows": 7}, {"check": "orphan date_key", "table": "fact_sales", "status": "passed", "problems": 0, "rows": 7}, {"check": "no value is missing", "table": "fact_sales", "status": "passed", "problems": 0, "rows": 7}, {"check": "gross = quantity x unit price", "table": "fact_sales", "status": "passed", "problems": 0, "rows": 7}, {"check": "net = gross - discount", "table": "fact_sales", "status": "passed", "problems": 0, "rows": 7}, {"check": "amounts are finite", "table": "fact_sales", "status": "passed", "problems": 0, "rows": 7}, {"check": "profit = net - quantity x cost", "table": "fact_sales", "status": "passed", "problems": 0, "rows": 7}, {"check": "unique transaction_id", "table": "fact_sales", "status": "passed", "problems": 0, "rows": 7}, {"check": "members before + new = now", "table": "dim_customer", "status": "passed", "problems": 0, "rows": 6}, {"check": "members before + new = now", "table": "dim_product", "status": "passed", "problems": 0, "rows": 6}, {"check": "members before + new = now", "table": "dim_sales_rep", "status": "passed", "problems": 0, "rows": 5}, {"check": "members before + new = now", "table": "dim_date", "status": "passed", "problems": 0, "rows": 732}, {"check": "keys are those that were found", "table": "fact_sales", "status": "passed", "problems": 0, "rows": 7}, {"check": "no fact without its members", "table": "fact_sales", "status": "passed", "problems": 0, "rows": 7}], "validation_errors": [], "reconciliation": {"sources": {"customers": {"read": 4, "inserted": 0, "updated": 0, "unchanged": 4, "duplicate": 0, "rejected": 0, "closed": true}, "products": {"read": 4, "inserted": 0, "updated": 0, "unchanged": 4, "duplicate": 0, "rejected": 0, "closed": true}, "transactions": {"read": 8, "inserted": 0, "updated": 1, "unchanged": 6, "duplicate": 0, "rejected": 1, "closed": true}}, "money": {"read": "1012.4725", "loaded": "12.0000", "unchanged": "999.4725", "duplicate": "0.0000", "rejected": "1.0000", "closed": true}}}, "warehouse_warnings": [], "signature": "a57a9d50cf16e8bda3e56a918fafcd17893e13d0a3d724e9dbd74be1cd3a7a87", "mark": "{\"xid\": 753, \"rows\": [6, 6, 5, 732, 7]}"}', '{"customers": [{"path": "customers.csv", "format": "csv", "records": 4, "sha256": "a3e9a8be317fe87e4fd5ee4ff9825bcbd936a6094c37b169972632724afcd7b4"}], "products": [{"path": "products.json", "format": "json array", "records": 4, "sha256": "6b6908c364a616e76fb2f6e4c8538e5781b1f07f44761648a913c6cff023e0d3"}], "transactions": [{"path": "sales.jsonl", "format": "json lines", "records": 8, "sha256": "e72bd2affc757c0d0f38397b1352a8e365c86919931b502ea38a5acf1469ff13"}]}', NULL, '0.1.0');
INSERT INTO fact_sales VALUES ('5001.0', 2, 1, 2, 20231231, 2.0000, 250.0000, 0.0000, 500.0000, 500.0000, 300.0000, '20261126T103450-45863e');
INSERT INTO fact_sales VALUES ('5002.0', 3, 2, 2, 20240301, 3.0000, 59.9900, 9.9975, 179.9700, 169.9725, 43.9725, '20261126T103450-45863e');
INSERT INTO fact_sales VALUES ('T3​', 3, 4, 3, 20240302, 1.0000, 12.5000, 0.0000, 12.5000, 12.5000, 7.5000, '20261126T103450-45863e');
INSERT INTO fact_sales VALUES ('90.0', 5, 1, -1, 20240303, 1.0000, 250.0000, 0.0000, 250.0000, 250.0000, 150.0000, '20261126T103450-45863e');
INSERT INTO fact_sales VALUES ('T6', 4, 5, 4, 20240304, 1.0000, 8.0000, 1.0000, 8.0000, 7.0000, NULL, '20261126T103450-45863e');
INSERT INTO fact_sales VALUES ('T7', -1, 2, -1, 20240305, 1.0000, 60.0000, 0.0000, 60.0000, 60.0000, 18.0000, '20261126T103450-45863e');
INSERT INTO fact_sales VALUES ('T4', 1, 3, 1, 20240302, 4.0000, 3.0000, 0.0000, 12.0000, 12.0000, 8.0000, '20261126T103450-4d24c3');
ALTER TABLE dim_customer ADD CONSTRAINT pk_dim_customer PRIMARY KEY (customer_key);
ALTER TABLE dim_date ADD CONSTRAINT pk_dim_date PRIMARY KEY (date_key);
ALTER TABLE dim_product ADD CONSTRAINT pk_dim_product PRIMARY KEY (product_key);
ALTER TABLE dim_sales_rep ADD CONSTRAINT pk_dim_sales_rep PRIMARY KEY (sales_rep_key);
ALTER TABLE etl_run ADD CONSTRAINT pk_etl_run PRIMARY KEY (run_id);
ALTER TABLE fact_sales ADD CONSTRAINT pk_fact_sales PRIMARY KEY (transaction_id);
ALTER TABLE dim_customer ADD CONSTRAINT uq_dim_customer_customer_id UNIQUE (customer_id);
ALTER TABLE dim_product ADD CONSTRAINT uq_dim_product_product_id UNIQUE (product_id);
ALTER TABLE dim_sales_rep ADD CONSTRAINT uq_dim_sales_rep_sales_rep_id UNIQUE (sales_rep_id);
CREATE INDEX ix_fact_sales_customer_key ON fact_sales USING btree (customer_key);
CREATE INDEX ix_fact_sales_date_key ON fact_sales USING btree (date_key);
CREATE INDEX ix_fact_sales_product_key ON fact_sales USING btree (product_key);
CREATE INDEX ix_fact_sales_sales_rep_key ON fact_sales USING btree (sales_rep_key);
ALTER TABLE fact_sales ADD CONSTRAINT fk_fact_sales_customer_key FOREIGN KEY (customer_key) REFERENCES dim_customer(customer_key);
ALTER TABLE fact_sales ADD CONSTRAINT fk_fact_sales_date_key FOREIGN KEY (date_key) REFERENCES dim_date(date_key);
ALTER TABLE fact_sales ADD CONSTRAINT fk_fact_sales_product_key FOREIGN KEY (product_key) REFERENCES dim_product(product_key);
ALTER TABLE fact_sales ADD CONSTRAINT fk_fact_sales_sales_rep_key FOREIGN KEY (sales_rep_key) REFERENCES dim_sales_rep(sales_rep_key);
