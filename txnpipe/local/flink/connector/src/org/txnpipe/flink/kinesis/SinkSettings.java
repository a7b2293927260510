package org.txnpipe.flink.kinesis;

import java.io.Serializable;

/** What a sink needs to know. A batch is sent at {@code batchSize} records, {@code flushBytes} or the timeout. */
final class SinkSettings implements Serializable {
    private static final long serialVersionUID = 1L;

    final StreamAddress stream;
    final int batchSize;
    final long flushBytes;
    final long flushTimeoutMs;
    final boolean failOnError;

    SinkSettings(StreamAddress stream, int batchSize, long flushBytes, long flushTimeoutMs, boolean failOnError) {
        this.stream = stream;
        this.batchSize = Math.min(batchSize, 500);
        this.flushBytes = flushBytes;
        this.flushTimeoutMs = flushTimeoutMs;
        this.failOnError = failOnError;
    }
}
