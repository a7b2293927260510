-- What large_amount must have found in a run, from the stored transactions. The run is :run_id.
SELECT 'large_amount:' || transaction_id AS alert_id, transaction_id
FROM transactions
WHERE run_id = :run_id AND amount > {threshold}
