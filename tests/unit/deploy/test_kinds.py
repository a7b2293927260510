"""Single kinds of resources in a pipeline: what is specific to each."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.deploy.places import ACCOUNT, REGION
from tests.unit.deploy.remote import Remote, settings_of
from txnpipe.deploy.plan import assess
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.resources.resource import Resource

QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:alerts"
BUCKET = f"bucket/txnpipe-default-{ACCOUNT}-{REGION}"


def subscribed(*subscriptions: dict[str, Any]) -> Any:
    return settings_of(topic={"subscriptions": list(subscriptions)})


def bring(remote: Remote, key: str, **sections: Any) -> Resource[Any]:
    """Brings one resource, and nothing else, to its desired state."""
    resource = remote.graph(settings_of(**sections)).resources[key]
    found = assess(resource)
    if found.observed is None:
        resource.create(found.desired)
    elif found.change.differences:
        resource.update(found.desired, found.change.differences)
    assert assess(resource).change.differences == ()
    return resource


def attributes(remote: Remote) -> dict[str, str]:
    """Endpoint → raw delivery, of every subscription of the topic."""
    sns = remote.target.client("sns")
    found = sns.list_subscriptions_by_topic(TopicArn=f"arn:aws:sns:{REGION}:{ACCOUNT}:TransactionAlerts")
    told = {}
    for item in found["Subscriptions"]:
        answer = sns.get_subscription_attributes(SubscriptionArn=item["SubscriptionArn"])
        told[item["Endpoint"]] = answer["Attributes"]["RawMessageDelivery"]
    return told


class TestTopic:
    """Subscriptions."""

    key = "topic/TransactionAlerts"

    @pytest.fixture(autouse=True)
    def _queue(self, remote: Remote) -> None:
        remote.target.client("sqs").create_queue(QueueName="alerts")
        remote.target.client("sqs").create_queue(QueueName="by-hand")

    def test_raw_delivery_is_changed_in_place(self, remote: Remote) -> None:
        for raw in (False, True, False):
            subscription = {"protocol": "sqs", "endpoint": QUEUE, "raw": raw}
            bring(remote, self.key, topic={"subscriptions": [subscription]})
            assert attributes(remote)[QUEUE].lower() == str(raw).lower()

    def test_one_that_is_no_longer_configured_goes_and_one_made_by_hand_stays(self, remote: Remote) -> None:
        topic = {"subscriptions": [{"protocol": "sqs", "endpoint": QUEUE}]}
        resource: Any = bring(remote, self.key, topic=topic)
        by_hand = QUEUE.replace("alerts", "by-hand")
        remote.target.client("sns").subscribe(TopicArn=resource.arn, Protocol="sqs", Endpoint=by_hand)
        bring(remote, self.key)
        assert list(attributes(remote)) == [by_hand]

    def test_what_waits_for_confirmation_is_shown_and_not_subscribed_again(self, remote: Remote) -> None:
        topic = {"subscriptions": [{"protocol": "email", "endpoint": "ops@example.com"}]}
        resource = bring(remote, self.key, topic=topic)
        pending = {
            "Protocol": "email",
            "Endpoint": "ops@example.com",
            "SubscriptionArn": "PendingConfirmation",
        }
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(resource), "_subscriptions", lambda _: iter([pending]))
            found = assess(resource)
        assert found.change.differences == ()
        assert found.observed is not None
        assert found.observed.facts["pending_confirmation"] == ["email ops@example.com"]


class TestBucket:
    """The bucket."""

    def test_it_is_private_encrypted_and_drops_old_failures(self, remote: Remote) -> None:
        bring(remote, BUCKET)
        s3, name = remote.target.client("s3"), BUCKET.removeprefix("bucket/")
        access = s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
        assert set(access.values()) == {True}
        rules = s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]
        assert [(rule["ID"], rule.get("Expiration")) for rule in rules] == [
            ("on-failure", {"Days": 90}),
            ("uploads", None),
        ]

    def test_an_empty_untagged_one_is_a_setup_that_was_killed_between_two_calls(self, remote: Remote) -> None:
        remote.target.client("s3").create_bucket(Bucket=BUCKET.removeprefix("bucket/"))
        bring(remote, BUCKET)

    def test_an_untagged_one_with_something_in_it_is_a_stranger_s(self, remote: Remote) -> None:
        s3, name = remote.target.client("s3"), BUCKET.removeprefix("bucket/")
        s3.create_bucket(Bucket=name)
        s3.put_object(Bucket=name, Key="precious", Body=b"1")
        with pytest.raises(TxnpipeError) as caught:
            assess(remote.graph(settings_of()).resources[BUCKET])
        assert caught.value.exit_code is ExitCode.CONFLICT


class TestLogGroup:
    """Log groups."""

    key = "log group//aws/lambda/TransactionLoader"

    def test_one_that_lambda_made_itself_becomes_ours(self, remote: Remote) -> None:
        remote.target.client("logs").create_log_group(logGroupName="/aws/lambda/TransactionLoader")
        bring(remote, self.key)

    def test_one_of_another_pipeline_does_not(self, remote: Remote) -> None:
        remote.target.client("logs").create_log_group(
            logGroupName="/aws/lambda/TransactionLoader", tags={"txnpipe:pipeline": "other"}
        )
        with pytest.raises(TxnpipeError, match="belongs to the pipeline other"):
            assess(remote.graph(settings_of()).resources[self.key])


class TestEventSource:
    """Event source mappings."""

    def test_the_notifiers_retries_end_so_that_no_alert_blocks_those_after_it(self, remote: Remote) -> None:
        remote.setup(settings_of())
        (mapping,) = remote.target.client("lambda").list_event_source_mappings(
            FunctionName="TransactionNotifier"
        )["EventSourceMappings"]
        assert (mapping["MaximumRetryAttempts"], mapping["MaximumRecordAgeInSeconds"]) == (50, 3600)

    def test_every_setting_reaches_lambda(self, remote: Remote) -> None:
        loader = {
            "batch_size": 500,
            "parallelization_factor": 3,
            "maximum_retry_attempts": 4,
            "maximum_record_age_seconds": 600,
            "bisect_batch_on_error": True,
        }
        remote.setup(settings_of(loader=loader))
        mappings = remote.target.client("lambda").list_event_source_mappings()["EventSourceMappings"]
        found = {
            (item["EventSourceArn"].rpartition("/")[2], item["FunctionArn"].rpartition(":")[2]): item
            for item in mappings
        }
        assert len(found) == 3
        mapping = found["TransactionStream", "TransactionLoader"]
        assert mapping["BatchSize"] == 500
        assert mapping["StartingPosition"] == "TRIM_HORIZON"
        assert mapping["MaximumRetryAttempts"] == 4
        assert mapping["MaximumRecordAgeInSeconds"] == 600
        assert mapping["BisectBatchOnFunctionError"] is True
        bucket = f"arn:aws:s3:::txnpipe-default-{ACCOUNT}-{REGION}"
        assert mapping["DestinationConfig"]["OnFailure"]["Destination"] == bucket
        notifying = found["TransactionAlerts", "TransactionNotifier"]
        assert notifying["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert notifying["DestinationConfig"]["OnFailure"]["Destination"] == bucket
        assert not mapping.get("FunctionResponseTypes")
