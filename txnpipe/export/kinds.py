"""Which kind of resource is rendered by what, and which kinds CloudFormation has no word for."""

from __future__ import annotations

from collections.abc import Mapping

from txnpipe.export import alarms, compute, data, network, warehouse
from txnpipe.export.pieces import Renderer

RENDERERS: Mapping[str, Renderer] = {
    "stream": data.stream,
    "topic": data.topic,
    "bucket": data.bucket,
    "secret": data.secret,
    "log group": data.log_group,
    "role": compute.role,
    "function": compute.function,
    "event source mapping": compute.event_source,
    "analytics app": compute.analytics_app,
    "security group": network.security_group,
    "subnet group": network.subnet_group,
    "vpc endpoint": network.vpc_endpoint,
    "s3 gateway": network.s3_gateway,
    "warehouse": warehouse.warehouse,
    "namespace": warehouse.namespace,
    "workgroup": warehouse.workgroup,
    "alarms": alarms.alarms,
}
"""Kind → what renders it."""

LEFT_OUT: Mapping[str, str] = {
    "code": "",  # its zip is there before the stack is: the parameters say where
    "usage limit": "The usage limit of the workgroup, which bounds its cost: CloudFormation has no type.",
    "schema": "The tables: CloudFormation runs no SQL.",
    "database user": "The loader's database user: CloudFormation runs no SQL.",
}
"""Kind → what is missing without it; "" where nothing is."""

NOT_STARTED = (
    "The start of the analytics app: AWS::KinesisAnalyticsV2::Application is created READY, and its "
    "RunConfiguration counts for updates of running applications only."
)
