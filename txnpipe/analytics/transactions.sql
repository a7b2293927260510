-- The event contract of txnpipe/transactions.py in Flink SQL: what it accepts is a transaction here, what it refuses
-- is left out. One corpus of good and bad events holds the two together.

-- The record: at most {max_event_bytes} bytes (as ISO-8859-1 a byte is a character), UTF-8 without U+FFFD (which is also
-- what DECODE puts in place of invalid bytes) and without a lone surrogate, no over-long number, not nested too deep.
-- The last two are looked at only where the text is long enough to break them.
CREATE TEMPORARY VIEW texts AS
SELECT arrival, text
FROM (SELECT arrival, payload, DECODE(payload, 'UTF-8') AS text FROM transaction_records)
WHERE CHAR_LENGTH(DECODE(payload, 'ISO-8859-1')) <= {max_event_bytes}
  AND POSITION(U&'\FFFD' IN text) = 0
  AND (POSITION('\u' IN text) = 0 OR NOT REGEXP(text, 
    '(?<!\\)(?:\\\\)*(?:\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F])'
  ))
  AND (CHAR_LENGTH(text) <= {max_digits} OR NOT REGEXP(text, '[0-9]{{max_digits},}[0-9]'))
  AND (
    NOT REGEXP(text, '(?:[\[\{][^\[\{]*+){{max_depth}}[\[\{]')
    OR NOT REGEXP(COALESCE(JSON_QUERY(text, '{too_deep_path}'), '[]'), '.[\[\{]')
  );

-- The fields as JSON: JSON_QUERY with a wrapper keeps a field's type ('["text"]', '[12.50]') and its exact digits, and
-- gives NULL for what is absent, null, or not JSON. Flink's JSON functions take the first JSON value and ignore what
-- follows; so the record is read once inside brackets and once inside braces, where nothing but the right bracket may
-- follow, and required fields are taken from both.
-- UNNEST makes Flink compute each of these once, not once per use.
CREATE TEMPORARY VIEW fields AS
SELECT arrival, f.*
FROM texts CROSS JOIN UNNEST(ARRAY[ROW(
    JSON_QUERY('[' || text || ']', '$[0].transaction_id' WITH UNCONDITIONAL WRAPPER),
    JSON_QUERY('{"r":' || text || '}', '$.r.amount' WITH UNCONDITIONAL WRAPPER),
    JSON_QUERY('[' || text || ']', '$[0].transaction_type' WITH UNCONDITIONAL WRAPPER),
    JSON_QUERY('{"r":' || text || '}', '$.r.timestamp' WITH UNCONDITIONAL WRAPPER),
    JSON_QUERY(text, '$.account_id' WITH UNCONDITIONAL WRAPPER),
    JSON_QUERY(text, '$.merchant' WITH UNCONDITIONAL WRAPPER),
    JSON_QUERY(text, '$.country' WITH UNCONDITIONAL WRAPPER),
    JSON_QUERY(text, '$.currency' WITH UNCONDITIONAL WRAPPER),
    JSON_QUERY(text, '$.run_id' WITH UNCONDITIONAL WRAPPER)
)]) AS f (
    transaction_id_json, amount_json, transaction_type_json, event_time_json,
    account_id_json, merchant_json, country_json, currency_json, run_id_json
);

-- Strings without their quotes, numbers as text.
CREATE TEMPORARY VIEW field_values AS
SELECT arrival, v.*
FROM (
    SELECT * FROM fields
    WHERE transaction_id_json LIKE '["%' AND transaction_type_json LIKE '["%' AND event_time_json LIKE '["%' AND amount_json IS NOT NULL
      AND (account_id_json IS NULL OR account_id_json LIKE '["%') AND (merchant_json IS NULL OR merchant_json LIKE '["%')
      AND (country_json IS NULL OR country_json LIKE '["%') AND (currency_json IS NULL OR currency_json LIKE '["%')
      AND (run_id_json IS NULL OR run_id_json LIKE '["%')
) CROSS JOIN UNNEST(ARRAY[ROW(
    {string:transaction_id},
    CASE
        WHEN amount_json LIKE '["%' THEN {string:amount}
        ELSE SUBSTRING(amount_json FROM 2 FOR CHAR_LENGTH(amount_json) - 2)
    END,
    {string:transaction_type},
    {string:event_time},
    NULLIF({string:account_id}, ''),
    NULLIF({string:merchant}, ''),
    NULLIF({string:country}, ''),
    NULLIF({string:currency}, ''),
    NULLIF({string:run_id}, '')
)]) AS v (transaction_id, amount, transaction_type, event_time, account_id, merchant, country, currency, run_id);

-- Amounts and points in time. An amount of at most ten significant digits that is not below a cent is exact in
-- DECIMAL(38, 18); anything else is not DECIMAL(10, 2). TRY_CAST reads 30 February as 29 February: the date is compared.
CREATE TEMPORARY VIEW checked AS
SELECT arrival, transaction_id, transaction_type, account_id, merchant, country, currency, run_id, c.*
FROM (
    SELECT * FROM field_values
    WHERE REGEXP(amount, '\A-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?\z') AND CHAR_LENGTH(amount) <= {max_digits} AND REGEXP(event_time, 
        '\A[0-9]{4}-[0-9]{2}-[0-9]{2}[T ](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,9})?'
        || '(?:Z|[+-](?:0[0-9]|1[0-3]):[0-5][0-9]|[+-]14:00)?\z'
    )
) CROSS JOIN UNNEST(ARRAY[ROW(
    REGEXP_REPLACE(REGEXP_REPLACE(amount, '[eE].*|[-.]', ''), '\A0+|0+\z', ''),
    TRY_CAST(amount AS DECIMAL(38, 18)),
    TRY_CAST(
        SUBSTRING(event_time FROM 1 FOR 10) || ' '
        || REGEXP_EXTRACT(SUBSTRING(event_time FROM 12), '\A[0-9:]{8}(?:\.[0-9]{1,6})?', 0) AS TIMESTAMP(6)
    ),
    SUBSTRING(event_time FROM 1 FOR 10),
    CASE SUBSTRING(event_time FROM CHAR_LENGTH(event_time) - 5 FOR 1)
        WHEN '+' THEN 1 WHEN '-' THEN -1 ELSE 0
    END * COALESCE(
        TRY_CAST(SUBSTRING(event_time FROM CHAR_LENGTH(event_time) - 4 FOR 2) AS INT) * 60
        + TRY_CAST(SUBSTRING(event_time FROM CHAR_LENGTH(event_time) - 1 FOR 2) AS INT), 0
    )
)]) AS c (digits, decimal_amount, local_time, local_date, offset_minutes);

CREATE TEMPORARY VIEW valid_transactions AS
SELECT
    transaction_id,
    CASE WHEN digits = '' THEN CAST(0 AS DECIMAL(10, 2)) ELSE CAST(decimal_amount AS DECIMAL(10, 2)) END AS amount,
    transaction_type, event_time, account_id, merchant, country, currency, run_id, arrival
FROM (
    SELECT *, TIMESTAMPADD(MINUTE, -offset_minutes, local_time) AS event_time
    FROM checked
    WHERE SUBSTRING(CAST(local_time AS STRING) FROM 1 FOR 10) = local_date
)
WHERE (
    digits = ''
    OR CHAR_LENGTH(digits) <= 10 AND ABS(decimal_amount) BETWEEN 0.01 AND 99999999.99
      AND decimal_amount = ROUND(decimal_amount, 2)
  )
  AND event_time BETWEEN TIMESTAMP '0001-01-01 00:00:00' AND TIMESTAMP '9999-12-31 23:59:59.999999'
  AND transaction_id <> '' AND transaction_type <> ''
  AND {identifier:transaction_id} AND {identifier:account_id} AND {identifier:run_id}
  AND {text:transaction_type} AND {text:merchant} AND {text:country} AND {text:currency};

-- The first row of each transaction_id, as the loader stores it. Rules read this.
CREATE TEMPORARY VIEW transactions AS
SELECT transaction_id, amount, transaction_type, event_time, account_id, merchant, country, currency, run_id, arrival
FROM (
    SELECT *, ROW_NUMBER() OVER (PARTITION BY transaction_id ORDER BY arrival) AS copy
    FROM valid_transactions
)
WHERE copy = 1;
