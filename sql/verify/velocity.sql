-- What velocity must have found in a run, from the stored transactions. The run is :run_id.
-- Each account's transactions in stream order: one is hot when the one events - 1 places before it is at most `seconds`
-- away. The first hot one after one that is not hot is the alert. One window, so that a million rows are sorted once.
SELECT 'velocity:' || transaction_id AS alert_id, transaction_id
FROM (
    SELECT
        transaction_id, run_id, "timestamp" AS event_time,
        LAG("timestamp", {events} - 1) OVER (
            PARTITION BY account_id ORDER BY LENGTH(sequence_number), sequence_number
        ) AS first_time,
        LAG("timestamp", 1) OVER (
            PARTITION BY account_id ORDER BY LENGTH(sequence_number), sequence_number
        ) AS time_before,
        LAG("timestamp", {events}) OVER (
            PARTITION BY account_id ORDER BY LENGTH(sequence_number), sequence_number
        ) AS first_time_before
    FROM transactions
    WHERE account_id IN (SELECT account_id FROM transactions WHERE run_id = :run_id)
) AS in_order
WHERE run_id = :run_id
  AND event_time >= first_time - INTERVAL '{seconds} seconds'
  AND event_time <= first_time + INTERVAL '{seconds} seconds'
  AND NOT COALESCE(
    time_before >= first_time_before - INTERVAL '{seconds} seconds'
    AND time_before <= first_time_before + INTERVAL '{seconds} seconds',
    FALSE
  )
