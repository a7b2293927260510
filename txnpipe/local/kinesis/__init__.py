"""Kinesis Data Streams of the local cloud: an engine that keeps every acknowledged record on disk.

How the pieces fit, from the bottom up:

- `keyspace`   the 128-bit hash-key space: routing, even partitions, the steps of a reshard. Pure.
- `sequence`   sequence numbers: a counter of the stream and the shard, as one 56-digit number. Pure.
- `limits`     AWS's limits: token buckets per shard, call rates, account quotas. Clock injected.
- `model`      what a stream is, apart from its records; saved as one document.
- `store`      one SQLite file per stream: that document, the shards and the records.
- `reshard`    splits and merges on shard documents. Pure.
- `shard`      the shards in memory and the routing of records to them.
- `stream`     one stream at work: put, read, iterate, reshard, trim.
- `engine`     all streams of all regions; what the poller in this process uses directly.
- `tokens`     shard iterators and pagination tokens.
- `requests`   which stream a request means; pages of listings.
- `validation` requests against botocore's service model, with AWS's messages.
- `operations_…` and `service`: the API, `X-Amz-Target: Kinesis_20131202.*`.
- `part`       the engine as a part of the daemon.
"""
