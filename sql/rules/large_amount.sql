-- rule: large_amount
-- title: A single large amount
-- Finds every transaction whose amount is above the threshold.
--
-- parameter threshold number 10000 from 0 to 99999999.99: alert above this amount
SELECT
    transaction_id, account_id, amount, event_time, run_id,
    'amount ' || CAST(amount AS STRING) || ' is above {threshold}' AS detail
FROM transactions
WHERE amount > {threshold}
