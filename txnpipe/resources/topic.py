"""The SNS topic of alerts, with its subscriptions.

Subscriptions carry no tags and people add their own by hand, so which ones are ours is written on the topic:
one tag per configured subscription. One that has such a tag and is no longer configured is removed; one that
has none is left alone.

The owner of a queue or a function lets the topic in (a queue policy for sns.amazonaws.com with aws:SourceArn,
a function permission); e-mail and https endpoints confirm the subscription.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from txnpipe.config.settings import SubscriptionSettings
from txnpipe.resources.difference import Difference
from txnpipe.resources.refusals import coded, once_accepted
from txnpipe.resources.resource import Cloud, Observed, tags_of, wait_ready

PENDING = "PendingConfirmation"
"""What SNS answers instead of an ARN until the endpoint has confirmed."""
ENDED = "Deleted"
"""What SNS answers instead of an ARN for some days after a subscriber has left."""
READY_TIMEOUT_S = 60.0
_TAG = "txnpipe:subscription:"


@dataclass(frozen=True)
class TopicState:
    """`subscriptions` maps "PROTOCOL ENDPOINT" to {"raw": bool}; the tags say which ones are managed."""

    subscriptions: Mapping[str, Mapping[str, bool]]


@dataclass(frozen=True)
class Topic:
    """The topic and the configured subscriptions."""

    cloud: Cloud
    name: str
    kind: str = "topic"
    requires: tuple[str, ...] = ()
    inside: str | None = None

    @property
    def arn(self) -> str:
        """The topic's ARN, known before it exists."""
        return self.cloud.names.arn("sns", self.name)

    def desired(self) -> TopicState:
        """See Resource."""
        return TopicState(
            {_key(item.protocol, item.endpoint): {"raw": item.raw} for item in self._configured()}
        )

    def _configured(self) -> tuple[SubscriptionSettings, ...]:
        return self.cloud.settings.topic.subscriptions

    def read(self) -> Observed[TopicState] | None:
        """See Resource."""
        sns = self.cloud.client("sns")
        try:
            sns.get_topic_attributes(TopicArn=self.arn)
            tags = tags_of(sns.list_tags_for_resource(ResourceArn=self.arn)["Tags"])
        except (sns.exceptions.NotFoundException, sns.exceptions.ResourceNotFoundException):
            return None
        self.cloud.assert_ours(self.kind, self.name, tags)
        configured = {_key(item.protocol, item.endpoint): item for item in self._configured()}
        managed: dict[str, dict[str, bool]] = {}
        pending, others = [], 0
        for found in self._subscriptions():
            key = _key(found["Protocol"], found["Endpoint"])
            if found["SubscriptionArn"] == PENDING:
                pending.append(key)
            if key in configured and found["SubscriptionArn"] == PENDING:
                managed[key] = {"raw": configured[key].raw}  # SNS tells no attributes before the confirmation
            elif key in configured or subscription_tag(key) in tags:
                managed[key] = {"raw": self._is_raw(found["SubscriptionArn"])}
            else:
                others += 1
        facts = {
            "subscriptions": len(managed),
            "other_subscriptions": others,
            "pending_confirmation": sorted(pending),
        }
        return Observed(TopicState(managed), "available", facts=facts)

    def _subscriptions(self) -> Iterator[dict[str, str]]:
        pages = self.cloud.client("sns").get_paginator("list_subscriptions_by_topic")
        for page in pages.paginate(TopicArn=self.arn):
            yield from (found for found in page["Subscriptions"] if found["SubscriptionArn"] != ENDED)

    def _is_raw(self, arn: str) -> bool:
        attributes: dict[str, str] = self.cloud.client("sns").get_subscription_attributes(
            SubscriptionArn=arn
        )["Attributes"]
        return attributes.get("RawMessageDelivery", "false").lower() == "true"

    def create(self, desired: TopicState) -> None:
        """See Resource."""
        sns = self.cloud.client("sns")
        sns.create_topic(Name=self.name, Tags=self.cloud.tag_list)
        self.settle()
        for key in desired.subscriptions:
            self._subscribe(key, desired)

    def update(self, desired: TopicState, differences: tuple[Difference, ...]) -> None:
        """See Resource."""
        sns = self.cloud.client("sns")
        arns = {
            _key(item["Protocol"], item["Endpoint"]): item["SubscriptionArn"]
            for item in self._subscriptions()
        }
        for key in _changed(differences):
            if key not in desired.subscriptions:
                if arns.get(key, PENDING) != PENDING:
                    sns.unsubscribe(SubscriptionArn=arns[key])
                sns.untag_resource(ResourceArn=self.arn, TagKeys=[subscription_tag(key)])
            elif key not in arns:
                self._subscribe(key, desired)
            else:
                sns.set_subscription_attributes(
                    SubscriptionArn=arns[key],
                    AttributeName="RawMessageDelivery",
                    AttributeValue=_flag(desired.subscriptions[key]["raw"]),
                )

    def _subscribe(self, key: str, desired: TopicState) -> None:
        sns = self.cloud.client("sns")
        protocol, endpoint = key.split(" ", 1)
        # The tag first: a subscription that nobody wrote down would never be removed.
        sns.tag_resource(ResourceArn=self.arn, Tags=[{"Key": subscription_tag(key), "Value": protocol}])
        attributes: dict[str, Any] = {}
        if desired.subscriptions[key]["raw"]:
            attributes["Attributes"] = {"RawMessageDelivery": "true"}
        sns.subscribe(
            TopicArn=self.arn, Protocol=protocol, Endpoint=endpoint, ReturnSubscriptionArn=True, **attributes
        )

    def settle(self) -> None:
        """See Resource."""
        wait_ready(self.cloud, self, READY_TIMEOUT_S)

    def delete(self) -> None:
        """See Resource. Its subscriptions go along."""
        sns = self.cloud.client("sns")
        for found in self._subscriptions_if_any():
            if found["SubscriptionArn"] != PENDING:
                sns.unsubscribe(SubscriptionArn=found["SubscriptionArn"])
        once_accepted(
            self.cloud,
            self,
            lambda: sns.delete_topic(TopicArn=self.arn),
            coded("ConcurrentAccess", "StaleTag"),
            what=f"SNS to finish another change of the topic {self.name}",
            timeout_s=READY_TIMEOUT_S,
        )

    def _subscriptions_if_any(self) -> list[dict[str, str]]:
        try:
            return list(self._subscriptions())
        except self.cloud.client("sns").exceptions.NotFoundException:
            return []


def _key(protocol: str, endpoint: str) -> str:
    return f"{protocol} {endpoint}"


def subscription_tag(key: str) -> str:
    """The tag of the topic that says that a subscription ("PROTOCOL ENDPOINT") is ours."""
    return _TAG + hashlib.sha256(key.encode()).hexdigest()[:16]


def _flag(value: bool) -> str:
    return json.dumps(value)


def _changed(differences: tuple[Difference, ...]) -> list[str]:
    """The keys behind differences, whose fields are "subscriptions.KEY.raw"."""
    found: list[str] = []
    for difference in differences:
        key = difference.field.removeprefix("subscriptions.").removesuffix(".raw")
        if key not in found:
            found.append(key)
    return found
