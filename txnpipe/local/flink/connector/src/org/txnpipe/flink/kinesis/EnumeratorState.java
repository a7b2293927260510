package org.txnpipe.flink.kinesis;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;

/** Every shard the enumerator has heard of, in the order of discovery. */
final class EnumeratorState implements Serializable {
    private static final long serialVersionUID = 1L;

    /** What is known of one shard. */
    static final class Shard implements Serializable {
        private static final long serialVersionUID = 1L;

        enum Stage {
            WAITING,
            ASSIGNED,
            FINISHED
        }

        final String shardId;
        final List<String> parents;
        ShardSplit split;
        Stage stage = Stage.WAITING;

        Shard(ShardSplit split, List<String> parents) {
            this.shardId = split.shardId;
            this.split = split;
            this.parents = new ArrayList<>(parents);
        }

        private Shard(Shard other) {
            this(other.split, other.parents);
            this.stage = other.stage;
        }
    }

    final List<Shard> shards = new ArrayList<>();
    final long startedAtMillis;
    final boolean discovered;

    /** A copy: the enumerator goes on while the state is being written. */
    EnumeratorState(long startedAtMillis, boolean discovered, Collection<Shard> shards) {
        this.startedAtMillis = startedAtMillis;
        this.discovered = discovered;
        for (Shard shard : shards) {
            this.shards.add(new Shard(shard));
        }
    }
}
