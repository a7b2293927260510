package org.txnpipe.flink.kinesis;

import java.io.Serializable;
import java.time.Duration;
import java.time.Instant;

/** What a source needs to know. {@code initialTimestamp} is set for AT_TIMESTAMP only. */
final class SourceSettings implements Serializable {
    private static final long serialVersionUID = 1L;

    /** Kinesis allows five GetRecords per second and shard. */
    static final Duration POLL_INTERVAL = Duration.ofMillis(200);

    final StreamAddress stream;
    final KinesisOptions.InitialPosition initialPosition;
    final Instant initialTimestamp;
    final Duration discoveryInterval;
    final int maxRecords;

    SourceSettings(
            StreamAddress stream,
            KinesisOptions.InitialPosition initialPosition,
            Instant initialTimestamp,
            Duration discoveryInterval,
            int maxRecords) {
        this.stream = stream;
        this.initialPosition = initialPosition;
        this.initialTimestamp = initialTimestamp;
        this.discoveryInterval = discoveryInterval;
        this.maxRecords = maxRecords;
    }
}
