package org.txnpipe.flink.kinesis;

import java.text.SimpleDateFormat;
import java.time.Instant;
import java.util.List;
import java.util.Set;
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.api.common.serialization.SerializationSchema;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.catalog.ResolvedCatalogTable;
import org.apache.flink.table.connector.format.DecodingFormat;
import org.apache.flink.table.connector.format.EncodingFormat;
import org.apache.flink.table.connector.sink.DynamicTableSink;
import org.apache.flink.table.connector.source.DynamicTableSource;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.factories.DeserializationFormatFactory;
import org.apache.flink.table.factories.DynamicTableSinkFactory;
import org.apache.flink.table.factories.DynamicTableSourceFactory;
import org.apache.flink.table.factories.FactoryUtil;
import org.apache.flink.table.factories.SerializationFormatFactory;

/** Tables over Kinesis streams: {@code 'connector' = 'kinesis'}. */
public final class KinesisTableFactory implements DynamicTableSourceFactory, DynamicTableSinkFactory {

    @Override
    public String factoryIdentifier() {
        return "kinesis";
    }

    @Override
    public Set<ConfigOption<?>> requiredOptions() {
        return Set.of(KinesisOptions.STREAM_ARN, KinesisOptions.AWS_REGION, KinesisOptions.FORMAT);
    }

    @Override
    public Set<ConfigOption<?>> optionalOptions() {
        return Set.of(
                KinesisOptions.AWS_ENDPOINT,
                KinesisOptions.INIT_POSITION,
                KinesisOptions.INIT_TIMESTAMP,
                KinesisOptions.INIT_TIMESTAMP_FORMAT,
                KinesisOptions.DISCOVERY_INTERVAL,
                KinesisOptions.MAX_RECORDS,
                KinesisOptions.PARTITIONER,
                KinesisOptions.FIELD_DELIMITER,
                KinesisOptions.BATCH_SIZE,
                KinesisOptions.FLUSH_BYTES,
                KinesisOptions.FLUSH_TIMEOUT_MS,
                KinesisOptions.FAIL_ON_ERROR);
    }

    @Override
    public DynamicTableSource createDynamicTableSource(Context context) {
        FactoryUtil.TableFactoryHelper helper = FactoryUtil.createTableFactoryHelper(this, context);
        DecodingFormat<DeserializationSchema<RowData>> format =
                helper.discoverDecodingFormat(DeserializationFormatFactory.class, KinesisOptions.FORMAT);
        validate(helper);
        ReadableConfig options = helper.getOptions();
        SourceSettings settings =
                new SourceSettings(
                        StreamAddress.of(options),
                        options.get(KinesisOptions.INIT_POSITION),
                        initialTimestamp(options),
                        options.get(KinesisOptions.DISCOVERY_INTERVAL),
                        options.get(KinesisOptions.MAX_RECORDS));
        return new KinesisTableSource(settings, format, context.getPhysicalRowDataType());
    }

    @Override
    public DynamicTableSink createDynamicTableSink(Context context) {
        FactoryUtil.TableFactoryHelper helper = FactoryUtil.createTableFactoryHelper(this, context);
        EncodingFormat<SerializationSchema<RowData>> format =
                helper.discoverEncodingFormat(SerializationFormatFactory.class, KinesisOptions.FORMAT);
        validate(helper);
        ReadableConfig options = helper.getOptions();
        ResolvedCatalogTable table = context.getCatalogTable();
        SinkSettings settings =
                new SinkSettings(
                        StreamAddress.of(options),
                        options.get(KinesisOptions.BATCH_SIZE),
                        options.get(KinesisOptions.FLUSH_BYTES),
                        options.get(KinesisOptions.FLUSH_TIMEOUT_MS),
                        options.get(KinesisOptions.FAIL_ON_ERROR));
        return new KinesisTableSink(
                settings, partitionKey(options, table), format, context.getPhysicalRowDataType());
    }

    /** Refuses misspelt options; those of the official connector that mean nothing here pass. */
    private static void validate(FactoryUtil.TableFactoryHelper helper) {
        helper.validateExcept(
                "aws.credentials.",
                "aws.trust.all.certificates",
                "source.reader.",
                "source.efo.",
                "sink.http-client.",
                "sink.requests.",
                "sink.producer.");
    }

    private static Instant initialTimestamp(ReadableConfig options) {
        if (options.get(KinesisOptions.INIT_POSITION) != KinesisOptions.InitialPosition.AT_TIMESTAMP) {
            return null;
        }
        String text =
                options.getOptional(KinesisOptions.INIT_TIMESTAMP)
                        .orElseThrow(
                                () ->
                                        new ValidationException(
                                                "source.init.position AT_TIMESTAMP needs source.init.timestamp."));
        try {
            // The official connector reads its patterns with SimpleDateFormat, or the value as epoch seconds.
            return new SimpleDateFormat(options.get(KinesisOptions.INIT_TIMESTAMP_FORMAT)).parse(text).toInstant();
        } catch (java.text.ParseException | IllegalArgumentException notThePattern) {
            try {
                return Instant.ofEpochMilli((long) (Double.parseDouble(text) * 1000));
            } catch (NumberFormatException notANumber) {
                throw new ValidationException(
                        "source.init.timestamp '"
                                + text
                                + "' is neither epoch seconds nor of the pattern "
                                + options.get(KinesisOptions.INIT_TIMESTAMP_FORMAT)
                                + ".");
            }
        }
    }

    private static PartitionKey partitionKey(ReadableConfig options, ResolvedCatalogTable table) {
        List<String> columns = table.getPartitionKeys();
        if (!columns.isEmpty()) {
            if (options.getOptional(KinesisOptions.PARTITIONER).isPresent()) {
                throw new ValidationException("sink.partitioner cannot be set for a table that is PARTITIONED BY.");
            }
            return PartitionKey.ofColumns(
                    columns, table.getResolvedSchema(), options.get(KinesisOptions.FIELD_DELIMITER));
        }
        switch (options.get(KinesisOptions.PARTITIONER)) {
            case "random":
                return PartitionKey.random();
            case "fixed":
                return PartitionKey.fixed();
            default:
                throw new ValidationException("sink.partitioner must be 'random' or 'fixed'.");
        }
    }
}
