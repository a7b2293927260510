package org.txnpipe.flink.kinesis;

import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.node.ObjectNode;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Reads one shard, one GetRecords at a time. Used by one thread at a time. */
final class ShardConsumer {
    private static final Logger LOG = LoggerFactory.getLogger(ShardConsumer.class);

    private final KinesisClient client;
    private final int maxRecords;
    private final KinesisClient.Backoff backoff = new KinesisClient.Backoff();
    private ShardSplit position;
    private String iterator;

    /** What one poll brought: the records, whether the shard has ended, and how long to wait until the next. */
    static final class Batch {
        final String shardId;
        final List<Rec> records;
        final boolean endOfShard;
        final long pauseMillis;

        Batch(String shardId, List<Rec> records, boolean endOfShard, long pauseMillis) {
            this.shardId = shardId;
            this.records = records;
            this.endOfShard = endOfShard;
            this.pauseMillis = pauseMillis;
        }
    }

    /** One record. {@code arrivedMillis} is its approximate arrival time. */
    static final class Rec {
        final String sequenceNumber;
        final byte[] data;
        final long arrivedMillis;

        Rec(String sequenceNumber, byte[] data, long arrivedMillis) {
            this.sequenceNumber = sequenceNumber;
            this.data = data;
            this.arrivedMillis = arrivedMillis;
        }
    }

    ShardConsumer(KinesisClient client, ShardSplit start, int maxRecords) {
        this.client = client;
        this.position = start;
        this.maxRecords = maxRecords;
    }

    /** Asks once. A transient error gives an empty batch and a longer pause; a lasting one is thrown. */
    Batch poll() throws KinesisException, InterruptedException {
        long started = System.nanoTime();
        boolean fresh = iterator == null;
        try {
            if (fresh) {
                iterator = requestIterator();
            }
            JsonNode answer =
                    client.call(
                            "GetRecords", client.request().put("ShardIterator", iterator).put("Limit", maxRecords));
            backoff.reset();
            List<Rec> records = records(answer);
            if (!records.isEmpty()) {
                position = position.after(records.get(records.size() - 1).sequenceNumber);
            }
            boolean ended = !answer.hasNonNull("NextShardIterator");
            iterator = ended ? null : answer.get("NextShardIterator").asText();
            long elapsed = (System.nanoTime() - started) / 1_000_000;
            long pause = Math.max(0, SourceSettings.POLL_INTERVAL.toMillis() - elapsed);
            return new Batch(position.shardId, records, ended, pause);
        } catch (KinesisException error) {
            if (error.iteratorIsStale() && !fresh) {
                LOG.info("{}; asking for a new iterator of {}", error.getMessage(), position);
                iterator = null;
            } else if (!error.isTransient()) {
                throw error;
            }
            long pause = Math.max(SourceSettings.POLL_INTERVAL.toMillis(), backoff.next());
            LOG.info("{}; reading {} again in {} ms", error.getMessage(), position.shardId, pause);
            return new Batch(position.shardId, List.of(), false, pause);
        }
    }

    private String requestIterator() throws KinesisException, InterruptedException {
        ObjectNode request = client.request().put("ShardId", position.shardId);
        if (position.sequenceNumber != null) {
            request.put("ShardIteratorType", "AFTER_SEQUENCE_NUMBER");
            request.put("StartingSequenceNumber", position.sequenceNumber);
        } else if (position.startMillis == ShardSplit.TRIM_HORIZON) {
            request.put("ShardIteratorType", "TRIM_HORIZON");
        } else {
            request.put("ShardIteratorType", "AT_TIMESTAMP");
            request.put("Timestamp", position.startMillis / 1000.0);
        }
        return client.call("GetShardIterator", request).get("ShardIterator").asText();
    }

    private static List<Rec> records(JsonNode answer) {
        List<Rec> records = new ArrayList<>();
        for (JsonNode record : answer.path("Records")) {
            records.add(
                    new Rec(
                            record.get("SequenceNumber").asText(),
                            Base64.getDecoder().decode(record.get("Data").asText()),
                            (long) (record.path("ApproximateArrivalTimestamp").asDouble() * 1000)));
        }
        return records;
    }
}
