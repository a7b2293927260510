package org.txnpipe.flink.kinesis;

import java.io.IOException;
import java.util.Set;

/** An error that Kinesis answered, or (code {@code Unreachable}) that it could not be asked. */
final class KinesisException extends IOException {
    private static final long serialVersionUID = 1L;
    private static final Set<String> TRANSIENT =
            Set.of(
                    "Unreachable",
                    "ProvisionedThroughputExceededException",
                    "LimitExceededException",
                    "ThrottlingException",
                    "RequestLimitExceeded",
                    "KMSThrottlingException",
                    "InternalFailure",
                    "ServiceUnavailable");

    final String code;
    final int status;

    KinesisException(String operation, String code, int status, String message) {
        super(operation + " answered " + code + ": " + message);
        this.code = code;
        this.status = status;
    }

    KinesisException(String operation, IOException cause) {
        super(operation + " got no answer: " + cause, cause);
        this.code = "Unreachable";
        this.status = 0;
    }

    /** Whether the same call may succeed later without anybody changing it. */
    boolean isTransient() {
        return status >= 500 || TRANSIENT.contains(code);
    }

    /** Whether a shard iterator has to be asked for anew. */
    boolean iteratorIsStale() {
        return code.equals("ExpiredIteratorException") || code.equals("InvalidArgumentException");
    }
}
