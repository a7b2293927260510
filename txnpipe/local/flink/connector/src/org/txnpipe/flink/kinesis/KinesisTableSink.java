package org.txnpipe.flink.kinesis;

import java.util.Map;
import org.apache.flink.api.common.serialization.SerializationSchema;
import org.apache.flink.table.connector.ChangelogMode;
import org.apache.flink.table.connector.format.EncodingFormat;
import org.apache.flink.table.connector.sink.DynamicTableSink;
import org.apache.flink.table.connector.sink.SinkV2Provider;
import org.apache.flink.table.connector.sink.abilities.SupportsPartitioning;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.types.DataType;

/** A table as a stream: rows become records, PARTITIONED BY becomes the partition key. */
final class KinesisTableSink implements DynamicTableSink, SupportsPartitioning {
    private final SinkSettings settings;
    private final PartitionKey partitionKey;
    private final EncodingFormat<SerializationSchema<RowData>> format;
    private final DataType rowType;

    KinesisTableSink(
            SinkSettings settings,
            PartitionKey partitionKey,
            EncodingFormat<SerializationSchema<RowData>> format,
            DataType rowType) {
        this.settings = settings;
        this.partitionKey = partitionKey;
        this.format = format;
        this.rowType = rowType;
    }

    @Override
    public ChangelogMode getChangelogMode(ChangelogMode requested) {
        return format.getChangelogMode();
    }

    @Override
    public SinkRuntimeProvider getSinkRuntimeProvider(Context context) {
        return SinkV2Provider.of(
                new KinesisSink(settings, partitionKey, format.createRuntimeEncoder(context, rowType)));
    }

    @Override
    public void applyStaticPartition(Map<String, String> partition) {
        // The planner puts static partition values into the rows as well; the key is read from there.
    }

    @Override
    public DynamicTableSink copy() {
        return new KinesisTableSink(settings, partitionKey, format, rowType);
    }

    @Override
    public String asSummaryString() {
        return "kinesis";
    }
}
