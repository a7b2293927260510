package org.txnpipe.flink.kinesis;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.flink.api.connector.source.SourceEvent;
import org.apache.flink.api.connector.source.SplitEnumerator;
import org.apache.flink.api.connector.source.SplitEnumeratorContext;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.node.ObjectNode;
import org.apache.flink.util.FlinkRuntimeException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Finds shards and hands them to readers: a shard only when its parents have been read to their end, so that the
 * records of one partition key stay in order across a reshard.
 *
 * <p>Shards are looked for every {@code source.shard.discovery.interval}, and at once when a reader reaches the end of
 * one. Shards found at the first look start at the initial position, later ones (children) at their oldest record.
 * LATEST means the moment this enumerator was first started, so nothing is missed between then and the first read.
 *
 * <p>Assignment waits until every reader is there: after a failure each tells first which shards it still has, and a
 * child must not start while its parent is being read again.
 */
final class ShardEnumerator implements SplitEnumerator<ShardSplit, EnumeratorState> {
    private static final Logger LOG = LoggerFactory.getLogger(ShardEnumerator.class);

    private final SplitEnumeratorContext<ShardSplit> context;
    private final SourceSettings settings;
    private final KinesisClient client;
    private final Map<String, EnumeratorState.Shard> shards = new LinkedHashMap<>();
    private final Set<Integer> readers = new LinkedHashSet<>();
    private final long startedAtMillis;
    private boolean discovered;

    ShardEnumerator(SplitEnumeratorContext<ShardSplit> context, SourceSettings settings) {
        this(context, settings, new EnumeratorState(System.currentTimeMillis(), false, List.of()));
    }

    ShardEnumerator(SplitEnumeratorContext<ShardSplit> context, SourceSettings settings, EnumeratorState restored) {
        this.context = context;
        this.settings = settings;
        this.client = new KinesisClient(settings.stream);
        this.startedAtMillis = restored.startedAtMillis;
        this.discovered = restored.discovered;
        for (EnumeratorState.Shard shard : restored.shards) {
            shards.put(shard.shardId, shard);
        }
    }

    @Override
    public void start() {
        context.callAsync(this::listShards, this::addShards, 0, settings.discoveryInterval.toMillis());
    }

    @Override
    public void addReader(int subtask) {
        readers.add(subtask);
        assign();
    }

    @Override
    public void handleSplitRequest(int subtask, String host) {
        // Readers do not ask: shards are assigned as soon as they may be read.
    }

    @Override
    public void addSplitsBack(List<ShardSplit> splits, int subtask) {
        readers.remove(subtask);
        for (ShardSplit split : splits) {
            EnumeratorState.Shard shard = shard(split);
            shard.split = split;
            shard.stage = EnumeratorState.Shard.Stage.WAITING;
        }
    }

    @Override
    public void handleSourceEvent(int subtask, SourceEvent event) {
        if (!(event instanceof ShardStatus)) {
            throw new FlinkRuntimeException("Unexpected event: " + event);
        }
        ShardSplit split = ((ShardStatus) event).split;
        EnumeratorState.Shard shard = shard(split);
        boolean newlyFinished = split.finished && shard.stage != EnumeratorState.Shard.Stage.FINISHED;
        shard.split = split;
        shard.stage =
                split.finished ? EnumeratorState.Shard.Stage.FINISHED : EnumeratorState.Shard.Stage.ASSIGNED;
        if (newlyFinished) {
            LOG.info("Shard {} has been read to its end", split.shardId);
            assign();
            context.callAsync(this::listShards, this::addShards);
        }
    }

    private EnumeratorState.Shard shard(ShardSplit split) {
        return shards.computeIfAbsent(split.shardId, id -> new EnumeratorState.Shard(split, List.of()));
    }

    @Override
    public EnumeratorState snapshotState(long checkpoint) {
        return new EnumeratorState(startedAtMillis, discovered, shards.values());
    }

    @Override
    public void close() {
        // The client is the process's own; nothing else is open.
    }

    /** All shards that Kinesis still lists. Runs on another thread; must not touch this object's state. */
    private List<JsonNode> listShards() throws KinesisException, InterruptedException {
        List<JsonNode> found = new ArrayList<>();
        ObjectNode request = client.request();
        while (true) {
            JsonNode page = client.call("ListShards", request);
            page.path("Shards").forEach(found::add);
            if (!page.hasNonNull("NextToken")) {
                return found;
            }
            // ListShards takes either the stream or the token.
            request = client.request().put("NextToken", page.get("NextToken").asText());
            request.remove("StreamARN");
        }
    }

    private void addShards(List<JsonNode> found, Throwable failure) {
        if (failure != null) {
            if (failure instanceof KinesisException && ((KinesisException) failure).isTransient()) {
                LOG.info("{}; looking for shards again later", failure.getMessage());
                return;
            }
            throw new FlinkRuntimeException("Could not list the shards of " + settings.stream.arn, failure);
        }
        long start = discovered ? ShardSplit.TRIM_HORIZON : initialMillis();
        for (JsonNode shard : found) {
            String id = shard.get("ShardId").asText();
            if (!shards.containsKey(id)) {
                List<String> parents = new ArrayList<>();
                for (String field : new String[] {"ParentShardId", "AdjacentParentShardId"}) {
                    if (shard.hasNonNull(field)) {
                        parents.add(shard.get(field).asText());
                    }
                }
                LOG.info("Found shard {} with parents {}", id, parents);
                shards.put(id, new EnumeratorState.Shard(new ShardSplit(id, start, null, false), parents));
            }
        }
        discovered = true;
        assign();
    }

    private long initialMillis() {
        switch (settings.initialPosition) {
            case TRIM_HORIZON:
                return ShardSplit.TRIM_HORIZON;
            case AT_TIMESTAMP:
                return settings.initialTimestamp.toEpochMilli();
            default:
                return startedAtMillis;
        }
    }

    private void assign() {
        readers.retainAll(context.registeredReaders().keySet());
        if (readers.size() < context.currentParallelism()) {
            return;
        }
        for (EnumeratorState.Shard shard : shards.values()) {
            if (shard.stage == EnumeratorState.Shard.Stage.WAITING && parentsAreRead(shard)) {
                shard.stage = EnumeratorState.Shard.Stage.ASSIGNED;
                context.assignSplit(shard.split, reader(shard.shardId));
                LOG.info("Reading {}", shard.split);
            }
        }
    }

    /** Parents that Kinesis no longer lists have expired: there is nothing left to read in them. */
    private boolean parentsAreRead(EnumeratorState.Shard shard) {
        for (String parent : shard.parents) {
            EnumeratorState.Shard known = shards.get(parent);
            if (known != null && known.stage != EnumeratorState.Shard.Stage.FINISHED) {
                return false;
            }
        }
        return true;
    }

    /** Shards are numbered in sequence, so their number spreads them evenly, and the same way every time. */
    private int reader(String shardId) {
        String number = shardId.substring(shardId.lastIndexOf('-') + 1);
        try {
            return (int) (Long.parseLong(number) % context.currentParallelism());
        } catch (NumberFormatException notNumbered) {
            return Math.floorMod(shardId.hashCode(), context.currentParallelism());
        }
    }}
