package org.txnpipe.flink.kinesis;

import java.io.IOException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.api.connector.source.ReaderOutput;
import org.apache.flink.api.connector.source.SourceReader;
import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.core.io.InputStatus;
import org.apache.flink.table.data.RowData;
import org.apache.flink.util.Collector;

/**
 * Emits the records of the shards assigned to it.
 *
 * <p>A few threads poll the shards, each shard at most five times a second, and hand whole batches over. When too many
 * wait, polling pauses. All other methods run in the task's thread, which alone owns {@code splits}; a shard's position
 * moves when a record is emitted, so a checkpoint never runs ahead of what it has passed on.
 */
final class ShardReader implements SourceReader<RowData, ShardSplit> {
    private static final int MAX_THREADS = 4;
    private static final int MAX_WAITING_RECORDS = 20_000;

    private final SourceReaderContext context;
    private final SourceSettings settings;
    private final DeserializationSchema<RowData> deserializer;
    private final KinesisClient client;
    private final ScheduledThreadPoolExecutor pollers = new ScheduledThreadPoolExecutor(1, ShardReader::thread);
    private final Map<String, ShardSplit> splits = new LinkedHashMap<>();

    private final Object handover = new Object();
    private final ArrayDeque<ShardConsumer.Batch> waiting = new ArrayDeque<>();
    private int waitingRecords;
    private Throwable failure;
    private CompletableFuture<Void> available = new CompletableFuture<>();

    private ShardConsumer.Batch current;
    private int next;

    ShardReader(SourceReaderContext context, SourceSettings settings, DeserializationSchema<RowData> deserializer) {
        this.context = context;
        this.settings = settings;
        this.deserializer = deserializer;
        this.client = new KinesisClient(settings.stream);
        pollers.setRemoveOnCancelPolicy(true);
    }

    private static Thread thread(Runnable work) {
        Thread thread = new Thread(work, "kinesis-poller");
        thread.setDaemon(true);
        return thread;
    }

    @Override
    public void start() {
        // Polling starts with the first shard.
    }

    @Override
    public void addSplits(List<ShardSplit> added) {
        for (ShardSplit split : added) {
            splits.put(split.shardId, split);
            context.sendSourceEventToCoordinator(new ShardStatus(split));
            if (!split.finished) {
                ShardConsumer consumer = new ShardConsumer(client, split, settings.maxRecords);
                pollers.schedule(() -> poll(consumer), 0, TimeUnit.MILLISECONDS);
            }
        }
        long reading = splits.values().stream().filter(split -> !split.finished).count();
        pollers.setCorePoolSize((int) Math.max(1, Math.min(MAX_THREADS, reading)));
    }

    /** Runs in a poller's thread. */
    private void poll(ShardConsumer consumer) {
        try {
            synchronized (handover) {
                if (waitingRecords >= MAX_WAITING_RECORDS) {
                    again(consumer, SourceSettings.POLL_INTERVAL.toMillis());
                    return;
                }
            }
            ShardConsumer.Batch batch = consumer.poll();
            if (!batch.records.isEmpty() || batch.endOfShard) {
                synchronized (handover) {
                    waiting.add(batch);
                    waitingRecords += batch.records.size();
                    available.complete(null);
                }
            }
            if (!batch.endOfShard) {
                again(consumer, batch.pauseMillis);
            }
        } catch (InterruptedException closing) {
            Thread.currentThread().interrupt();
        } catch (Exception error) {
            synchronized (handover) {
                failure = error;
                available.complete(null);
            }
        }
    }

    private void again(ShardConsumer consumer, long pauseMillis) {
        if (!pollers.isShutdown()) {
            pollers.schedule(() -> poll(consumer), pauseMillis, TimeUnit.MILLISECONDS);
        }
    }

    @Override
    public InputStatus pollNext(ReaderOutput<RowData> output) throws Exception {
        while (current == null || next >= current.records.size()) {
            if (current != null) {
                leave(current);
                current = null;
            }
            synchronized (handover) {
                if (failure != null) {
                    throw new IOException("Reading " + settings.stream.arn + " failed", failure);
                }
                current = waiting.poll();
                next = 0;
                if (current == null) {
                    return InputStatus.NOTHING_AVAILABLE;
                }
            }
        }
        ShardConsumer.Rec record = current.records.get(next++);
        deserializer.deserialize(record.data, new TimestampedOutput(output, record.arrivedMillis));
        splits.put(current.shardId, splits.get(current.shardId).after(record.sequenceNumber));
        return InputStatus.MORE_AVAILABLE;
    }

    private void leave(ShardConsumer.Batch batch) {
        synchronized (handover) {
            waitingRecords -= batch.records.size();
        }
        if (batch.endOfShard) {
            ShardSplit ended = splits.get(batch.shardId).ended();
            splits.put(batch.shardId, ended);
            context.sendSourceEventToCoordinator(new ShardStatus(ended));
        }
    }

    @Override
    public List<ShardSplit> snapshotState(long checkpoint) {
        return new ArrayList<>(splits.values());
    }

    @Override
    public CompletableFuture<Void> isAvailable() {
        if (current != null) {
            return CompletableFuture.completedFuture(null);
        }
        synchronized (handover) {
            if (waiting.isEmpty() && failure == null && available.isDone()) {
                available = new CompletableFuture<>();
            }
            return available;
        }
    }

    @Override
    public void notifyNoMoreSplits() {
        // A stream has no end.
    }

    @Override
    public void close() {
        pollers.shutdownNow();
    }

    /** Passes rows on with the arrival time of their record. */
    private static final class TimestampedOutput implements Collector<RowData> {
        private final ReaderOutput<RowData> output;
        private final long arrivedMillis;

        TimestampedOutput(ReaderOutput<RowData> output, long arrivedMillis) {
            this.output = output;
            this.arrivedMillis = arrivedMillis;
        }

        @Override
        public void collect(RowData row) {
            output.collect(row, arrivedMillis);
        }

        @Override
        public void close() {
            // The output belongs to the task.
        }
    }
}
