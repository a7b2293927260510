package org.txnpipe.flink.kinesis;

import java.io.Serializable;
import org.apache.flink.api.connector.source.SourceSplit;

/**
 * How far one shard has been read: the state a reader keeps in checkpoints. Immutable.
 *
 * <p>{@code sequenceNumber} is that of the last record emitted, null before the first; reading then starts at {@code
 * startMillis} (epoch milliseconds), or at the oldest record where that is negative. A finished shard stays in the
 * state, so that a restored job can still tell the enumerator that its children may start.
 */
final class ShardSplit implements SourceSplit, Serializable {
    private static final long serialVersionUID = 1L;
    static final long TRIM_HORIZON = -1;

    final String shardId;
    final long startMillis;
    final String sequenceNumber;
    final boolean finished;

    ShardSplit(String shardId, long startMillis, String sequenceNumber, boolean finished) {
        this.shardId = shardId;
        this.startMillis = startMillis;
        this.sequenceNumber = sequenceNumber;
        this.finished = finished;
    }

    ShardSplit after(String emitted) {
        return new ShardSplit(shardId, startMillis, emitted, false);
    }

    ShardSplit ended() {
        return new ShardSplit(shardId, startMillis, sequenceNumber, true);
    }

    @Override
    public String splitId() {
        return shardId;
    }

    @Override
    public String toString() {
        return shardId + (finished ? " (finished)" : sequenceNumber == null ? "" : " after " + sequenceNumber);
    }
}
