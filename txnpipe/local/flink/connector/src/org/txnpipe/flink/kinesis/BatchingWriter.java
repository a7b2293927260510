package org.txnpipe.flink.kinesis;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import org.apache.flink.api.common.operators.ProcessingTimeService;
import org.apache.flink.api.common.serialization.SerializationSchema;
import org.apache.flink.api.connector.sink2.SinkWriter;
import org.apache.flink.api.connector.sink2.WriterInitContext;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.node.ArrayNode;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.node.ObjectNode;
import org.apache.flink.table.data.RowData;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Gathers rows and sends them with PutRecords: when the batch is full, when its oldest row has waited long enough, and
 * before every checkpoint.
 *
 * <p>A send returns when every record has been acknowledged; records refused on their own are sent again on their own.
 * While Kinesis cannot be reached the task waits, and the backlog stays in the source stream. Everything runs in the
 * task's thread.
 */
final class BatchingWriter implements SinkWriter<RowData> {
    private static final Logger LOG = LoggerFactory.getLogger(BatchingWriter.class);

    private final SinkSettings settings;
    private final PartitionKey partitionKey;
    private final SerializationSchema<RowData> serializer;
    private final KinesisClient client;
    private final ProcessingTimeService timers;
    private final int subtask;

    private List<Entry> buffer = new ArrayList<>();
    private long bufferedBytes;
    private boolean timerSet;

    private static final class Entry {
        final String partitionKey;
        final byte[] data;

        Entry(String partitionKey, byte[] data) {
            this.partitionKey = partitionKey;
            this.data = data;
        }

        /** Kinesis counts data and partition key. */
        long size() {
            return data.length + partitionKey.getBytes(StandardCharsets.UTF_8).length;
        }
    }

    BatchingWriter(
            WriterInitContext context,
            SinkSettings settings,
            PartitionKey partitionKey,
            SerializationSchema<RowData> serializer) {
        this.settings = settings;
        this.partitionKey = partitionKey;
        this.serializer = serializer;
        this.client = new KinesisClient(settings.stream);
        this.timers = context.getProcessingTimeService();
        this.subtask = context.getTaskInfo().getIndexOfThisSubtask();
    }

    @Override
    public void write(RowData row, Context context) throws IOException, InterruptedException {
        Entry entry = new Entry(partitionKey.of(row, subtask), serializer.serialize(row));
        if (!buffer.isEmpty() && bufferedBytes + entry.size() > settings.flushBytes) {
            send();
        }
        buffer.add(entry);
        bufferedBytes += entry.size();
        if (buffer.size() >= settings.batchSize || bufferedBytes >= settings.flushBytes) {
            send();
        } else if (!timerSet) {
            timerSet = true;
            timers.registerTimer(timers.getCurrentProcessingTime() + settings.flushTimeoutMs, this::onTimer);
        }
    }

    private void onTimer(long time) throws IOException, InterruptedException {
        timerSet = false;
        send();
    }

    @Override
    public void flush(boolean endOfInput) throws IOException, InterruptedException {
        send();
    }

    @Override
    public void close() {
        // What is still buffered belongs to no completed checkpoint and will be produced again.
    }

    private void send() throws IOException, InterruptedException {
        List<Entry> entries = buffer;
        KinesisClient.Backoff backoff = new KinesisClient.Backoff();
        while (!entries.isEmpty()) {
            entries = refused(entries, put(entries));
            if (!entries.isEmpty()) {
                Thread.sleep(backoff.next());
            }
        }
        buffer = new ArrayList<>();
        bufferedBytes = 0;
    }

    private JsonNode put(List<Entry> entries) throws IOException, InterruptedException {
        ObjectNode request = client.request();
        ArrayNode records = request.putArray("Records");
        for (Entry entry : entries) {
            records.addObject()
                    .put("PartitionKey", entry.partitionKey)
                    .put("Data", Base64.getEncoder().encodeToString(entry.data));
        }
        return settings.failOnError ? client.call("PutRecords", request) : client.callPatiently("PutRecords", request);
    }

    private List<Entry> refused(List<Entry> entries, JsonNode answer) throws IOException {
        List<Entry> refused = new ArrayList<>();
        if (answer.path("FailedRecordCount").asInt() == 0) {
            return refused;
        }
        JsonNode results = answer.path("Records");
        String reason = "";
        for (int index = 0; index < entries.size(); index++) {
            if (results.path(index).hasNonNull("ErrorCode")) {
                reason = results.path(index).get("ErrorCode").asText();
                refused.add(entries.get(index));
            }
        }
        if (settings.failOnError && !refused.isEmpty()) {
            throw new IOException(refused.size() + " records were refused: " + reason);
        }
        LOG.info("{} of {} records were refused ({}); sending them again", refused.size(), entries.size(), reason);
        return refused;
    }
}
