"""Settings: four sources in order, and every mistake told in one sentence of cause and one of fix."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txnpipe.config import Settings
from txnpipe.config.example import example
from txnpipe.config.loading import keys, load
from txnpipe.errors import ExitCode, TxnpipeError


def write(directory: Path, text: str) -> Path:
    path = directory / "txnpipe.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def refused(directory: Path, text: str) -> TxnpipeError:
    write(directory, text)
    with pytest.raises(TxnpipeError) as caught:
        load({}, {}, None, directory)
    assert caught.value.exit_code is ExitCode.USAGE
    return caught.value


def test_without_any_source_the_defaults_are_in_force(tmp_path: Path) -> None:
    loaded = load({}, {}, None, tmp_path)
    assert loaded.settings == Settings()
    assert loaded.origin("stream.shards") == "default"


def test_flag_beats_environment_beats_file_beats_default(tmp_path: Path) -> None:
    path = write(tmp_path, "region: eu-west-1\npipeline: from-file\nstream:\n  shards: 2\n")
    environ = {"TXNPIPE_REGION": "eu-west-2", "TXNPIPE_PIPELINE": "from-environment", "UNRELATED": "x"}
    loaded = load({"region": ("--region", "eu-west-3")}, environ, None, tmp_path)
    assert (loaded.settings.region, loaded.origin("region")) == ("eu-west-3", "flag --region")
    assert (loaded.settings.pipeline, loaded.origin("pipeline")) == ("from-environment", "TXNPIPE_PIPELINE")
    assert (loaded.settings.stream.shards, loaded.origin("stream.shards")) == (2, f"{path}:4")
    assert loaded.origin("loader.batch_size") == "default"


def test_the_environment_reaches_every_setting(tmp_path: Path) -> None:
    environ = {"TXNPIPE_LOCAL_ENFORCE_LIMITS": "false", "TXNPIPE_LOADER_BATCH_WINDOW_SECONDS": "3"}
    settings = load({}, environ, None, tmp_path).settings
    assert settings.local.enforce_limits is False
    assert settings.loader.batch_window_seconds == 3


def test_the_file_can_be_named_by_flag_and_by_environment(tmp_path: Path) -> None:
    named = tmp_path / "other.yaml"
    named.write_text("region: eu-west-1\n")
    assert load({}, {}, named, tmp_path).settings.region == "eu-west-1"
    assert load({}, {"TXNPIPE_CONFIG": str(named)}, None, tmp_path).settings.region == "eu-west-1"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TxnpipeError, match=r"nowhere\.yaml does not exist"):
        load({}, {}, tmp_path / "nowhere.yaml", tmp_path)


@pytest.mark.parametrize(
    ("text", "cause", "fix"),
    [
        ("regoin: x\n", "line 1: unknown setting regoin", "Did you mean region?"),
        ('region: "us-east-1\\n"\n', "region is wrong", "AWS region"),
        ("\nstream:\n  shard: 2\n", "line 3: unknown setting stream.shard", "Did you mean stream.shards?"),
        ("shards: 2\n", "unknown setting shards", "Did you mean stream.shards?"),
        ("stream:\n  shards: two\n", "stream.shards is wrong", "Correct the value"),
        ("stream:\n  shards: 0\n", "expected int >= 1", "Correct the value"),
        ("stream:\n  shards: 2.5\n", "stream.shards is wrong", "Correct the value"),
        ("stream:\n  shards: true\n", "stream.shards is wrong", "Correct the value"),
        ("target: mars\n", "target is wrong", "Use one of: local, aws."),
        ("loader: 3\n", "loader is wrong", "config.example.yaml"),
        ("stream: [1\n", "not valid YAML", "Correct line 2"),
        ("- 1\n", "holds no settings", "config.example.yaml"),
        ("stream: {shards: 2}\nstream: {shards: 3}\n", "line 2: stream is set twice", "Keep one"),
        ("pipeline: A_B\n", "'A_B' cannot name a pipeline", "lower-case"),
        ("pipeline: sg\n", "'sg' cannot name a pipeline", "not sg"),
        ("pipeline: sg-test\n", "'sg-test' cannot name a pipeline", "not sg"),
        ("pipeline: a-name-that-is-much-too-long\n", "cannot name a pipeline", "at most 20"),
        ("warehouse: {node_type: dc2.large}\n", "AWS ended the dc2 nodes", "rg.large or ra3.large"),
        ("analytics: {runtime: SQL-1_0}\n", "SQL-1_0) is gone", "FLINK-2_3"),
        ("loader: {maximum_record_age_seconds: 86400}\n", "reaches the stream's retention", "Lower loader."),
        (
            "notifier: {maximum_record_age_seconds: 86400}\n",
            "reaches the stream's retention",
            "Lower notifier.",
        ),
        ("network: {vpc_id: main}\n", "network.vpc_id is wrong", "vpc-…"),
        ("network: {subnet_ids: []}\n", "network.subnet_ids is wrong", "subnet-…"),
        ("network: {subnet_ids: [subnet-1]}\n", "network.subnet_ids is wrong", "subnet-…"),
        ("network: {secrets_endpoint: none}\n", "is wrong", "Use one of: create, existing."),
        ("topic: {subscriptions: [{protocol: fax, endpoint: x}]}\n", "topic.subscriptions", "example"),
        ("analytics: {connector_url: http://mirror}\n", "connector_url is wrong", "https URL"),
        ("analytics: {connector_sha256: ABC}\n", "connector_sha256 is wrong", "SHA-256"),
    ],
)
def test_a_mistake_in_the_file_names_key_line_and_remedy(
    tmp_path: Path, text: str, cause: str, fix: str
) -> None:
    error = refused(tmp_path, text)
    assert cause in error.cause
    assert fix in error.fix


def test_a_misspelt_variable_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(TxnpipeError) as caught:
        load({}, {"TXNPIPE_STREAM_SHARD": "2"}, None, tmp_path)
    assert caught.value.fix == "Did you mean TXNPIPE_STREAM_SHARDS?"


def test_the_shipped_example_is_the_one_the_settings_make() -> None:
    shipped = Path(__file__).parents[3] / "config.example.yaml"
    assert shipped.read_text(encoding="utf-8") == example()


def test_the_example_uncommented_is_the_default_configuration(tmp_path: Path) -> None:
    body = example().split("\n\n", 1)[1]
    lines = [line.removeprefix("# ") for line in body.splitlines()]
    settings_only = [line for line in lines if line and not line.startswith("#") and ":" in line]
    kept = [line for line in settings_only if line.split(":")[0].strip().isidentifier()]
    write(tmp_path, "\n".join(kept) + "\n")
    assert load({}, {}, None, tmp_path).settings == Settings()


def test_every_setting_has_a_description() -> None:
    assert [key.name for key in keys() if not key.description] == []


@given(st.text(max_size=200))
def test_any_text_as_a_file_is_settings_or_one_clear_error(text: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "c.yaml"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            load({}, {}, path, Path(name))
        except TxnpipeError as error:
            assert error.exit_code is ExitCode.USAGE
            assert error.cause
            assert error.fix


@pytest.mark.parametrize("value", ["2024-13-45", "0x_", "[" * 3000])
def test_what_yaml_itself_fails_on_is_wrong_usage(tmp_path: Path, value: str) -> None:
    refused(tmp_path, f"pipeline: {value}\n")
    with pytest.raises(TxnpipeError) as caught:
        load({}, {"TXNPIPE_STREAM_SHARDS": value}, None, tmp_path / "nowhere")
    assert caught.value.exit_code is ExitCode.USAGE


def test_a_text_in_the_environment_needs_no_quotes(tmp_path: Path) -> None:
    environ = {"TXNPIPE_PIPELINE": "on", "TXNPIPE_AWS_PROFILE": "123456789012"}
    settings = load({}, environ, None, tmp_path).settings
    assert (settings.pipeline, settings.aws.profile) == ("on", "123456789012")


def test_a_choice_in_the_environment_is_a_word_even_where_it_looks_like_a_number(tmp_path: Path) -> None:
    settings = load({}, {"TXNPIPE_FUNCTIONS_PYTHON": "3.12"}, None, tmp_path).settings
    assert settings.functions.python == "3.12"


def test_null_in_the_environment_takes_an_optional_text_away(tmp_path: Path) -> None:
    write(tmp_path, "aws:\n  profile: work\n")
    assert load({}, {"TXNPIPE_AWS_PROFILE": "null"}, None, tmp_path).settings.aws.profile is None
