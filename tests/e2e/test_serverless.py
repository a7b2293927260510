"""A pipeline whose warehouse is serverless and is asked over the Data API, on a real local cloud."""

from __future__ import annotations

from tests.e2e.conftest import Cloud
from tests.e2e.pipelines import Pipeline

WAREHOUSE = {
    "TXNPIPE_WAREHOUSE_KIND": "serverless",
    "TXNPIPE_WAREHOUSE_ACCESS": "data-api",
}
OTHER_USER = {**WAREHOUSE, "TXNPIPE_WAREHOUSE_LOADER_USER": "other_loader"}


def test_it_is_made_proven_changed_and_removed(cloud: Cloud) -> None:
    pipeline = Pipeline(cloud, "serverless")
    made = pipeline.run("setup", environment=WAREHOUSE)
    kinds = {change["kind"] for change in made["changes"]}
    assert {"namespace", "workgroup", "usage limit"} <= kinds
    assert not {"warehouse", "subnet group"} & kinds
    assert made["warehouse"]["host"] == "127.0.0.1"
    try:
        pipeline.run("send", "--count", "100", environment=WAREHOUSE)
        assert pipeline.run("verify", environment=WAREHOUSE)["rows"]["stored"] == 100
        assert pipeline.run("plan", "--exit-code", environment=WAREHOUSE)["counts"].keys() == {"unchanged"}

        # The loader goes on as another user, and the former one is gone.
        pipeline.run("setup", environment=OTHER_USER)
        users = pipeline.run("sql", "SELECT usename AS u FROM pg_user", environment=OTHER_USER)["rows"]
        assert "other_loader" in {row["u"] for row in users}
        assert "txnpipe_loader" not in {row["u"] for row in users}
        pipeline.run("send", "--new", "--count", "100", environment=OTHER_USER)
        assert pipeline.run("verify", environment=OTHER_USER)["rows"]["stored"] == 100

        # Without the setting the configuration asks for a cluster: that is refused, and everything found.
        cloud_says = cloud.run("plan", "--pipeline", "serverless")
        assert cloud_says.returncode == 4
        assert "has a serverless warehouse" in cloud_says.stderr
        shown = {item["kind"]: item["status"] for item in pipeline.run("status")["resources"]}
        assert shown["workgroup"] == "AVAILABLE"
        assert shown["warehouse"] == "missing"
    finally:
        removed = pipeline.run("teardown", "--confirm", "serverless")
    assert {
        "namespace/serverless-transaction-warehouse",
        "workgroup/serverless-transaction-warehouse",
    } <= set(removed["removed"])
    assert removed["leftovers"] == []
    client = cloud.client("redshift-serverless")
    assert client.list_namespaces()["namespaces"] == []
    assert client.list_workgroups()["workgroups"] == []
    assert client.list_usage_limits()["usageLimits"] == []
