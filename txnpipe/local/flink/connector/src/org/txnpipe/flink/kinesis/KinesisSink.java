package org.txnpipe.flink.kinesis;

import java.io.IOException;
import org.apache.flink.api.common.serialization.SerializationSchema;
import org.apache.flink.api.connector.sink2.Sink;
import org.apache.flink.api.connector.sink2.SinkWriter;
import org.apache.flink.api.connector.sink2.WriterInitContext;
import org.apache.flink.table.data.RowData;

/** A stream as a sink, at least once. */
final class KinesisSink implements Sink<RowData> {
    private static final long serialVersionUID = 1L;

    private final SinkSettings settings;
    private final PartitionKey partitionKey;
    private final SerializationSchema<RowData> serializer;

    KinesisSink(SinkSettings settings, PartitionKey partitionKey, SerializationSchema<RowData> serializer) {
        this.settings = settings;
        this.partitionKey = partitionKey;
        this.serializer = serializer;
    }

    @Override
    public SinkWriter<RowData> createWriter(WriterInitContext context) throws IOException {
        try {
            serializer.open(context.asSerializationSchemaInitializationContext());
        } catch (Exception error) {
            throw new IOException("The format could not be opened", error);
        }
        return new BatchingWriter(context, settings, partitionKey, serializer);
    }
}
