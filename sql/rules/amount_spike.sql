-- rule: amount_spike
-- title: An amount far above the account's recent mean
-- Finds a transaction whose amount is more than `factor` times the mean of the account's transactions before it, in order
-- of arrival: the last `history` of them, and at least `at_least`. The mean must be positive (refunds are negative), and
-- amounts up to `minimum` are never a spike. Transactions without an account are not looked at.
-- Compared without division (amount * count > factor * sum), so the result is exact.
--
-- parameter factor number 5 from 1 to 1000: how many times the mean
-- parameter history integer 20 from 1 to 1000: transactions that the mean looks back on
-- parameter at_least integer 5 from 1 to 1000: with fewer before it there is no mean to compare with
-- parameter minimum number 100 from 0 to 99999999.99: amounts up to this are never a spike
SELECT
    transaction_id, account_id, amount, event_time, run_id,
    'account ' || account_id || ': amount ' || CAST(amount AS STRING) || ' is more than {factor} times the mean of '
    || CAST(transactions_before AS STRING) || ' transactions before it' AS detail
FROM (
    SELECT *, sum_with_this - amount AS sum_before, count_with_this - 1 AS transactions_before
    FROM (
        SELECT
            transaction_id, account_id, amount, event_time, run_id,
            CAST(SUM(amount) OVER recent AS DECIMAL(18, 2)) AS sum_with_this,
            COUNT(*) OVER recent AS count_with_this
        FROM transactions
        WHERE account_id IS NOT NULL
        WINDOW recent AS (PARTITION BY account_id ORDER BY arrival ROWS BETWEEN {history} PRECEDING AND CURRENT ROW)
    )
)
WHERE transactions_before >= {at_least}
  AND amount > {minimum}
  AND sum_before > 0
  AND amount * transactions_before > {factor} * sum_before
