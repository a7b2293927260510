package org.txnpipe.flink.kinesis;

import java.io.Serializable;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.table.api.ValidationException;

/** Which stream, where. The endpoint is null unless the table names one; {@link KinesisClient} then looks further. */
final class StreamAddress implements Serializable {
    private static final long serialVersionUID = 1L;

    final String arn;
    final String region;
    final String endpoint;

    StreamAddress(String arn, String region, String endpoint) {
        this.arn = arn;
        this.region = region;
        this.endpoint = endpoint;
    }

    static StreamAddress of(ReadableConfig options) {
        String arn = options.get(KinesisOptions.STREAM_ARN);
        if (!arn.startsWith("arn:") || !arn.contains(":stream/")) {
            throw new ValidationException("stream.arn '" + arn + "' is not the ARN of a stream.");
        }
        return new StreamAddress(
                arn,
                options.get(KinesisOptions.AWS_REGION),
                options.getOptional(KinesisOptions.AWS_ENDPOINT).orElse(null));
    }
}
