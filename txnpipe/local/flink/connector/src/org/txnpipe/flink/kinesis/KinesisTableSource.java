package org.txnpipe.flink.kinesis;

import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.table.connector.ChangelogMode;
import org.apache.flink.table.connector.format.DecodingFormat;
import org.apache.flink.table.connector.source.DynamicTableSource;
import org.apache.flink.table.connector.source.ScanTableSource;
import org.apache.flink.table.connector.source.SourceProvider;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.types.DataType;

/** A stream as a table. Like the official connector's, it offers no metadata columns. */
final class KinesisTableSource implements ScanTableSource {
    private final SourceSettings settings;
    private final DecodingFormat<DeserializationSchema<RowData>> format;
    private final DataType rowType;

    KinesisTableSource(
            SourceSettings settings, DecodingFormat<DeserializationSchema<RowData>> format, DataType rowType) {
        this.settings = settings;
        this.format = format;
        this.rowType = rowType;
    }

    @Override
    public ChangelogMode getChangelogMode() {
        return format.getChangelogMode();
    }

    @Override
    public ScanRuntimeProvider getScanRuntimeProvider(ScanContext context) {
        return SourceProvider.of(new KinesisSource(settings, format.createRuntimeDecoder(context, rowType)));
    }

    @Override
    public DynamicTableSource copy() {
        return new KinesisTableSource(settings, format, rowType);
    }

    @Override
    public String asSummaryString() {
        return "kinesis";
    }
}
