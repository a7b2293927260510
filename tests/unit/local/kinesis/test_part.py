from __future__ import annotations

from pathlib import Path

import pytest

from txnpipe.local.kinesis.part import KinesisPart
from txnpipe.local.part import LocalContext, Part


@pytest.mark.parametrize("enforce_limits", [True, False])
def test_the_part_keeps_its_streams_in_the_home_and_owns_no_process(
    tmp_path: Path, enforce_limits: bool
) -> None:
    context = LocalContext(
        home=tmp_path,
        endpoint_url="http://127.0.0.1:1",
        access_key_id="key",
        secret_access_key="secret",
        enforce_limits=enforce_limits,
        flink_heap_mb=1,
        client=lambda service, region: None,
    )
    part: Part = KinesisPart(context)
    part.start()
    assert (part.processes(), part.listeners()) == ([], [])
    part.stop()
    assert (tmp_path / part.name).stat().st_mode & 0o777 == 0o700
    assert isinstance(part, KinesisPart)
    assert part.engine.enforce_limits == enforce_limits
    assert part.service.claims("POST", "/", "Kinesis_20131202.ListStreams")
    assert not part.service.claims("POST", "/", "DynamoDB_20120810.ListTables")
