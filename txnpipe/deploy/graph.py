"""All resources of one pipeline, and the order that their requirements force on them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from graphlib import TopologicalSorter
from typing import Any

from txnpipe.aws import Target
from txnpipe.config import Settings
from txnpipe.deploy.artifacts import Artifacts
from txnpipe.deploy.warehouse_parts import refuse_warehouse, unwanted_parts, warehouse_parts
from txnpipe.names import Names
from txnpipe.resources import policies
from txnpipe.resources.alarms import Alarms
from txnpipe.resources.analytics_app import AnalyticsApp, refuse_sql_runtime
from txnpipe.resources.analytics_code import AnalyticsCode
from txnpipe.resources.bucket import Bucket
from txnpipe.resources.database_user import DatabaseUser
from txnpipe.resources.difference import KNOWN_AFTER_APPLY
from txnpipe.resources.event_source import EventSource
from txnpipe.resources.function import Function
from txnpipe.resources.log_group import LogGroup
from txnpipe.resources.network import (
    SecurityGroup,
    endpoint_group,
    loader_group,
    placement,
    warehouse_group,
)
from txnpipe.resources.resource import Cloud, Resource, Waiter, id_of
from txnpipe.resources.role import Role
from txnpipe.resources.s3_gateway import S3Gateway
from txnpipe.resources.schema import Schema
from txnpipe.resources.secret import LoaderSecret
from txnpipe.resources.secrets_endpoint import SecretsEndpoint
from txnpipe.resources.stream import Stream
from txnpipe.resources.stream_key import customer_key
from txnpipe.resources.topic import Topic
from txnpipe.resources.warehouse_address import endpoint

ALERT_SHARDS = 1
"""Alerts are few: one shard takes 1,000 a second."""
ANALYTICS_LOG_STREAM = "application"


@dataclass(frozen=True)
class Graph:
    """Resources by id, in an order in which every one comes after what it requires.

    unwanted: ids of resources that the configuration does not ask for; they are looked for and removed, never
    made.
    """

    cloud: Cloud
    resources: Mapping[str, Resource[Any]]
    bucket: str
    unwanted: frozenset[str] = frozenset()

    def __iter__(self) -> Iterator[Resource[Any]]:
        return iter(self.resources.values())

    def requirements(self) -> dict[str, set[str]]:
        """Id → ids of what it requires."""
        return {key: set(resource.requires) for key, resource in self.resources.items()}


def assemble(
    target: Target,
    settings: Settings,
    names: Names,
    *,
    artifacts: Artifacts | None = None,
    waiter: Waiter | None = None,
    every_warehouse: bool = False,
) -> Graph:
    """The graph of one pipeline. Asks nobody anything; refuses what cannot exist (USAGE).

    every_warehouse: the warehouse of the kind that the settings do not name as well. For looking and
    removing only: no such graph is ever applied.
    """
    if not every_warehouse:
        refuse_warehouse(settings.warehouse, names.region)
    refuse_sql_runtime(settings.analytics.runtime)
    cloud = Cloud(target, settings, names, waiter or Waiter())
    zips = artifacts or Artifacts(target, settings, names)
    bucket = Bucket(cloud, names.bucket)
    resources = [
        bucket,
        *(parts := _parts(cloud, bucket, zips)).everything,
        *_functions(cloud, parts, zips, bucket),
        Alarms(cloud, names.alarms),
    ]
    group = warehouse_group(cloud, parts.loader_group)
    unwanted = unwanted_parts(cloud, group) if every_warehouse else []
    return graph_of(cloud, [*resources, *unwanted], id_of(bucket), frozenset(map(id_of, unwanted)))


def graph_of(
    cloud: Cloud, resources: list[Resource[Any]], bucket: str, unwanted: frozenset[str] = frozenset()
) -> Graph:
    """Orders resources. A requirement that is no resource, or a circle, is a defect and raises."""
    by_id = {id_of(resource): resource for resource in resources}
    sorter = TopologicalSorter({key: by_id[key].requires for key in by_id})
    return Graph(cloud, {key: by_id[key] for key in sorter.static_order()}, bucket, unwanted)


@dataclass(frozen=True)
class _Parts:
    """What the functions and mappings refer to."""

    stream: Stream
    alert_stream: Stream
    topic: Topic
    loader_role: Role
    notifier_role: Role
    loader_group: SecurityGroup
    endpoint: SecretsEndpoint
    secret: LoaderSecret
    user: DatabaseUser
    warehouse: Resource[Any]
    everything: list[Resource[Any]]


def _parts(cloud: Cloud, bucket: Bucket, zips: Artifacts) -> _Parts:
    names, settings = cloud.names, cloud.settings
    stream = Stream(cloud, names.stream, settings.stream.shards, settings.stream.mode)
    alert_stream = Stream(cloud, names.alert_stream, ALERT_SHARDS)
    topic = Topic(cloud, names.topic)
    lambda_may = policies.trust_lambda()
    key = customer_key(settings.stream)
    loader_role = Role(cloud, names.loader_role, lambda_may, policies.loader_policy(names, key))
    notifier_role = Role(cloud, names.notifier_role, lambda_may, policies.notifier_policy(names, key))
    analytics_role = Role(
        cloud, names.analytics_role, policies.trust_analytics(names), policies.analytics_policy(names, key)
    )
    group_of_loader = loader_group(cloud, id_of(loader_role))
    group_of_warehouse = warehouse_group(cloud, group_of_loader)
    group_of_endpoint = endpoint_group(cloud)
    secrets_endpoint = SecretsEndpoint(cloud, names.cluster, group_of_endpoint)
    s3_gateway = S3Gateway(cloud, names.cluster)
    warehouse, beside = warehouse_parts(cloud, settings.warehouse.kind, group_of_warehouse)
    schema = Schema(cloud, settings.warehouse.database, id_of(warehouse))
    secret = LoaderSecret(cloud, names.loader_secret)
    user = DatabaseUser(cloud, settings.warehouse.loader_user, id_of(warehouse), id_of(schema), secret)
    code = AnalyticsCode(cloud, id_of(bucket), zips.analytics)
    logs = LogGroup(cloud, policies.analytics_log_group(names), ANALYTICS_LOG_STREAM)
    app = AnalyticsApp(
        cloud,
        names.analytics_app,
        requires=tuple(id_of(item) for item in (analytics_role, code, stream, alert_stream, logs)),
        role=analytics_role.arn,
        log_stream=f"{logs.arn}:log-stream:{ANALYTICS_LOG_STREAM}",
        artifact=zips.analytics,
    )
    everything: list[Resource[Any]] = [
        *(stream, alert_stream, topic, loader_role, notifier_role, analytics_role),
        *(group_of_loader, group_of_warehouse, group_of_endpoint, secrets_endpoint, s3_gateway),
        *(warehouse, *beside, schema, secret, user, code, logs, app),
    ]
    return _Parts(
        stream,
        alert_stream,
        topic,
        loader_role,
        notifier_role,
        group_of_loader,
        secrets_endpoint,
        secret,
        user,
        warehouse,
        everything,
    )


def _functions(cloud: Cloud, parts: _Parts, zips: Artifacts, bucket: Bucket) -> list[Resource[Any]]:
    names, settings = cloud.names, cloud.settings
    loader_logs = LogGroup(cloud, policies.function_log_group(names.loader))
    notifier_logs = LogGroup(cloud, policies.function_log_group(names.notifier))
    loader = Function(
        cloud,
        names.loader,
        requires=tuple(
            id_of(item)
            for item in (
                *(parts.loader_role, loader_logs, parts.loader_group, parts.endpoint),
                *(parts.warehouse, parts.secret),
            )
        ),
        handler="txnpipe.functions.loader.handler",
        role=parts.loader_role.arn,
        memory_mb=settings.loader.memory_mb,
        timeout_seconds=settings.loader.timeout_seconds,
        artifact=zips.loader,
        environment=partial(_loader_environment, cloud, parts.secret),
        placement=partial(placement, cloud, parts.loader_group),
        reserved_concurrency=settings.loader.reserved_concurrency,
    )
    notifier = Function(
        cloud,
        names.notifier,
        requires=(id_of(parts.notifier_role), id_of(notifier_logs)),
        handler="txnpipe.functions.notifier.handler",
        role=parts.notifier_role.arn,
        memory_mb=settings.notifier.memory_mb,
        timeout_seconds=settings.notifier.timeout_seconds,
        artifact=zips.notifier,
        environment=lambda: {"PIPELINE": names.pipeline, "TOPIC_ARN": names.topic_arn},
        # Outside the VPC: it talks to SNS only, and there is no way to SNS from inside without an endpoint.
        placement=lambda: ((), ()),
        reserved_concurrency=settings.notifier.reserved_concurrency,
    )
    return [
        *(loader_logs, notifier_logs, loader, notifier),
        *(_load(cloud, stream, loader, parts.user, bucket) for stream in (parts.stream, parts.alert_stream)),
        EventSource(
            cloud,
            parts.alert_stream.name,
            notifier.name,
            requires=(id_of(parts.alert_stream), id_of(notifier), id_of(parts.topic), id_of(bucket)),
            batch_size=settings.notifier.batch_size,
            batch_window_seconds=0,  # an alert is urgent, and there are few
            parallelization_factor=1,
            # Bounded, unlike the loader's: no alert keeps those after it waiting; it is in the table anyway.
            maximum_retry_attempts=settings.notifier.maximum_retry_attempts,
            maximum_record_age_seconds=settings.notifier.maximum_record_age_seconds,
            bisect_batch_on_error=False,
            partial_failures=True,
        ),
    ]


def _load(cloud: Cloud, stream: Stream, loader: Function, user: DatabaseUser, bucket: Bucket) -> EventSource:
    settings = cloud.settings.loader
    return EventSource(
        cloud,
        stream.name,
        loader.name,
        requires=(id_of(stream), id_of(loader), id_of(user), id_of(bucket)),
        batch_size=settings.batch_size,
        batch_window_seconds=cloud.target.batch_window_seconds,
        parallelization_factor=settings.parallelization_factor,
        maximum_retry_attempts=settings.maximum_retry_attempts,
        maximum_record_age_seconds=settings.maximum_record_age_seconds,
        bisect_batch_on_error=settings.bisect_batch_on_error,
        # The loader writes a batch whole or not at all, and puts bad records aside itself.
        partial_failures=False,
    )


def _loader_environment(cloud: Cloud, secret: LoaderSecret) -> dict[str, Any]:
    found, where = secret.describe(), endpoint(cloud)
    return {
        "PIPELINE": cloud.names.pipeline,
        "WAREHOUSE_SECRET_ARN": found["ARN"] if found else KNOWN_AFTER_APPLY,
        "WAREHOUSE_HOST": where[0] if where else KNOWN_AFTER_APPLY,
        "WAREHOUSE_PORT": str(where[1]) if where else KNOWN_AFTER_APPLY,
        "WAREHOUSE_DATABASE": cloud.settings.warehouse.database,
        "WAREHOUSE_SSLMODE": cloud.target.sslmode,
        # The name itself comes from the secret. Another one here makes Lambda start afresh, so that no warm
        # connection goes on as a user that has lost its privileges.
        "WAREHOUSE_USER": cloud.settings.warehouse.loader_user,
        "ALERT_STREAM_ARN": cloud.names.alert_stream_arn,
        "DEDUPE_WINDOW_DAYS": str(cloud.settings.loader.dedupe_window_days),
    }
