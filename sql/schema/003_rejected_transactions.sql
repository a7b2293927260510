-- Every record that is not a transaction, with the reason. Stream, shard and sequence number are its identity.
--
-- payload is base64 of its first 32 KB (a VARCHAR ends at 65,535 bytes and holds no NUL); payload_bytes and
-- payload_sha256 describe the whole of it.
CREATE TABLE rejected_transactions (
    stream VARCHAR(128) NOT NULL,
    shard_id VARCHAR(30) NOT NULL,
    sequence_number VARCHAR(60) NOT NULL,
    reason VARCHAR(50) NOT NULL,
    detail VARCHAR(500),
    payload_bytes INTEGER NOT NULL,
    payload_sha256 VARCHAR(64) NOT NULL,
    payload VARCHAR(65535),
    arrived_at TIMESTAMP NOT NULL,
    stored_at TIMESTAMP NOT NULL
)
-- redshift: DISTSTYLE EVEN
-- redshift: COMPOUND SORTKEY (arrived_at)
;
-- postgres: CREATE INDEX rejected_transactions_record ON rejected_transactions (sequence_number, shard_id);
