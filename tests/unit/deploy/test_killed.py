"""Setup and teardown killed after each changing call in turn, and run once more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from tests.unit.deploy.remote import Killed, Remote, changed_fields, settings_of, tear_down
from txnpipe.deploy.teardown import sweep

DEFAULT = settings_of()
CREATIONS = ("Create", "Start")


def test_setup_killed_after_any_change_is_finished_by_the_same_command_and_makes_nothing_twice(
    new_remote: Callable[[], Remote],
) -> None:
    total = count_changes(new_remote(), lambda account: account.setup(DEFAULT))
    for kill_after in range(1, total):
        remote = new_remote()
        remote.recorder.kill_after = kill_after
        with pytest.raises(Killed):
            remote.setup(DEFAULT)
        remote.recorder.revive()
        remote.setup(DEFAULT)
        made = Counter(call for call in remote.recorder.changes if call.split(".")[1].startswith(CREATIONS))
        assert made == EXPECTED, f"killed after {kill_after}"
        assert changed_fields(remote.plan(DEFAULT)) == {}, f"killed after {kill_after}"


EXPECTED = Counter(
    {
        "s3.CreateBucket": 1,
        "kinesis.CreateStream": 2,
        "kinesis.StartStreamEncryption": 2,
        "sns.CreateTopic": 1,
        "iam.CreateRole": 3,
        "ec2.CreateSecurityGroup": 3,
        "ec2.CreateVpcEndpoint": 1,
        "redshift.CreateClusterSubnetGroup": 1,
        "redshift.CreateCluster": 1,
        "secretsmanager.CreateSecret": 1,
        "logs.CreateLogGroup": 3,
        "logs.CreateLogStream": 1,
        "lambda.CreateFunction": 2,
        "lambda.CreateEventSourceMapping": 3,
        "kinesisanalyticsv2.CreateApplication": 1,
        "kinesisanalyticsv2.StartApplication": 1,
    }
)


def test_teardown_killed_after_any_change_is_finished_by_the_same_command(
    remote: Remote,
) -> None:
    remote.setup(DEFAULT)
    bring_back = remote.keep()
    total = count_changes(remote, lambda account: tear_down(account, DEFAULT))
    for kill_after in range(1, total):
        bring_back()
        remote.recorder.kill_after = kill_after
        with pytest.raises(Killed):
            tear_down(remote, DEFAULT)
        remote.recorder.revive()
        tear_down(remote, DEFAULT)
        assert sweep(remote.graph(DEFAULT)).empty, f"killed after {kill_after}"


def count_changes(remote: Remote, command: Callable[[Remote], object]) -> int:
    """How many changing calls a command makes when nothing kills it."""
    before = len(remote.recorder.changes)
    command(remote)
    return len(remote.recorder.changes) - before
