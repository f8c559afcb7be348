-- The DuckDB baseline: the same star from the same files, in SQL alone.
--
-- What the benchmark compares the pipeline's DuckDB loads with. It reads customers.csv, products.json
-- and sales_transactions.csv (DuckDB's `file_search_path` says where they are), cleans and rejects
-- by the rules of the data contract, resolves duplicates, infers members, looks up keys, computes
-- profit, merges into the star, and writes rejects.csv; the last statement counts rejects and
-- duplicates. Where SQL has no library it does less, and so is faster than the contract allows:
-- phone numbers and e-mail addresses are judged by a regular expression, specifications are kept
-- as they come, keys are trimmed of plain spaces only, rejects have no physical line number, an
-- unclosed quote is whatever the CSV reader makes of it, and nothing is validated or reconciled.

CREATE OR REPLACE TEMP MACRO attribute(t) AS
    CASE WHEN trim(t) NOT IN ('', 'NULL', '\N') THEN nfc_normalize(trim(t)) END;
CREATE OR REPLACE TEMP MACRO business_key(t) AS nfc_normalize(trim(t));
CREATE OR REPLACE TEMP MACRO capitalized(word) AS
    CASE WHEN length(word) > 2 AND lower(word[1:2]) = 'mc'
         THEN 'Mc' || upper(word[3]) || lower(word[4:])
         ELSE upper(word[1]) || lower(word[2:]) END;
CREATE OR REPLACE TEMP MACRO title_case(t) AS
    array_to_string(
        list_transform(regexp_extract_all(t, '\pL+|\PL+'), lambda word: capitalized(word)), '');
CREATE OR REPLACE TEMP MACRO person_name(t) AS
    CASE WHEN t = upper(t) OR t = lower(t) THEN title_case(t) ELSE t END;
-- Plain numbers are cast as they are; only the others meet the longer pattern. 18 digits are an
-- int64 in DuckDB and hold every amount that the contract allows.
CREATE OR REPLACE TEMP MACRO amount(t) AS
    CASE WHEN regexp_full_match(t, '[+-]?[0-9]{1,14}([.][0-9]{1,4})?')
         THEN try_cast(t || '' AS DECIMAL(18, 4))
         WHEN regexp_full_match(
             t, '\s*[+-]?\s*[$€£¥]?\s*([0-9]+|[0-9]{1,3}(,[0-9]{3})+)?([.][0-9]*)?\s*[$€£¥]?\s*')
         THEN try_cast(regexp_replace(t, '[^0-9.+-]', '', 'g') AS DECIMAL(18, 4)) END;
CREATE OR REPLACE TEMP MACRO calendar_date(t) AS
    CASE WHEN length(t) = 10 AND t[5] = '-' AND t[8] = '-' THEN try_cast(t || '' AS DATE)
         WHEN regexp_full_match(t, '\d{4}-\d\d-\d\d[T ]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d([.,]\d+)?)?')
         THEN try_cast(t[:10] AS DATE)
         WHEN regexp_full_match(trim(t), '\d{8}')
         THEN try_cast(trim(t)[:4] || '-' || trim(t)[5:6] || '-' || trim(t)[7:] AS DATE)
         WHEN regexp_full_match(
             trim(t), '\d{4}-\d\d-\d\d([T ]\d\d(:?\d\d(:?\d\d(\.\d+)?)?)?([+-]\d\d(:?\d\d)?|Z)?)?')
         THEN make_timestamp(epoch_us(try_cast(trim(t) AS TIMESTAMPTZ)))::DATE END;

BEGIN;

CREATE TABLE IF NOT EXISTS dim_customer (
    customer_key INTEGER PRIMARY KEY, customer_id VARCHAR NOT NULL UNIQUE, first_name VARCHAR,
    last_name VARCHAR, full_name VARCHAR, company VARCHAR, email VARCHAR, phone VARCHAR,
    address VARCHAR, city VARCHAR, state VARCHAR, postal_code VARCHAR, country VARCHAR,
    segment VARCHAR, is_deleted BOOLEAN, is_inferred BOOLEAN NOT NULL);
CREATE TABLE IF NOT EXISTS dim_product (
    product_key INTEGER PRIMARY KEY, product_id VARCHAR NOT NULL UNIQUE, product_name VARCHAR,
    category VARCHAR, brand VARCHAR, price DECIMAL(19, 4), cost DECIMAL(19, 4),
    is_cost_estimated BOOLEAN, price_tier VARCHAR, profit_margin_pct DECIMAL(19, 2),
    specifications VARCHAR, is_deleted BOOLEAN, is_inferred BOOLEAN NOT NULL);
CREATE TABLE IF NOT EXISTS dim_sales_rep (
    sales_rep_key INTEGER PRIMARY KEY, sales_rep_id VARCHAR NOT NULL UNIQUE, first_name VARCHAR,
    last_name VARCHAR, full_name VARCHAR, email VARCHAR, region VARCHAR, hire_date DATE,
    is_inferred BOOLEAN NOT NULL);
CREATE TABLE IF NOT EXISTS dim_date (
    date_key INTEGER PRIMARY KEY, full_date DATE, year SMALLINT, quarter SMALLINT, month SMALLINT,
    month_name VARCHAR, iso_week SMALLINT, day_of_month SMALLINT, day_of_week SMALLINT,
    day_name VARCHAR, is_weekend BOOLEAN);
CREATE TABLE IF NOT EXISTS fact_sales (
    transaction_id VARCHAR, customer_key INTEGER, product_key INTEGER, sales_rep_key INTEGER,
    date_key INTEGER, quantity DECIMAL(19, 4), unit_price DECIMAL(19, 4),
    discount_amount DECIMAL(19, 4), gross_amount DECIMAL(19, 4), net_amount DECIMAL(19, 4),
    unit_cost DECIMAL(19, 4), profit_amount DECIMAL(19, 4), currency VARCHAR, run_id VARCHAR);

INSERT INTO dim_customer (customer_key, customer_id, full_name, segment, is_deleted, is_inferred)
SELECT -1, '', 'Unknown', 'Unknown', false, false
WHERE NOT EXISTS (FROM dim_customer WHERE customer_key = -1);
INSERT INTO dim_product (product_key, product_id, product_name, category, brand,
                         is_cost_estimated, price_tier, is_deleted, is_inferred)
SELECT -1, '', 'Unknown', 'Unknown', 'Unknown', false, 'Unknown', false, false
WHERE NOT EXISTS (FROM dim_product WHERE product_key = -1);
INSERT INTO dim_sales_rep (sales_rep_key, sales_rep_id, full_name, region, is_inferred)
SELECT -1, '', 'Unknown', 'Unknown', false
WHERE NOT EXISTS (FROM dim_sales_rep WHERE sales_rep_key = -1);
INSERT INTO dim_date (date_key, month_name, day_name)
SELECT -1, 'Unknown', 'Unknown' WHERE NOT EXISTS (FROM dim_date WHERE date_key = -1);

-- Sales: one pass over the file. Rows come in file order, so that `rowid` tells which was last.
-- A cast written straight on a column would be done by the CSV reader, which fails on dirt.

CREATE TEMP TABLE sales AS
WITH texts AS (
    SELECT *, business_key(transaction_id) AS id, business_key(product_id) AS product,
           business_key(customer_id) AS customer, business_key(sales_rep_id) AS rep,
           calendar_date(transaction_date) AS day, amount(quantity) AS units,
           amount(unit_price) AS price,
           CASE WHEN trim(discount_amount) NOT IN ('', 'NULL', '\N')
                THEN amount(discount_amount) ELSE 0 END AS discount
    FROM read_csv('sales_transactions.csv', header = true, delim = ',', quote = '"',
                  escape = '"', auto_detect = false, nullstr = '(none)', store_rejects = true,
                  rejects_table = 'malformed_sales', rejects_scan = 'scan_of_sales', columns = {
                      'transaction_id': 'VARCHAR', 'transaction_date': 'VARCHAR',
                      'customer_id': 'VARCHAR', 'product_id': 'VARCHAR',
                      'sales_rep_id': 'VARCHAR', 'quantity': 'VARCHAR',
                      'unit_price': 'VARCHAR', 'discount_amount': 'VARCHAR'})
), computed AS (
    SELECT *, try_cast(units * price AS DECIMAL(18, 4)) AS gross FROM texts
), judged AS (
    SELECT *, CASE
        WHEN contains(id, chr(0)) OR contains(customer, chr(0)) OR contains(product, chr(0))
          OR contains(rep, chr(0))
          OR ((day IS NULL OR gross IS NULL OR discount IS NULL) AND contains(
                 concat(transaction_date, quantity, unit_price, discount_amount), chr(0)))
            THEN 'invalid_text'
        WHEN id = '' OR product = '' THEN 'missing_key'
        WHEN day IS NULL THEN 'invalid_date'
        WHEN day < DATE '1900-01-01' OR year(day) > year(current_date) + 1
            THEN 'date_out_of_range'
        WHEN units IS NULL THEN 'invalid_quantity'
        WHEN units <= 0 THEN 'non_positive_quantity'
        WHEN price IS NULL THEN 'invalid_unit_price'
        WHEN price <= 0 THEN 'non_positive_price'
        WHEN gross IS NULL THEN 'invalid_unit_price'
        WHEN discount IS NULL OR discount < 0 THEN 'invalid_discount'
        WHEN discount > gross THEN 'negative_net_amount' END AS reason
    FROM computed
)
SELECT id AS transaction_id, customer AS customer_id, product AS product_id,
       rep AS sales_rep_id, (year(day) * 10000 + month(day) * 100 + day(day))::INTEGER AS date_key,
       units AS quantity, price AS unit_price, discount AS discount_amount, gross AS gross_amount,
       reason,
       CASE WHEN reason IS NOT NULL
            THEN [transaction_id, transaction_date, customer_id, product_id, sales_rep_id,
                  quantity, unit_price, discount_amount] END AS original
FROM judged;

-- Duplicates: only the few repeated keys are looked at row by row.

CREATE TEMP TABLE losers AS
WITH repeated AS (
    SELECT transaction_id FROM sales WHERE reason IS NULL GROUP BY ALL HAVING count(*) > 1
), copies AS (
    SELECT sales.rowid AS row_number, sales.*,
           row(sales_rep_id, customer_id, product_id, date_key, quantity, unit_price,
               discount_amount) AS content
    FROM sales SEMI JOIN repeated USING (transaction_id)
    WHERE reason IS NULL
)
SELECT *, CASE WHEN content = last_value(content) OVER of_key
               THEN 'duplicate' ELSE 'conflicting_duplicate' END AS verdict
FROM copies
WINDOW of_key AS (PARTITION BY transaction_id ORDER BY row_number
                  ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
QUALIFY row_number <> last_value(row_number) OVER of_key;

DELETE FROM sales WHERE rowid IN (SELECT row_number FROM losers);

-- Customers, with placeholders for those that only sales name.

CREATE TEMP TABLE customers AS
WITH texts AS (
    SELECT row_number() OVER () AS row_number, business_key(customer_id) AS customer_id,
           person_name(attribute(first_name)) AS first_name,
           person_name(attribute(last_name)) AS last_name, attribute(company) AS company,
           lower(attribute(email)) AS email, attribute(phone) AS phone,
           attribute(address) AS address, attribute(city) AS city, attribute(state) AS state,
           attribute(postal_code) AS postal_code, attribute(country) AS country,
           title_case(attribute(segment)) AS segment
    FROM read_csv('customers.csv', header = true, delim = ',', quote = '"', escape = '"',
                  all_varchar = true, nullstr = '(none)', store_rejects = true,
                  rejects_table = 'malformed_customers', rejects_scan = 'scan_of_customers')
), parsed AS (
    SELECT * REPLACE (CASE WHEN regexp_full_match(
               email, '[a-z0-9_%+-]+(\.[a-z0-9_%+-]+)*@([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]+')
               THEN email END AS email),
           regexp_replace(phone, '[ ().-]', '', 'g') AS digits,
           CASE WHEN city IS NULL AND state IS NULL AND postal_code IS NULL
                THEN regexp_extract(
                    address, '^(.+),\s*([^,]+),\s*([A-Za-z]{2})\.?\s+(\d{5}(?:-\d{4})?)$',
                    ['street', 'city', 'state', 'zip']) END AS part,
           coalesce(part['zip'], '') <> '' AS is_one_line
    FROM texts
), cleaned AS (
    SELECT row_number, customer_id, first_name, last_name,
           coalesce(nullif(concat_ws(' ', first_name, last_name), ''), company,
                    'Customer ' || customer_id) AS full_name,
           company, email,
           CASE WHEN regexp_full_match(digits, '(\+?1)?[2-9]\d{9}')
                     AND coalesce(country, 'US') IN ('US', 'USA', 'United States')
                THEN format('({}) {}-{}', digits[-10:-8], digits[-7:-5], digits[-4:])
                ELSE phone END AS phone,
           if(is_one_line, part.street, address) AS address,
           if(is_one_line, part.city, city) AS city,
           if(is_one_line, upper(part.state), state) AS state,
           if(is_one_line, part.zip, postal_code) AS postal_code,
           country,
           coalesce(segment, CASE
               WHEN email IS NULL THEN 'Unknown'
               WHEN split_part(email, '@', 2) IN (
                   'gmail.com', 'yahoo.com', 'hotmail.com', 'outlook.com', 'icloud.com', 'aol.com')
               THEN 'Consumer' ELSE 'Business' END) AS segment
    FROM parsed
)
SELECT *, row(*COLUMNS(* EXCLUDE (row_number))) AS content, CASE
    WHEN customer_id = '' THEN 'missing_key'
    WHEN row_number = last_value(row_number) OVER of_key THEN NULL
    WHEN content = last_value(content) OVER of_key THEN 'duplicate'
    ELSE 'conflicting_duplicate' END AS reason
FROM cleaned
WINDOW of_key AS (PARTITION BY customer_id ORDER BY row_number
                  ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING);

MERGE INTO dim_customer AS known
USING (FROM customers WHERE reason IS NULL) AS given ON known.customer_id = given.customer_id
WHEN MATCHED AND known.is_inferred
    OR row(known.first_name, known.last_name, known.full_name, known.company, known.email,
           known.phone, known.address, known.city, known.state, known.postal_code,
           known.country, known.segment)
       IS DISTINCT FROM
       row(given.first_name, given.last_name, given.full_name, given.company, given.email,
           given.phone, given.address, given.city, given.state, given.postal_code,
           given.country, given.segment)
    THEN UPDATE SET first_name = given.first_name, last_name = given.last_name,
        full_name = given.full_name, company = given.company, email = given.email,
        phone = given.phone, address = given.address, city = given.city, state = given.state,
        postal_code = given.postal_code, country = given.country, segment = given.segment,
        is_inferred = false;

INSERT INTO dim_customer
SELECT row_number() OVER (ORDER BY customer_id)
       + (SELECT greatest(max(customer_key), 0) FROM dim_customer),
       customer_id, first_name, last_name, full_name, company, email, phone, address, city,
       state, postal_code, country, segment, false, false
FROM customers ANTI JOIN dim_customer USING (customer_id)
WHERE reason IS NULL;

INSERT INTO dim_customer (customer_key, customer_id, full_name, segment, is_deleted, is_inferred)
SELECT row_number() OVER (ORDER BY customer_id) + (SELECT max(customer_key) FROM dim_customer),
       customer_id, 'Customer ' || customer_id, 'Unknown', false, true
FROM (SELECT DISTINCT customer_id FROM sales WHERE reason IS NULL)
ANTI JOIN dim_customer USING (customer_id);

-- Products

CREATE TEMP TABLE products AS
WITH texts AS (
    SELECT row_number() OVER () AS row_number, business_key(product_id) AS product_id,
           attribute(name) AS name, attribute(category) AS category, attribute(brand) AS brand,
           amount(price) AS given_price, amount(cost) AS given_cost, specifications
    FROM read_json('products.json', format = 'array', columns = {
        'product_id': 'VARCHAR', 'name': 'VARCHAR', 'category': 'VARCHAR', 'brand': 'VARCHAR',
        'price': 'VARCHAR', 'cost': 'VARCHAR', 'specifications': 'VARCHAR'})
), priced AS (
    SELECT *, CASE WHEN given_price >= 0 THEN given_price END AS price,
           CASE WHEN given_cost >= 0 THEN given_cost END AS real_cost,
           coalesce(real_cost, round(price * 0.70, 4))::DECIMAL(18, 4) AS cost
    FROM texts
), cleaned AS (
    SELECT row_number, product_id, coalesce(name, 'Product ' || product_id) AS product_name,
           coalesce(category, 'Unknown') AS category, coalesce(brand, 'Unknown') AS brand,
           price, cost, real_cost IS NULL AND cost IS NOT NULL AS is_cost_estimated,
           CASE WHEN price >= 200 THEN 'High' WHEN price >= 50 THEN 'Medium'
                WHEN price IS NOT NULL THEN 'Low' ELSE 'Unknown' END AS price_tier,
           CASE WHEN price > 0 THEN round((price - cost) / price * 100, 2) END
               ::DECIMAL(19, 2) AS profit_margin_pct,
           specifications
    FROM priced
)
SELECT *, row(*COLUMNS(* EXCLUDE (row_number))) AS content, CASE
    WHEN product_id = '' THEN 'missing_key'
    WHEN row_number = last_value(row_number) OVER of_key THEN NULL
    WHEN content = last_value(content) OVER of_key THEN 'duplicate'
    ELSE 'conflicting_duplicate' END AS reason
FROM cleaned
WINDOW of_key AS (PARTITION BY product_id ORDER BY row_number
                  ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING);

MERGE INTO dim_product AS known
USING (FROM products WHERE reason IS NULL) AS given ON known.product_id = given.product_id
WHEN MATCHED AND known.is_inferred
    OR row(known.product_name, known.category, known.brand, known.price, known.cost,
           known.is_cost_estimated, known.price_tier, known.profit_margin_pct,
           known.specifications)
       IS DISTINCT FROM
       row(given.product_name, given.category, given.brand, given.price, given.cost,
           given.is_cost_estimated, given.price_tier, given.profit_margin_pct,
           given.specifications)
    THEN UPDATE SET product_name = given.product_name, category = given.category,
        brand = given.brand, price = given.price, cost = given.cost,
        is_cost_estimated = given.is_cost_estimated, price_tier = given.price_tier,
        profit_margin_pct = given.profit_margin_pct, specifications = given.specifications,
        is_inferred = false;

INSERT INTO dim_product
SELECT row_number() OVER (ORDER BY product_id)
       + (SELECT greatest(max(product_key), 0) FROM dim_product),
       product_id, product_name, category, brand, price, cost, is_cost_estimated, price_tier,
       profit_margin_pct, specifications, false, false
FROM products ANTI JOIN dim_product USING (product_id)
WHERE reason IS NULL;

INSERT INTO dim_product (product_key, product_id, product_name, category, brand,
                         is_cost_estimated, price_tier, is_deleted, is_inferred)
SELECT row_number() OVER (ORDER BY product_id) + (SELECT max(product_key) FROM dim_product),
       product_id, 'Product ' || product_id, 'Unknown', 'Unknown', false, 'Unknown', false, true
FROM (SELECT DISTINCT product_id FROM sales WHERE reason IS NULL)
ANTI JOIN dim_product USING (product_id);

-- Sales reps (john_smith is John Smith) and whole years of dates

INSERT INTO dim_sales_rep
SELECT row_number() OVER (ORDER BY sales_rep_id)
       + (SELECT greatest(max(sales_rep_key), 0) FROM dim_sales_rep),
       sales_rep_id, first_name, last_name,
       coalesce(first_name || ' ' || last_name, sales_rep_id), NULL, 'Unassigned', NULL, false
FROM (
    SELECT sales_rep_id, regexp_full_match(sales_rep_id, '[^\d_.\s]+([_.\s]+[^\d_.\s]+)+') AS is_name,
           lower(regexp_replace(sales_rep_id, '[_.\s]+', ' ', 'g')) AS name,
           if(is_name, title_case(split_part(name, ' ', 1)), NULL) AS first_name,
           if(is_name, title_case(name[instr(name, ' ') + 1:]), NULL) AS last_name
    FROM (SELECT DISTINCT sales_rep_id FROM sales WHERE reason IS NULL)
    ANTI JOIN dim_sales_rep USING (sales_rep_id)
);

INSERT INTO dim_date
SELECT year(day) * 10000 + month(day) * 100 + day(day) AS date_key, day, year(day), quarter(day),
       month(day), monthname(day), weekofyear(day), day(day), isodow(day), dayname(day),
       isodow(day) > 5
FROM (
    SELECT unnest(generate_series(make_date(min(date_key) // 10000, 1, 1),
                                  make_date(max(date_key) // 10000, 12, 31),
                                  INTERVAL 1 DAY))::DATE AS day
    FROM sales WHERE reason IS NULL
)
WHERE day NOT IN (SELECT full_date FROM dim_date WHERE full_date IS NOT NULL);

-- Facts: keys and profit, then the merge.

CREATE TEMP VIEW facts AS
SELECT transaction_id, customer_key, product_key, sales_rep_key, date_key, quantity, unit_price,
       discount_amount, gross_amount, gross_amount - discount_amount AS net_amount,
       cost AS unit_cost,
       (gross_amount - discount_amount - (quantity * cost::DECIMAL(18, 4))::DECIMAL(18, 4))
           ::DECIMAL(19, 4) AS profit_amount, NULL AS currency
FROM sales
JOIN dim_customer USING (customer_id)
JOIN dim_product USING (product_id)
JOIN dim_sales_rep USING (sales_rep_id)
WHERE reason IS NULL;

UPDATE fact_sales AS known
SET customer_key = given.customer_key, product_key = given.product_key,
    sales_rep_key = given.sales_rep_key, date_key = given.date_key, quantity = given.quantity,
    unit_price = given.unit_price, discount_amount = given.discount_amount,
    gross_amount = given.gross_amount, net_amount = given.net_amount,
    unit_cost = given.unit_cost, profit_amount = given.profit_amount, run_id = 'baseline'
FROM facts AS given
WHERE known.transaction_id = given.transaction_id
  AND row(known.customer_key, known.product_key, known.sales_rep_key, known.date_key,
          known.quantity, known.unit_price, known.discount_amount, known.profit_amount)
      IS DISTINCT FROM
      row(given.customer_key, given.product_key, given.sales_rep_key, given.date_key,
          given.quantity, given.unit_price, given.discount_amount, given.profit_amount);

-- MERGE INTO does both in one statement, and takes a quarter longer on an empty table.
INSERT INTO fact_sales
SELECT *, 'baseline' FROM facts ANTI JOIN fact_sales USING (transaction_id);

-- Rejects, for people to mend, and the account of them.

CREATE TEMP TABLE rejects AS
SELECT 'transactions' AS source, reason, array_to_string(original, '|') AS original
FROM sales WHERE reason IS NOT NULL
UNION ALL
SELECT 'transactions', verdict,
       concat_ws('|', transaction_id, date_key, customer_id, product_id, sales_rep_id, quantity,
                 unit_price, discount_amount)
FROM losers
UNION ALL
SELECT DISTINCT 'transactions', 'malformed_row', csv_line FROM malformed_sales
UNION ALL
SELECT DISTINCT 'customers', 'malformed_row', csv_line FROM malformed_customers
UNION ALL
SELECT 'customers', reason, content::VARCHAR FROM customers WHERE reason IS NOT NULL
UNION ALL
SELECT 'products', reason, content::VARCHAR FROM products WHERE reason IS NOT NULL;

COPY (FROM rejects WHERE reason <> 'duplicate') TO 'rejects.csv';

COMMIT;

SELECT source, reason, count(*) FROM rejects GROUP BY ALL ORDER BY ALL;
