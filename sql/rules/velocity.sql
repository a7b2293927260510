-- rule: velocity
-- title: Many transactions of one account within a short time
-- Finds the transaction that makes a burst: it and the events - 1 before it on its account, in order of arrival, have
-- the first of them and itself at most `seconds` apart by their own timestamps. One alert per burst: a transaction that
-- continues one (the one before it on the account was already so close to its predecessors) gives none. There is no
-- watermark: alerts need no later event, and one event with a wrong date silences nothing but its neighbours.
-- Transactions without an account are not looked at.
--
-- parameter events integer 5 from 2 to 1000: transactions that make a burst
-- parameter seconds integer 60 from 1 to 86400: the time within which they happen
SELECT
    transaction_id, account_id, amount, event_time, run_id,
    'account ' || account_id || ': {events} transactions within {seconds} s' AS detail
FROM (
    SELECT
        transaction_id, account_id, amount, event_time, run_id,
        LAG(event_time, 1) OVER account AS previous,
        LAG(event_time, {events} - 1) OVER account AS first_of_burst,
        LAG(event_time, {events}) OVER account AS before_first
    FROM transactions
    WHERE account_id IS NOT NULL
    WINDOW account AS (PARTITION BY account_id ORDER BY arrival)
)
WHERE event_time BETWEEN TIMESTAMPADD(SECOND, -{seconds}, first_of_burst) AND TIMESTAMPADD(SECOND, {seconds}, first_of_burst)
  AND NOT COALESCE(
    previous BETWEEN TIMESTAMPADD(SECOND, -{seconds}, before_first) AND TIMESTAMPADD(SECOND, {seconds}, before_first),
    FALSE
  )
