package org.txnpipe.flink.kinesis;

import java.net.URI;
import java.net.http.HttpRequest;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/** AWS Signature Version 4 for POST requests to the root of an endpoint. */
final class Signer {
    private static final DateTimeFormatter TIME =
            DateTimeFormatter.ofPattern("yyyyMMdd'T'HHmmss'Z'").withZone(ZoneOffset.UTC);
    private static final String ALGORITHM = "AWS4-HMAC-SHA256";
    private static final String SIGNED_HEADERS = "content-type;host;x-amz-date;x-amz-target";

    private final String accessKeyId;
    private final String secretAccessKey;
    private final String region;
    private final String service;

    Signer(String accessKeyId, String secretAccessKey, String region, String service) {
        this.accessKeyId = accessKeyId;
        this.secretAccessKey = secretAccessKey;
        this.region = region;
        this.service = service;
    }

    void sign(HttpRequest.Builder request, URI endpoint, String target, byte[] body, Instant now) {
        String time = TIME.format(now);
        String date = time.substring(0, 8);
        String scope = date + "/" + region + "/" + service + "/aws4_request";
        String host = endpoint.getPort() < 0 ? endpoint.getHost() : endpoint.getHost() + ":" + endpoint.getPort();
        String canonical =
                String.join(
                        "\n",
                        "POST",
                        "/",
                        "",
                        "content-type:application/x-amz-json-1.1",
                        "host:" + host,
                        "x-amz-date:" + time,
                        "x-amz-target:" + target,
                        "",
                        SIGNED_HEADERS,
                        hex(sha256(body)));
        String toSign = String.join("\n", ALGORITHM, time, scope, hex(sha256(bytes(canonical))));
        byte[] key = hmac(bytes("AWS4" + secretAccessKey), date);
        key = hmac(hmac(hmac(key, region), service), "aws4_request");
        request.header("X-Amz-Date", time);
        request.header(
                "Authorization",
                ALGORITHM
                        + " Credential="
                        + accessKeyId
                        + "/"
                        + scope
                        + ", SignedHeaders="
                        + SIGNED_HEADERS
                        + ", Signature="
                        + hex(hmac(key, toSign)));
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static byte[] sha256(byte[] data) {
        try {
            return MessageDigest.getInstance("SHA-256").digest(data);
        } catch (GeneralSecurityException impossible) {
            throw new IllegalStateException(impossible);
        }
    }

    private static byte[] hmac(byte[] key, String text) {
        try {
            Mac mac = Mac.getInstance("HmacSHA256");
            mac.init(new SecretKeySpec(key, "HmacSHA256"));
            return mac.doFinal(bytes(text));
        } catch (GeneralSecurityException impossible) {
            throw new IllegalStateException(impossible);
        }
    }

    private static String hex(byte[] data) {
        StringBuilder text = new StringBuilder(data.length * 2);
        for (byte value : data) {
            text.append(Character.forDigit((value >> 4) & 15, 16)).append(Character.forDigit(value & 15, 16));
        }
        return text.toString();
    }
}
