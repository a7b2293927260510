-- Every alert, once. alert_id is RULE:TRANSACTION_ID, so that a repeated alert is a repeated row.
--
-- event_time is the transaction's own time, detected_at the analytics app's clock, arrived_at when the alert
-- stream took the alert, stored_at the loader's clock just before its commit; all UTC.
CREATE TABLE alerts (
    alert_id VARCHAR(120) NOT NULL,
    rule VARCHAR(50) NOT NULL,
    transaction_id VARCHAR(50) NOT NULL,
    account_id VARCHAR(50),
    amount DECIMAL(10,2),
    event_time TIMESTAMP,
    detected_at TIMESTAMP,
    run_id VARCHAR(50),
    detail VARCHAR(1000),
    arrived_at TIMESTAMP NOT NULL,
    stored_at TIMESTAMP NOT NULL,
    shard_id VARCHAR(30) NOT NULL,
    sequence_number VARCHAR(60) NOT NULL
)
-- redshift: DISTKEY (transaction_id)
-- redshift: COMPOUND SORTKEY (arrived_at)
;
-- postgres: CREATE INDEX alerts_alert_id ON alerts (alert_id);
-- postgres: CREATE INDEX alerts_run_id ON alerts (run_id);
