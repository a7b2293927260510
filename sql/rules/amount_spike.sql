-- rule: amount_spike
-- title: An amount far above the account's recent mean
-- Finds a transaction whose amount is more than `factor` times the mean of the account's transactions before it, in order
-- of arrival: the last `history` of them, and at least `at_least`. The mean must be positive (refunds are negative), and
-- amounts up to `minimum` are never a spike. Transactions without an account are not looked at.
-- Compared without division (amount * count > factor * sum), so the result is exact.
-- The sum of the last transactions is the difference of two running totals: a window of so many rows would keep every
-- transaction in a state entry of its own and look through all of them at each new one, thirty times the time. Should
-- the state of one total be forgotten before the other's, the two do not belong together, and nothing is said.
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
    SELECT
        transaction_id, account_id, amount, event_time, run_id,
        CASE WHEN place - 1 < {history} THEN place - 1 ELSE {history} END AS transactions_before,
        total - amount - CASE
            WHEN place <= {history} + 1 THEN 0
            WHEN earlier_place = place - ({history} + 1) THEN earlier_total
        END AS sum_before
    FROM (
        SELECT
            transaction_id, account_id, amount, event_time, run_id, total, place,
            LAG(total, {history} + 1) OVER account AS earlier_total,
            LAG(place, {history} + 1) OVER account AS earlier_place
        FROM (
            SELECT
                transaction_id, account_id, amount, event_time, run_id, arrival,
                SUM(amount) OVER account AS total,
                COUNT(*) OVER account AS place
            FROM transactions
            WHERE account_id IS NOT NULL
            WINDOW account AS (PARTITION BY account_id ORDER BY arrival)
        )
        WINDOW account AS (PARTITION BY account_id ORDER BY arrival)
    )
)
WHERE transactions_before >= {at_least}
  AND amount > {minimum}
  AND sum_before > 0
  AND amount * transactions_before > {factor} * sum_before
