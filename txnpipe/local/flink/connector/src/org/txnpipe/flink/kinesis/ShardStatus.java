package org.txnpipe.flink.kinesis;

import org.apache.flink.api.connector.source.SourceEvent;

/** A reader tells the enumerator what it knows of a shard: after taking it over, and when it has reached its end. */
final class ShardStatus implements SourceEvent {
    private static final long serialVersionUID = 1L;

    final ShardSplit split;

    ShardStatus(ShardSplit split) {
        this.split = split;
    }

    @Override
    public String toString() {
        return "ShardStatus " + split;
    }
}
