-- The event contract of txnpipe/transactions.py in Flink SQL: what it accepts is a transaction here, what it refuses
-- is left out. One corpus of good and bad events holds the two together.
--
-- Flink puts the expressions of a view wherever its columns are used, as often as they are used. What is {once:...}
-- is SUBSTRING(... FROM 1 + RAND_INTEGER(1)): the same text, but not deterministic to the planner, which therefore
-- computes this view's columns once.

-- The record as text. As ISO-8859-1 a byte is a character.
CREATE TEMPORARY VIEW texts AS
SELECT arrival, {once:DECODE(payload, 'UTF-8')} AS text
FROM transaction_records
WHERE CHAR_LENGTH(DECODE(payload, 'ISO-8859-1')) <= {max_event_bytes};

-- UTF-8 without U+FFFD (which is also what DECODE puts in place of invalid bytes) and without a lone surrogate, no
-- over-long number, not nested too deep. The costlier ones are looked at only where the text may break them.
CREATE TEMPORARY VIEW readable_texts AS
SELECT arrival, text
FROM texts
WHERE POSITION(U&'\FFFD' IN text) = 0
  AND (
    POSITION('\u' IN text) = 0
    OR NOT REGEXP(
      text,
      '(?<!\\)(?:\\\\)*(?:\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])'
      || '|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F])'
    )
  )
  AND (CHAR_LENGTH(text) <= {max_digits} OR NOT REGEXP(text, '[0-9]{{max_digits},}[0-9]'))
  AND (
    CHAR_LENGTH(text) <= 2 * {max_depth}
    OR NOT REGEXP(text, '(?:[\[\{][^\[\{]*+){{max_depth}}[\[\{]')
    OR NOT REGEXP(COALESCE(JSON_QUERY(text, '{too_deep_path}'), '[]'), '.[\[\{]')
  );

-- The fields as JSON: JSON_QUERY with a wrapper keeps a field's type ('["text"]', '[12.50]') and its exact digits, and
-- gives NULL for what is absent, null, or not JSON. Flink's JSON functions take the first JSON value and ignore what
-- follows; so the record is read once inside brackets and once inside braces, where nothing but the right bracket may
-- follow, and required fields are taken from both.
CREATE TEMPORARY VIEW fields AS
SELECT
    arrival,
    {once:JSON_QUERY('[' || text || ']', '$[0].transaction_id' WITH UNCONDITIONAL WRAPPER)} AS transaction_id_json,
    JSON_QUERY('{"r":' || text || '}', '$.r.amount' WITH UNCONDITIONAL WRAPPER) AS amount_json,
    JSON_QUERY(text, '$.transaction_type' WITH UNCONDITIONAL WRAPPER) AS transaction_type_json,
    JSON_QUERY(text, '$.timestamp' WITH UNCONDITIONAL WRAPPER) AS event_time_json,
    JSON_QUERY(text, '$.account_id' WITH UNCONDITIONAL WRAPPER) AS account_id_json,
    JSON_QUERY(text, '$.merchant' WITH UNCONDITIONAL WRAPPER) AS merchant_json,
    JSON_QUERY(text, '$.country' WITH UNCONDITIONAL WRAPPER) AS country_json,
    JSON_QUERY(text, '$.currency' WITH UNCONDITIONAL WRAPPER) AS currency_json,
    JSON_QUERY(text, '$.run_id' WITH UNCONDITIONAL WRAPPER) AS run_id_json
FROM readable_texts;

-- Strings without their quotes, numbers as text.
CREATE TEMPORARY VIEW field_values AS
SELECT
    arrival,
    {once:{string:transaction_id}} AS transaction_id,
    CASE
        WHEN amount_json LIKE '["%' THEN {string:amount}
        ELSE SUBSTRING(amount_json FROM 2 FOR CHAR_LENGTH(amount_json) - 2)
    END AS amount,
    {string:transaction_type} AS transaction_type,
    {string:event_time} AS event_time,
    NULLIF({string:account_id}, '') AS account_id,
    NULLIF({string:merchant}, '') AS merchant,
    NULLIF({string:country}, '') AS country,
    NULLIF({string:currency}, '') AS currency,
    NULLIF({string:run_id}, '') AS run_id
FROM fields
WHERE transaction_id_json LIKE '["%' AND transaction_type_json LIKE '["%' AND event_time_json LIKE '["%'
  AND amount_json IS NOT NULL
  AND (account_id_json IS NULL OR account_id_json LIKE '["%') AND (merchant_json IS NULL OR merchant_json LIKE '["%')
  AND (country_json IS NULL OR country_json LIKE '["%') AND (currency_json IS NULL OR currency_json LIKE '["%')
  AND (run_id_json IS NULL OR run_id_json LIKE '["%');

-- Amounts and points in time. An amount of at most ten significant digits that is not below a cent is exact in
-- DECIMAL(38, 18); anything else is not DECIMAL(10, 2). TRY_CAST reads 30 February as 29 February: the date is compared.
CREATE TEMPORARY VIEW typed_values AS
SELECT
    arrival, transaction_id, transaction_type, account_id, merchant, country, currency, run_id,
    {once:REGEXP_REPLACE(REGEXP_REPLACE(amount, '[eE].*|[-.]', ''), '\A0+|0+\z', '')} AS digits,
    TRY_CAST(amount AS DECIMAL(38, 18)) AS decimal_amount,
    TRY_CAST(
        SUBSTRING(event_time FROM 1 FOR 10) || ' '
        || REGEXP_EXTRACT(SUBSTRING(event_time FROM 12), '\A[0-9:]{8}(?:\.[0-9]{1,6})?', 0) AS TIMESTAMP(6)
    ) AS local_time,
    SUBSTRING(event_time FROM 1 FOR 10) AS local_date,
    CASE SUBSTRING(event_time FROM CHAR_LENGTH(event_time) - 5 FOR 1)
        WHEN '+' THEN 1 WHEN '-' THEN -1 ELSE 0
    END * COALESCE(
        TRY_CAST(SUBSTRING(event_time FROM CHAR_LENGTH(event_time) - 4 FOR 2) AS INT) * 60
        + TRY_CAST(SUBSTRING(event_time FROM CHAR_LENGTH(event_time) - 1 FOR 2) AS INT), 0
    ) AS offset_minutes
FROM field_values
WHERE CHAR_LENGTH(amount) <= {max_digits}
  AND REGEXP(amount, '\A-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?\z')
  AND REGEXP(
    event_time,
    '\A[0-9]{4}-[0-9]{2}-[0-9]{2}[T ](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,9})?'
    || '(?:Z|[+-](?:0[0-9]|1[0-3]):[0-5][0-9]|[+-]14:00)?\z'
  )
  AND transaction_id <> '' AND transaction_type <> ''
  AND {identifier:transaction_id} AND {identifier:account_id} AND {identifier:run_id}
  AND {text:transaction_type} AND {text:merchant} AND {text:country} AND {text:currency};

CREATE TEMPORARY VIEW valid_transactions AS
SELECT
    transaction_id,
    CASE WHEN digits = '' THEN CAST(0 AS DECIMAL(10, 2)) ELSE CAST(decimal_amount AS DECIMAL(10, 2)) END AS amount,
    transaction_type,
    TIMESTAMPADD(MINUTE, -offset_minutes, local_time) AS event_time,
    account_id, merchant, country, currency, run_id, arrival
FROM typed_values
WHERE (
    digits = ''
    OR CHAR_LENGTH(digits) <= 10 AND ABS(decimal_amount) BETWEEN 0.01 AND 99999999.99
      AND decimal_amount = ROUND(decimal_amount, 2)
  )
  AND SUBSTRING(CAST(local_time AS STRING) FROM 1 FOR 10) = local_date
  AND TIMESTAMPADD(MINUTE, -offset_minutes, local_time)
    BETWEEN TIMESTAMP '0001-01-01 00:00:00' AND TIMESTAMP '9999-12-31 23:59:59.999999';

-- The first row of each transaction_id, as the loader stores it. Rules read this. The condition on all the columns is
-- always true: it keeps each of them, so that the views above are the same for every rule and are computed once for all.
CREATE TEMPORARY VIEW transactions AS
SELECT transaction_id, amount, transaction_type, event_time, account_id, merchant, country, currency, run_id, arrival
FROM (
    SELECT *, ROW_NUMBER() OVER (PARTITION BY transaction_id ORDER BY arrival) AS copy
    FROM valid_transactions
)
WHERE copy = 1
  AND CHAR_LENGTH(CONCAT_WS('', transaction_type, account_id, merchant, country, currency, run_id)) >= 0;
