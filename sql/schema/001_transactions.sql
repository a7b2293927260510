-- Every transaction, once. The first four columns are the event's mandatory fields.
--
-- Redshift enforces no keys: uniqueness of transaction_id is the loader's work, and a test proves it.
-- arrived_at is when Kinesis took the record, stored_at is the loader's clock just before its commit; both
-- and "timestamp" are UTC. shard_id and sequence_number say which record the row came from.
CREATE TABLE transactions (
    transaction_id VARCHAR(50) NOT NULL,
    amount DECIMAL(10,2) NOT NULL,
    transaction_type VARCHAR(20) NOT NULL,
    "timestamp" TIMESTAMP NOT NULL,
    account_id VARCHAR(50),
    merchant VARCHAR(100),
    country VARCHAR(10),
    currency VARCHAR(10),
    run_id VARCHAR(50),
    arrived_at TIMESTAMP NOT NULL,
    stored_at TIMESTAMP NOT NULL,
    shard_id VARCHAR(30) NOT NULL,
    sequence_number VARCHAR(60) NOT NULL
)
-- redshift: DISTKEY (transaction_id)
-- redshift: COMPOUND SORTKEY (arrived_at)
;
-- postgres: CREATE INDEX transactions_transaction_id ON transactions (transaction_id);
-- postgres: CREATE INDEX transactions_run_id ON transactions (run_id);
