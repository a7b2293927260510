-- What amount_spike must have found in a run, from the stored transactions. The run is :run_id.
-- Only accounts that have an amount above `minimum` in the run are put in order: sorting is most of the work.
SELECT 'amount_spike:' || transaction_id AS alert_id, transaction_id
FROM (
    SELECT
        transaction_id, run_id, amount,
        SUM(amount) OVER (
            PARTITION BY account_id ORDER BY LENGTH(sequence_number), sequence_number
            ROWS BETWEEN {history} PRECEDING AND 1 PRECEDING
        ) AS sum_before,
        COUNT(amount) OVER (
            PARTITION BY account_id ORDER BY LENGTH(sequence_number), sequence_number
            ROWS BETWEEN {history} PRECEDING AND 1 PRECEDING
        ) AS transactions_before
    FROM transactions
    WHERE account_id IN (
        SELECT account_id FROM transactions WHERE run_id = :run_id
        GROUP BY account_id HAVING MAX(amount) > {minimum}
    )
) AS with_history
WHERE run_id = :run_id
  AND transactions_before >= {at_least}
  AND amount > {minimum}
  AND sum_before > 0
  AND amount * transactions_before > {factor} * sum_before
