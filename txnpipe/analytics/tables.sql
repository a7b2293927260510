-- The streams as tables. Only options that Flink's own Kinesis connector documents.
-- {names} are filled in by txnpipe/packaging/analytics_zip.py.

-- Timestamps are UTC, and state (first rows per transaction_id, an account's history) is forgotten after the loader's
-- de-duplication window.
SET 'table.local-time-zone' = 'UTC';
-- Rows wait at most this long for company on their way from task to task.
SET 'execution.buffer-timeout.interval' = '5 ms';
SET 'table.exec.state.ttl' = '{state_ttl_days} d';

-- Records as bytes: a typed column would let one bad record restart the job for ever.
CREATE TEMPORARY TABLE transaction_records (
    payload BYTES,
    arrival AS PROCTIME()
) WITH (
    'connector' = 'kinesis',
    'stream.arn' = '{stream_arn}',
    'aws.region' = '{region}',
    'source.init.position' = 'TRIM_HORIZON',
    'source.shard.discovery.interval' = '1 s',
    'format' = 'raw'
);

-- A repeated alert goes to the same shard.
CREATE TEMPORARY TABLE alerts (
    alert_id STRING,
    rule STRING,
    transaction_id STRING,
    account_id STRING,
    amount DECIMAL(10, 2),
    event_time STRING,
    detected_at STRING,
    run_id STRING,
    detail STRING
) PARTITIONED BY (alert_id) WITH (
    'connector' = 'kinesis',
    'stream.arn' = '{alert_stream_arn}',
    'aws.region' = '{region}',
    'sink.flush-buffer.timeout' = '20',
    'format' = 'json',
    'json.encode.decimal-as-plain-number' = 'true'
);
