"""What is written when, and what a kill or a full disk in the middle leaves."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from tests.integration.moto_control_plane.program import run

ROWS = """
def rows():
    every = plane._store._database.execute("SELECT module, state FROM backend")
    return {module.split(".")[1]: state for module, state in every}
def written():
    return plane._store._database.total_changes
"""


def test_only_what_changed_is_written(tmp_path: Path) -> None:
    shown = run(
        ROWS
        + """
from moto.sqs.models import sqs_backends
from moto.sns.models import sns_backends
plane.start()
with plane.changing():
    sqs_backends[ACCOUNT]["us-east-1"].create_queue("q")
after_create = written()
with plane.changing():
    sqs_backends[ACCOUNT]["us-east-1"].list_queues("q")
    sns_backends[ACCOUNT]["us-east-1"]
after_lookups = written()
with plane.changing():
    sqs_backends[ACCOUNT]["us-east-1"].send_message("q", "m")
show(created=after_create, looked=after_lookups - after_create, sent=written() - after_lookups)
plane.stop()
""",
        str(tmp_path),
    )

    # The lookup of SNS made its backend, which is written once.
    assert shown == {"created": 1, "looked": 1, "sent": 1}


def test_what_one_call_changes_in_two_services_is_written_together(tmp_path: Path) -> None:
    shown = run(
        ROWS
        + """
from moto.sqs.models import sqs_backends
from moto.sns.models import sns_backends
plane.start()
with plane.changing():
    sqs_backends[ACCOUNT]["us-east-1"].create_queue("q")
    sns = sns_backends[ACCOUNT]["us-east-1"]
    topic = sns.create_topic("t")
    sns.subscribe(topic.arn, f"arn:aws:sqs:us-east-1:{ACCOUNT}:q", "sqs")
statements = []
plane._store._database.set_trace_callback(statements.append)
with plane.changing():
    sns_backends[ACCOUNT]["us-east-1"].publish("hello", topic.arn)
plane._store._database.set_trace_callback(None)
show(
    commits=sum(s == "COMMIT" for s in statements),
    kept=b"hello" in rows()["sqs"],
    remembered=len(topic.sent_notifications),
)
plane.stop()
""",
        str(tmp_path),
    )

    assert shown == {"commits": 1, "kept": True, "remembered": 0}


def test_a_state_that_cannot_be_kept_is_named_and_the_rest_is_kept(tmp_path: Path) -> None:
    shown = run(
        ROWS
        + """
from moto.sqs.models import sqs_backends
from moto.ssm.models import ssm_backends
plane.start()
with plane.changing():
    ssm_backends[ACCOUNT]["us-east-1"].odd = (line for line in [])
    sqs_backends[ACCOUNT]["us-east-1"].create_queue("q")
show(unsavable=plane.unsavable, kept=sorted(rows()))
plane.stop()
""",
        str(tmp_path),
    )

    assert shown["kept"] == ["sqs"]
    assert len(shown["unsavable"]) == 1
    assert shown["unsavable"][0].startswith("ssm: ")


def test_a_failed_write_is_tried_again_and_nothing_is_lost(tmp_path: Path) -> None:
    shown = run(
        ROWS
        + """
from moto.sqs.models import sqs_backends
plane.start()
with plane.changing():
    sqs_backends[ACCOUNT]["us-east-1"].create_queue("before")
database = plane._store._database
pages = database.execute("PRAGMA page_count").fetchone()[0]
database.execute(f"PRAGMA max_page_count = {pages}")
try:
    with plane.changing():
        sqs_backends[ACCOUNT]["us-east-1"].create_queue("x" * 80)
        for _ in range(50):
            sqs_backends[ACCOUNT]["us-east-1"].send_message("x" * 80, "m" * 1000)
    failed = None
except OSError as error:
    failed = error.errno
kept_meanwhile = b"xxxx" in rows()["sqs"]
database.execute("PRAGMA max_page_count = 1000000")
plane.stop()
import errno
show(failed=failed == errno.ENOSPC, kept_meanwhile=kept_meanwhile)
""",
        str(tmp_path),
    )

    assert shown == {"failed": True, "kept_meanwhile": False}
    with sqlite3.connect(tmp_path / "state.sqlite") as database:
        (state,) = database.execute("SELECT state FROM backend WHERE module = 'moto.sqs.models'").fetchone()
    database.close()
    assert b"x" * 80 in state


def test_objects_lie_on_disk_and_not_in_memory(tmp_path: Path) -> None:
    shown = run(
        ROWS
        + """
from moto.s3.models import s3_backends
plane.start()
with plane.changing():
    s3 = s3_backends[ACCOUNT]["aws"]
    s3.create_bucket("bucket", "us-east-1")
    key = s3.put_object("bucket", "k", b"x" * 1_000_000)
first = type(key._value_buffer).__name__, key.value == b"x" * 1_000_000, key.etag
with plane.changing():
    s3_backends[ACCOUNT]["aws"]
    key.value = b"changed"
changed = key.value.decode()
show(
    first=first,
    changed=changed,
    row_is_small=len(rows()["s3"]) < 5000,
    files=len(list((home / "contents").iterdir())),
)
plane.stop()
""",
        str(tmp_path),
    )

    assert shown["first"][:2] == ["StoredContent", True]
    assert shown["changed"] == "changed"
    assert shown["row_is_small"]
    assert shown["files"] == 1


def test_code_is_written_once_however_often_its_function_is_saved(tmp_path: Path) -> None:
    shown = run(
        ROWS
        + """
import base64, io, os, zipfile
from moto.awslambda.models import lambda_backends
from moto.iam.models import iam_backends
plane.start()
buffer = io.BytesIO()
with zipfile.ZipFile(buffer, "w") as archive:
    archive.writestr("noise", os.urandom(200_000))
with plane.changing():
    role = iam_backends[ACCOUNT]["aws"].create_role("r", "{}", "/", None, "", [], 3600)
    lambdas = lambda_backends[ACCOUNT]["us-east-1"]
    function = lambdas.create_function(
        {"FunctionName": "f", "Role": role.arn, "Handler": "a.b", "Runtime": "python3.13",
         "Code": {"ZipFile": base64.b64encode(buffer.getvalue()).decode()}}
    )
    lambdas.publish_version("f")
before = set((home / "contents").iterdir())
with plane.changing():
    lambda_backends[ACCOUNT]["us-east-1"].get_function("f").description = "new"
same = set((home / "contents").iterdir()) == before
with plane.changing():
    lambda_backends[ACCOUNT]["us-east-1"].delete_function("f")
show(files=len(before), same=same, row_is_small=len(rows()["awslambda"]) < 20_000,
     left=len(list((home / "contents").iterdir())))
plane.stop()
""",
        str(tmp_path),
    )

    assert shown == {"files": 1, "same": True, "row_is_small": True, "left": 0}


def test_alarms_and_their_tags_survive_a_restart_and_a_deleted_one_stays_away(tmp_path: Path) -> None:
    made = """
from moto.cloudwatch.models import cloudwatch_backends
plane.start()
def alarms():
    return cloudwatch_backends[ACCOUNT]["us-east-1"]
def put(name):
    alarms().put_metric_alarm(
        name, "N", "M", "GreaterThanThreshold", 1, 60, 1.0, "Sum", "", [{"Name": "D", "Value": "v"}], [],
        tags=[{"Key": "k", "Value": name}],
    )
"""
    run(
        made
        + """
with plane.changing():
    put("kept")
    put("gone")
with plane.changing():
    alarms().delete_alarms(["gone"])
show()
import os
os._exit(0)
""",
        str(tmp_path),
    )
    shown = run(
        made
        + """
kept = alarms().alarms["kept"]
show(names=list(alarms().alarms), threshold=kept.threshold, dimensions=[d.value for d in kept.dimensions],
     tags=alarms().list_tags_for_resource(kept.alarm_arn))
plane.stop()
""",
        str(tmp_path),
    )
    assert shown == {"names": ["kept"], "threshold": 1.0, "dimensions": ["v"], "tags": {"k": "kept"}}


def test_memories_end_somewhere(tmp_path: Path) -> None:
    shown = run(
        ROWS
        + """
from moto.cloudwatch.models import cloudwatch_backends
from moto.logs.models import logs_backends
from txnpipe.local.moto_control_plane import trimming
trimming.MOST_LOG_EVENTS, trimming.MOST_METRIC_DATA = 3, 2
plane.start()
with plane.changing():
    logs = logs_backends[ACCOUNT]["us-east-1"]
    logs.create_log_group("g", {})
    logs.create_log_stream("g", "s")
    import time
    now = int(time.time() * 1000)
    logs.put_log_events("g", "s", [{"timestamp": now, "message": str(i)} for i in range(9)])
    metrics = cloudwatch_backends[ACCOUNT]["us-east-1"]
    metrics.put_metric_data("N", [{"MetricName": f"m{i}", "Value": 1} for i in range(9)])
show(
    log=[event.message for event in logs.groups["g"].streams["s"].events],
    metrics=[datum.name for datum in metrics.metric_data],
)
plane.stop()
""",
        str(tmp_path),
    )

    assert shown == {"log": ["6", "7", "8"], "metrics": ["m7", "m8"]}


def test_a_state_of_another_version_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    run("plane.start(); plane.stop(); show()", str(tmp_path))
    with sqlite3.connect(tmp_path / "state.sqlite") as database:
        database.execute("INSERT INTO backend VALUES ('moto.sqs.models', 'us-east-1', '4.0', x'8005')")
    database.close()

    shown = run(
        """
from txnpipe.errors import TxnpipeError
try:
    plane.start()
except TxnpipeError as error:
    show(cause=error.cause, fix=error.fix)
""",
        str(tmp_path),
    )

    assert "sqs" in shown["cause"]
    assert "moto 4.0 wrote it" in shown["cause"]
    assert "txnpipe local reset" in shown["fix"]


def test_the_late_saver_saves_what_nobody_waits_for_and_costly_states_rarely(tmp_path: Path) -> None:
    shown = run(
        ROWS
        + """
from moto.sqs.models import sqs_backends
from txnpipe.local.moto_control_plane.persistence import LateSaver
now = [0.0]
saves = []
save = plane._store.save
def slow_save(keys):
    keys = list(keys)
    saves.append((now[0], [key.service for key in keys]))
    now[0] += 1.0
    save(keys)
plane._store.save = slow_save
saver = LateSaver(plane._store, plane._gate, plane._tracker, lambda: now[0])
times = []
for moment in (0, 2, 10, 22, 23):
    now[0] = max(now[0], moment)
    sqs_backends[ACCOUNT]["us-east-1"].list_queues("")
    before = len(saves)
    saver.save_due()
    times += [moment] * (len(saves) - before)
saver.save_now()
show(times=times, at_last=len(saves) - len(times))
""",
        str(tmp_path),
    )

    # A save takes a second here, so the next is due 20 seconds after it.
    assert shown == {"times": [0, 22], "at_last": 1}
