package org.txnpipe.flink.kinesis;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.concurrent.ThreadLocalRandom;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonProcessingException;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.ObjectMapper;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.node.ObjectNode;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The Kinesis API over HTTP, signed.
 *
 * <p>Endpoint and key come from where the AWS SDK looks for them: the table's {@code aws.endpoint}, then
 * AWS_ENDPOINT_URL_KINESIS, then AWS_ENDPOINT_URL; AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
 */
final class KinesisClient {
    private static final Logger LOG = LoggerFactory.getLogger(KinesisClient.class);
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final Duration TIMEOUT = Duration.ofSeconds(30);

    /** One for the process: each has threads and a selector of its own. */
    private static final HttpClient HTTP =
            HttpClient.newBuilder()
                    .version(HttpClient.Version.HTTP_1_1)
                    .connectTimeout(Duration.ofSeconds(5))
                    .build();

    private final StreamAddress stream;
    private final URI endpoint;
    private final Signer signer;

    KinesisClient(StreamAddress stream) {
        this.stream = stream;
        this.endpoint = URI.create(endpoint(stream));
        this.signer =
                new Signer(
                        required("AWS_ACCESS_KEY_ID"), required("AWS_SECRET_ACCESS_KEY"), stream.region, "kinesis");
    }

    private static String endpoint(StreamAddress stream) {
        if (stream.endpoint != null) {
            return stream.endpoint;
        }
        String own = System.getenv("AWS_ENDPOINT_URL_KINESIS");
        return own != null && !own.isEmpty() ? own : required("AWS_ENDPOINT_URL");
    }

    private static String required(String variable) {
        String value = System.getenv(variable);
        if (value == null || value.isEmpty()) {
            throw new IllegalStateException("The environment variable " + variable + " is not set.");
        }
        return value;
    }

    /** The start of a request about this stream. */
    ObjectNode request() {
        return JSON.createObjectNode().put("StreamARN", stream.arn);
    }

    /** One call, no retry. */
    JsonNode call(String operation, ObjectNode body) throws KinesisException, InterruptedException {
        try {
            byte[] content = JSON.writeValueAsBytes(body);
            HttpRequest.Builder request =
                    HttpRequest.newBuilder(endpoint)
                            .timeout(TIMEOUT)
                            .header("Content-Type", "application/x-amz-json-1.1")
                            .header("X-Amz-Target", "Kinesis_20131202." + operation)
                            .POST(HttpRequest.BodyPublishers.ofByteArray(content));
            signer.sign(request, endpoint, "Kinesis_20131202." + operation, content, Instant.now());
            HttpResponse<byte[]> response = HTTP.send(request.build(), HttpResponse.BodyHandlers.ofByteArray());
            if (response.statusCode() != 200) {
                throw error(operation, response);
            }
            return response.body().length == 0 ? JSON.createObjectNode() : JSON.readTree(response.body());
        } catch (KinesisException answered) {
            throw answered;
        } catch (IOException unreachable) {
            throw new KinesisException(operation, unreachable);
        }
    }

    /** Calls until it succeeds or fails for good. Transient errors are waited out, however long they last. */
    JsonNode callPatiently(String operation, ObjectNode body) throws KinesisException, InterruptedException {
        Backoff backoff = new Backoff();
        while (true) {
            try {
                return call(operation, body);
            } catch (KinesisException error) {
                if (!error.isTransient()) {
                    throw error;
                }
                long pause = backoff.next();
                LOG.info("{}; trying again in {} ms", error.getMessage(), pause);
                Thread.sleep(pause);
            }
        }
    }

    private static KinesisException error(String operation, HttpResponse<byte[]> response) {
        String text = new String(response.body(), StandardCharsets.UTF_8);
        String code = "HTTP " + response.statusCode();
        String message = text.length() > 300 ? text.substring(0, 300) : text;
        try {
            JsonNode answer = JSON.readTree(text);
            if (answer.hasNonNull("__type")) {
                String type = answer.get("__type").asText();
                code = type.substring(type.indexOf('#') + 1);
                message = answer.path("message").asText(answer.path("Message").asText(message));
            }
        } catch (JsonProcessingException notJson) {
            LOG.debug("The error of {} is not JSON", operation, notJson);
        }
        return new KinesisException(operation, code, response.statusCode(), message);
    }

    /** Pauses that double from 100 ms to 5 s, with jitter. */
    static final class Backoff {
        private static final long FIRST_MS = 100;
        private static final long LAST_MS = 5000;
        private long ceiling = FIRST_MS;

        long next() {
            long pause = ceiling / 2 + ThreadLocalRandom.current().nextLong(ceiling / 2 + 1);
            ceiling = Math.min(ceiling * 2, LAST_MS);
            return pause;
        }

        void reset() {
            ceiling = FIRST_MS;
        }
    }
}
