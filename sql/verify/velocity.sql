-- What velocity must have found in a run, from the stored transactions. The run is :run_id.
-- Each account's transactions are numbered in stream order; a transaction is hot when the one events - 1 places before it
-- is at most `seconds` away. The first hot one after one that is not hot is the alert.
WITH numbered AS (
    SELECT
        transaction_id, run_id, account_id, "timestamp" AS event_time,
        ROW_NUMBER() OVER (PARTITION BY account_id ORDER BY LENGTH(sequence_number), sequence_number) AS place
    FROM transactions
    WHERE account_id IN (SELECT account_id FROM transactions WHERE run_id = :run_id)
),
hot AS (
    SELECT later.transaction_id, later.run_id, later.account_id, later.place
    FROM numbered AS later
    JOIN numbered AS earlier ON earlier.account_id = later.account_id AND earlier.place = later.place - ({events} - 1)
    WHERE later.event_time >= earlier.event_time - INTERVAL '{seconds} seconds'
      AND later.event_time <= earlier.event_time + INTERVAL '{seconds} seconds'
)
SELECT 'velocity:' || hot.transaction_id AS alert_id, hot.transaction_id
FROM hot
LEFT JOIN hot AS before ON before.account_id = hot.account_id AND before.place = hot.place - 1
WHERE hot.run_id = :run_id AND before.place IS NULL
