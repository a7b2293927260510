"""A bucket in memory."""

from __future__ import annotations

import pytest

from tests.unit.traffic.fakes import FakeS3, target_with
from txnpipe.traffic.runs import RunStore


@pytest.fixture
def s3() -> FakeS3:
    return FakeS3()


@pytest.fixture
def store(s3: FakeS3) -> RunStore:
    return RunStore(target_with(s3=s3), "bucket")
