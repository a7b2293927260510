"""The analytics app's zip: what is in it, the same bytes always, only what the official connector knows."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path

import pytest

from txnpipe.config import Settings
from txnpipe.config.settings import AnalyticsSettings, LoaderSettings, RuleSettings
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.names import Names
from txnpipe.packaging.analytics_zip import ANALYTICS, build_analytics, render_statements

NAMES = Names("shop", "123456789012", "eu-west-1")
OFFICIAL_OPTIONS = {
    "connector",
    "stream.arn",
    "aws.region",
    "source.init.position",
    "source.shard.discovery.interval",
    "sink.flush-buffer.timeout",
    "format",
    "json.encode.decimal-as-plain-number",
}
"""Those of Flink's Kinesis SQL connector and JSON format that this pipeline uses."""


@pytest.fixture
def jar(tmp_path: Path) -> Path:
    path = tmp_path / "connector.jar"
    path.write_bytes(b"jar")
    return path


def statements(settings: Settings | None = None) -> str:
    return render_statements(settings or Settings(), NAMES, "eu-west-1")


def test_the_zip_is_what_managed_flink_expects(jar: Path) -> None:
    artifact = build_analytics(Settings(), NAMES, "eu-west-1", jar)
    with zipfile.ZipFile(io.BytesIO(artifact.content)) as archive:
        assert sorted(archive.namelist()) == ["lib/pyflink-dependencies.jar", "main.py", "statements.sql"]
        assert archive.read("lib/pyflink-dependencies.jar") == b"jar"
        assert archive.read("main.py") == (ANALYTICS / "main.py").read_bytes()
        assert archive.read("statements.sql").decode() == statements()


def test_the_same_input_gives_the_same_bytes(jar: Path) -> None:
    first = build_analytics(Settings(), NAMES, "eu-west-1", jar)
    assert build_analytics(Settings(), NAMES, "eu-west-1", jar) == first
    other = Settings(analytics=AnalyticsSettings(rules={"velocity": RuleSettings(enabled=False)}))
    assert build_analytics(other, NAMES, "eu-west-1", jar).sha256 != first.sha256


def test_streams_and_region_are_this_pipelines() -> None:
    text = statements()
    assert "'arn:aws:kinesis:eu-west-1:123456789012:stream/shop-TransactionStream'" in text
    assert "'arn:aws:kinesis:eu-west-1:123456789012:stream/shop-TransactionAlerts'" in text
    assert set(re.findall(r"'aws.region' = '([^']*)'", text)) == {"eu-west-1"}
    assert "'source.init.position' = 'TRIM_HORIZON'" in text


def test_only_options_of_the_official_connector_are_used() -> None:
    tables = re.findall(r"CREATE TEMPORARY TABLE .*?\) WITH \((.*?)\n\);", statements(), re.DOTALL)
    assert len(tables) == 2
    assert {name for table in tables for name in re.findall(r"'([^']+)' = ", table)} == OFFICIAL_OPTIONS


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


def test_an_app_without_rules_is_refused(jar: Path) -> None:
    none = {name: RuleSettings(enabled=False) for name in ("amount_spike", "large_amount", "velocity")}
    with pytest.raises(TxnpipeError) as caught:
        build_analytics(Settings(analytics=AnalyticsSettings(rules=none)), NAMES, "eu-west-1", jar)
    assert caught.value.exit_code == ExitCode.USAGE


def test_a_missing_connector_is_named(tmp_path: Path) -> None:
    with pytest.raises(TxnpipeError) as caught:
        build_analytics(Settings(), NAMES, "eu-west-1", tmp_path / "none.jar")
    assert "none.jar" in caught.value.cause
    assert "analytics.connector_jar" in caught.value.fix
