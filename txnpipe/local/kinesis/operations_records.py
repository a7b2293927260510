"""PutRecord, PutRecords, GetShardIterator and GetRecords."""

from __future__ import annotations

from binascii import a2b_base64
from typing import Any

import msgspec
import orjson

from txnpipe.local.kinesis import limits, sequence, tokens
from txnpipe.local.kinesis.engine import KinesisEngine
from txnpipe.local.kinesis.keyspace import END
from txnpipe.local.kinesis.limits import MAX_BYTES_PER_GET, MAX_BYTES_PER_PUT, MAX_RECORDS_PER_PUT
from txnpipe.local.kinesis.requests import find_stream, invalid, stream_of
from txnpipe.local.kinesis.shard import Shard
from txnpipe.local.kinesis.stream import Stream
from txnpipe.local.kinesis.tokens import ShardIterator
from txnpipe.local.kinesis.validation import validate
from txnpipe.local.part import ACCOUNT
from txnpipe.local.service import ServiceError

_MAX_KEY_CHARACTERS = 256


class _Entry(msgspec.Struct, rename="pascal", gc=False):
    data: str
    partition_key: str | None = None
    explicit_hash_key: str | None = None


class _PutRecords(msgspec.Struct, rename="pascal"):
    records: list[_Entry]
    stream_name: str | None = None
    stream_arn: str | None = msgspec.field(default=None, name="StreamARN")
    dry_run: bool | None = None


_put_records_decoder = msgspec.json.Decoder(_PutRecords)


def put_records(engine: KinesisEngine, region: str, body: bytes) -> bytes:
    """PutRecords, from the request's bytes to the answer's: the hot path.

    Decoding into typed entries checks most of what the model demands. Whatever does not fit goes through the
    general validation once more, for AWS's words.
    """
    try:
        request = _put_records_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        validate("PutRecords", _parsed(body))
        raise ServiceError("SerializationException", str(error)) from error
    records = request.records
    if not 1 <= len(records) <= MAX_RECORDS_PER_PUT:
        validate("PutRecords", _parsed(body))
    stream = find_stream(engine, region, request.stream_name, request.stream_arn)
    stream.require_usable()

    max_size = stream.document.max_record_kib * 1024
    keys: list[str] = []
    data: list[str] = []
    sizes: list[int] = []
    explicit: dict[int, int] = {}
    total = 0
    for position, record in enumerate(records):
        key, text = record.partition_key, record.data
        try:
            if key is None or not 1 <= len(key) <= _MAX_KEY_CHARACTERS:
                raise ValueError(key)
            size = len(a2b_base64(text, strict_mode=True))
        except ValueError:
            validate("PutRecords", _parsed(body))
            raise _key_missing(f"records.{position + 1}.member.partitionKey") from None
        size += len(key) if key.isascii() else len(key.encode())
        if size > max_size:
            raise _too_large(f"records.{position + 1}.member.data", max_size)
        total += size
        if record.explicit_hash_key is not None:
            explicit[position] = _hash_key("PutRecords", record.explicit_hash_key, body)
        keys.append(key)
        data.append(text)
        sizes.append(size)
    if total > MAX_BYTES_PER_PUT:
        raise invalid(f"Records size exceeds {MAX_BYTES_PER_PUT >> 20} MB limit")
    if request.dry_run:
        raise _dry_run()

    written, refused = stream.put(keys, data, sizes, explicit)
    answers: list[dict[str, str] | None] = [None] * len(records)
    for shard, first, positions in written:
        number = sequence.encode(shard.index, first)
        for position in positions:
            answers[position] = {"SequenceNumber": str(number), "ShardId": shard.id}
            number += sequence.STEP
    for position, shard in refused:
        answers[position] = {
            "ErrorCode": "ProvisionedThroughputExceededException",
            "ErrorMessage": _rate_exceeded(stream, shard),
        }
    answer: dict[str, Any] = {"FailedRecordCount": len(refused), "Records": answers}
    if stream.document.kms_key:
        answer["EncryptionType"] = "KMS"
    return orjson.dumps(answer)


def put_record(engine: KinesisEngine, region: str, request: dict[str, Any]) -> dict[str, Any]:
    """PutRecord. Order among puts of one client follows from one put after the other."""
    stream = stream_of(engine, region, request)
    stream.require_usable()
    key = request.get("PartitionKey")
    if key is None:
        raise _key_missing("partitionKey")
    max_size = stream.document.max_record_kib * 1024
    size = len(a2b_base64(request["Data"])) + len(key.encode())
    if size > max_size:
        raise _too_large("data", max_size)
    explicit = {}
    if request.get("ExplicitHashKey") is not None:
        explicit[0] = _hash_key("PutRecord", request["ExplicitHashKey"])
    minimum = request.get("SequenceNumberForOrdering")
    if minimum is not None and not _is_sequence_number(minimum):
        raise invalid(
            f"ExclusiveMinimumSequenceNumber {minimum} used in PutRecord on stream {stream.name} under"
            f" account {ACCOUNT} is invalid."
        )
    if request.get("DryRun"):
        raise _dry_run()
    written, refused = stream.put([key], [request["Data"]], [size], explicit)
    if refused:
        raise _throttled(stream, refused[0][1])
    shard, first, _ = written[0]
    answer = {"ShardId": shard.id, "SequenceNumber": str(sequence.encode(shard.index, first))}
    if stream.document.kms_key:
        answer["EncryptionType"] = "KMS"
    return answer


def get_shard_iterator(engine: KinesisEngine, region: str, request: dict[str, Any]) -> dict[str, Any]:
    """GetShardIterator, all five types."""
    stream = stream_of(engine, region, request)
    stream.require_usable()
    shard = stream.shard(request["ShardId"])
    if shard.limits and not shard.limits.admit_iterator():
        raise _throttled(stream, shard)
    after = _position(engine, stream, shard, request)
    if request.get("DryRun"):
        raise _dry_run()
    return {"ShardIterator": _iterator(stream, shard, after, engine.clock())}


def _position(engine: KinesisEngine, stream: Stream, shard: Shard, request: dict[str, Any]) -> int:
    kind, number = request["ShardIteratorType"], request.get("StartingSequenceNumber")
    timestamp = request.get("Timestamp")
    if kind in ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"):
        if number is None:
            raise _wrong_combination(kind, "no StartingSequenceNumber")
        counter = _starting_counter(stream, shard, number)
        return counter - 1 if kind == "AT_SEQUENCE_NUMBER" else counter
    if number is not None:
        raise _wrong_combination(kind, "also a StartingSequenceNumber")
    if kind == "TRIM_HORIZON":
        return 0
    if kind == "LATEST":
        return shard.last
    if timestamp is None:
        raise invalid("Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP.")
    now = engine.clock()
    if timestamp > now:
        raise invalid(
            "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis."
            f" timestampInMillis: {int(timestamp * 1000)}, currentTimestampInMillis: {int(now * 1000)}"
        )
    return stream.before_first_since(shard, timestamp)


def _wrong_combination(kind: str, given: str) -> ServiceError:
    return invalid(
        "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or"
        f" (2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified {kind} and {given}."
    )


def _starting_counter(stream: Stream, shard: Shard, number: str) -> int:
    where = (
        f"StartingSequenceNumber {number} used in GetShardIterator on shard {shard.id} in stream"
        f" {stream.name} under account {ACCOUNT} is invalid"
    )
    try:
        index, counter = sequence.decode(number)
    except ValueError:
        raise invalid(f"{where}.") from None
    if index != shard.index:
        raise invalid(
            f"Invalid StartingSequenceNumber. It encodes {sequence.shard_id(index)}, while it was used in"
            f" a call to a shard with {shard.id}"
        )
    if not shard.document.start_counter <= counter < stream.document.counter_reserved:
        raise invalid(f"{where} because it did not come from this stream.")
    return counter


def get_records(engine: KinesisEngine, region: str, request: dict[str, Any]) -> dict[str, Any]:
    """GetRecords. A closed shard that was read to its end answers with its children and no next iterator."""
    del region  # the iterator knows its stream
    limit = request.get("Limit", limits.MAX_RECORDS_PER_GET)
    now = engine.clock()
    iterator = tokens.decode_iterator(request["ShardIterator"], now)
    stream = engine.stream(iterator.stream_arn)
    stream.require_usable()
    shard = stream.shard(sequence.shard_id(iterator.shard))
    if stream.document.created_at != iterator.stream_created_at:
        raise ServiceError(
            "ResourceNotFoundException",
            f"Shard {shard.id} in stream {stream.name} under account {ACCOUNT} does not exist",
        )
    if request.get("DryRun"):
        raise _dry_run()
    if shard.limits and not shard.limits.admit_read():
        raise _throttled(stream, shard)
    page = stream.read(shard, iterator.after, limit, MAX_BYTES_PER_GET)
    if shard.limits:
        shard.limits.count_read(page.size)
    encryption = {"EncryptionType": "KMS"} if stream.document.kms_key else {}
    answer: dict[str, Any] = {
        "Records": [
            {
                "SequenceNumber": number,
                "ApproximateArrivalTimestamp": arrived,
                "Data": data,
                "PartitionKey": key,
                **encryption,
            }
            for number, key, data, arrived in page.records
        ],
        "MillisBehindLatest": page.millis_behind_latest,
    }
    if page.end_of_shard:
        answer["ChildShards"] = [
            {
                "ShardId": child.id,
                "ParentShards": [sequence.shard_id(index) for index in child.document.parents],
                "HashKeyRange": {
                    "StartingHashKey": child.document.start_key,
                    "EndingHashKey": child.document.end_key,
                },
            }
            for child in stream.children(shard)
        ]
    else:
        answer["NextShardIterator"] = _iterator(stream, shard, page.position, now)
    return answer


def _iterator(stream: Stream, shard: Shard, after: int, now: float) -> str:
    document = stream.document
    return tokens.encode(ShardIterator(document.arn, document.created_at, shard.index, after, now))


def _hash_key(operation: str, text: str, body: bytes | None = None) -> int:
    well_formed = text.isascii() and text.isdigit() and len(text) < 40 and str(int(text)) == text
    if not well_formed and body is not None:
        validate(operation, _parsed(body))
    value = int(text) if well_formed else END
    if not 0 <= value < END:
        raise invalid(
            "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was"
            f" {text}"
        )
    return value


def _is_sequence_number(text: str) -> bool:
    try:
        sequence.decode(text)
    except ValueError:
        return False
    return True


def _parsed(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ServiceError("SerializationException", f"The request is not JSON: {error}") from error


def _key_missing(path: str) -> ServiceError:
    # The model no longer demands a key, for streams that spread records by themselves; these do not.
    return ServiceError(
        "ValidationException",
        f"1 validation error detected: Value null at '{path}' failed to satisfy constraint: Member must"
        " not be null",
    )


def _too_large(path: str, max_size: int) -> ServiceError:
    return ServiceError(
        "ValidationException",
        f"1 validation error detected: Value at '{path}' failed to satisfy constraint: Member must have"
        f" length less than or equal to {max_size}",
    )


def _dry_run() -> ServiceError:
    return ServiceError(
        "DryRunOperationException", "Request would have succeeded, but the DryRun parameter was specified."
    )


def _rate_exceeded(stream: Stream, shard: Shard) -> str:
    return f"Rate exceeded for shard {shard.id} in stream {stream.name} under account {ACCOUNT}."


def _throttled(stream: Stream, shard: Shard) -> ServiceError:
    return ServiceError("ProvisionedThroughputExceededException", _rate_exceeded(stream, shard))
