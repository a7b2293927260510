"""The analytics app's zip: what is in it, the same bytes always, only what the official connector knows."""

from __future__ import annotations

import io
import re
import zipfile

import pytest

from txnpipe.config import Settings
from txnpipe.config.settings import AnalyticsSettings, LoaderSettings, RuleSettings
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.names import Names
from txnpipe.packaging.analytics_zip import ANALYTICS, build_analytics, render_statements

NAMES = Names("shop", "123456789012", "eu-west-1")
JAR = b"jar"
COMMON_OPTIONS = {
    *("connector", "stream.arn", "format", "aws.region", "aws.endpoint", "aws.trust.all.certificates"),
}
SOURCE_OPTIONS = {
    *("source.init.position", "source.init.timestamp", "source.init.timestamp.format"),
    *("source.shard.discovery.interval", "source.reader.type", "source.shard.get-records.max-record-count"),
    *("source.efo.consumer.name", "source.efo.lifecycle", "source.efo.subscription.timeout"),
    *("source.efo.deregister.timeout", "source.efo.describe.retry-strategy.attempts.max"),
    *("source.efo.describe.retry-strategy.delay.min", "source.efo.describe.retry-strategy.delay.max"),
}
SINK_OPTIONS = {
    *("sink.partitioner", "sink.partitioner-field-delimiter", "sink.http-client.max-concurrency"),
    *("sink.http-client.read-timeout", "sink.http-client.protocol.version", "sink.batch.max-size"),
    *("sink.requests.max-inflight", "sink.requests.max-buffered", "sink.flush-buffer.size"),
    *("sink.flush-buffer.timeout", "sink.fail-on-error"),
}
"""The options of connector 'kinesis': Flink documentation, Amazon Kinesis Data Streams SQL Connector, section
Connector Options (apache/flink-connector-aws, docs/content/docs/connectors/table/kinesis.md, v6.0.0)."""
FORMAT_OPTIONS = {"raw": set[str](), "json": {"json.encode.decimal-as-plain-number"}}
"""Flink documentation, Formats; of their options those that are used."""
REQUIRED_OPTIONS = {"connector", "stream.arn", "format", "aws.region"}


def statements(settings: Settings | None = None) -> str:
    return render_statements(settings or Settings(), NAMES, "eu-west-1")


def test_the_zip_is_what_managed_flink_expects() -> None:
    artifact = build_analytics(Settings(), NAMES, "eu-west-1", JAR)
    with zipfile.ZipFile(io.BytesIO(artifact.content)) as archive:
        assert sorted(archive.namelist()) == ["lib/pyflink-dependencies.jar", "main.py", "statements.sql"]
        assert archive.read("lib/pyflink-dependencies.jar") == b"jar"
        assert archive.read("main.py") == (ANALYTICS / "main.py").read_bytes()
        assert archive.read("statements.sql").decode() == statements()


def test_the_same_input_gives_the_same_bytes() -> None:
    first = build_analytics(Settings(), NAMES, "eu-west-1", JAR)
    assert build_analytics(Settings(), NAMES, "eu-west-1", JAR) == first
    other = Settings(analytics=AnalyticsSettings(rules={"velocity": RuleSettings(enabled=False)}))
    assert build_analytics(other, NAMES, "eu-west-1", JAR).sha256 != first.sha256


def test_streams_and_region_are_this_pipelines() -> None:
    text = statements()
    assert "'arn:aws:kinesis:eu-west-1:123456789012:stream/shop-TransactionStream'" in text
    assert "'arn:aws:kinesis:eu-west-1:123456789012:stream/shop-TransactionAlerts'" in text
    assert set(re.findall(r"'aws.region' = '([^']*)'", text)) == {"eu-west-1"}
    assert "'source.init.position' = 'TRIM_HORIZON'" in text


def tables() -> dict[str, tuple[str, dict[str, str]]]:
    """Table → its definition before WITH, and its options."""
    found = re.findall(r"CREATE TEMPORARY TABLE (\w+) (.*?) WITH \((.*?)\n\);", statements(), re.DOTALL)
    return {
        name: (body, dict(re.findall(r"'([^']+)' = '([^']*)'", options))) for name, body, options in found
    }


def test_only_options_that_the_official_connector_documents_are_used() -> None:
    assert tables().keys() == {"transaction_records", "alerts"}
    for name, own in (("transaction_records", SOURCE_OPTIONS), ("alerts", SINK_OPTIONS)):
        options = tables()[name][1]
        assert options.keys() >= REQUIRED_OPTIONS
        assert options["connector"] == "kinesis"
        assert options.keys() <= COMMON_OPTIONS | own | FORMAT_OPTIONS[options["format"]]


def test_a_table_with_partitions_names_no_partitioner() -> None:
    """The connector refuses both together (the same page, Sink Partitioning)."""
    body, options = tables()["alerts"]
    assert "PARTITIONED BY (alert_id)" in body
    assert not {"sink.partitioner", "sink.partitioner-field-delimiter"} & options.keys()


def test_no_metadata_column_is_used() -> None:
    """The official connector's source does not support them (FLINK-36671)."""
    assert "METADATA" not in statements()


def test_state_is_forgotten_with_the_loaders_window() -> None:
    text = statements(Settings(loader=LoaderSettings(dedupe_window_days=3)))
    assert "SET 'table.exec.state.ttl' = '3 d';" in text


def test_all_rules_are_one_insert() -> None:
    text = statements()
    assert text.count("INSERT INTO") == 1
    assert text.count("UNION ALL") == 2
    for rule in ("amount_spike", "large_amount", "velocity"):
        assert f"'{rule}:' || transaction_id, '{rule}'" in text


def test_nothing_is_left_to_be_filled_in() -> None:
    assert not re.search(r"\{[a-z_:]+\}", statements())
    assert "{once" not in statements()


def test_statements_end_at_a_line_and_nowhere_else() -> None:
    parts = [part.strip() for part in re.split(r";[ \t]*(?:\n|\Z)", statements()) if part.strip()]
    assert [part.split()[0] for part in parts] == ["SET"] * 3 + ["CREATE"] * 9 + ["INSERT"]


def test_an_app_without_rules_is_refused() -> None:
    none = {name: RuleSettings(enabled=False) for name in ("amount_spike", "large_amount", "velocity")}
    with pytest.raises(TxnpipeError) as caught:
        build_analytics(Settings(analytics=AnalyticsSettings(rules=none)), NAMES, "eu-west-1", JAR)
    assert caught.value.exit_code == ExitCode.USAGE
