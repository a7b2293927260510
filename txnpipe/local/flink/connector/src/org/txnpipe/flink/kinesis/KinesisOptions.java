package org.txnpipe.flink.kinesis;

import java.time.Duration;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;
import org.apache.flink.table.factories.FactoryUtil;

/**
 * The table options, with the names and defaults of Flink's own Kinesis connector.
 *
 * <p>Options of that connector which have no meaning here (HTTP client, enhanced fan-out, credential providers) are
 * accepted and ignored, see {@link KinesisTableFactory}.
 */
final class KinesisOptions {
    static final ConfigOption<String> STREAM_ARN =
            ConfigOptions.key("stream.arn").stringType().noDefaultValue();
    static final ConfigOption<String> AWS_REGION =
            ConfigOptions.key("aws.region").stringType().noDefaultValue();
    static final ConfigOption<String> AWS_ENDPOINT =
            ConfigOptions.key("aws.endpoint").stringType().noDefaultValue();
    static final ConfigOption<String> FORMAT = FactoryUtil.FORMAT;

    static final ConfigOption<InitialPosition> INIT_POSITION =
            ConfigOptions.key("source.init.position").enumType(InitialPosition.class).defaultValue(InitialPosition.LATEST);
    static final ConfigOption<String> INIT_TIMESTAMP =
            ConfigOptions.key("source.init.timestamp").stringType().noDefaultValue();
    static final ConfigOption<String> INIT_TIMESTAMP_FORMAT =
            ConfigOptions.key("source.init.timestamp.format").stringType().defaultValue("yyyy-MM-dd'T'HH:mm:ss.SSSXXX");
    static final ConfigOption<Duration> DISCOVERY_INTERVAL =
            ConfigOptions.key("source.shard.discovery.interval").durationType().defaultValue(Duration.ofSeconds(10));
    static final ConfigOption<Integer> MAX_RECORDS =
            ConfigOptions.key("source.shard.get-records.max-record-count").intType().defaultValue(10_000);

    static final ConfigOption<String> PARTITIONER =
            ConfigOptions.key("sink.partitioner").stringType().defaultValue("random");
    static final ConfigOption<String> FIELD_DELIMITER =
            ConfigOptions.key("sink.partitioner-field-delimiter").stringType().defaultValue("|");
    static final ConfigOption<Integer> BATCH_SIZE =
            ConfigOptions.key("sink.batch.max-size").intType().defaultValue(500);
    static final ConfigOption<Long> FLUSH_BYTES =
            ConfigOptions.key("sink.flush-buffer.size").longType().defaultValue(5L * 1024 * 1024);
    static final ConfigOption<Long> FLUSH_TIMEOUT_MS =
            ConfigOptions.key("sink.flush-buffer.timeout").longType().defaultValue(5000L);
    static final ConfigOption<Boolean> FAIL_ON_ERROR =
            ConfigOptions.key("sink.fail-on-error").booleanType().defaultValue(false);

    /** Where reading starts when there is no checkpoint. */
    enum InitialPosition {
        LATEST,
        TRIM_HORIZON,
        AT_TIMESTAMP
    }

    private KinesisOptions() {}
}
