"""The places where we reach into moto, each with what moto does there and what we need.

A test holds moto to every one of them, so that another version of it fails there and not in a pipeline.
"""

from __future__ import annotations

import functools
import logging
import queue
import threading
import time
import types
from collections.abc import Callable
from typing import Any

from txnpipe.local.moto_control_plane.gate import Gate

log = logging.getLogger(__name__)

_DELIVERY_TIMEOUT_S = 15.0
"""SNS waits as long for an HTTP endpoint (SNS developer guide, message delivery)."""
_DELIVERY_ATTEMPTS = 3
"""SNS's default policy: three retries with 20 s between them; here the first attempt and two retries."""
_DELIVERY_PAUSE_S = 5.0
"""Between attempts."""


def replace(owner: Any, name: str, value: Any) -> Any:
    """Puts `value` in the place of an attribute that must be there; returns what was there."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    return before


def install(gate: Gate) -> None:
    """Installs all hooks, once per process."""
    _forget_instances()
    _forget_visits()
    _leave_the_gate_while_waiting(gate)
    _count_messages_at_one_moment()
    _deliver_to_web_endpoints_later()
    _sign_with_one_key()
    _take_architectures_with_code()
    keep_logging_config()


def know_regions_at_once() -> None:
    """moto asks boto3 for the regions of every service, and boto3 reads the models of all those services.

    That takes a second and 50 MB at every start. Every service of the control plane is in every region.
    Must be installed before moto is imported.
    """
    import boto3.session
    from botocore.loaders import Loader

    partitions = {
        partition["partition"]: sorted(partition["regions"])
        for partition in Loader().load_data("endpoints")["partitions"]
    }

    def get_available_regions(
        _session: Any, _service: str, partition_name: str = "aws", _non_regional: bool = False
    ) -> list[str]:
        return list(partitions.get(partition_name, []))

    replace(boto3.session.Session, "get_available_partitions", lambda _session: list(partitions))
    replace(boto3.session.Session, "get_available_regions", get_available_regions)


def offer_no_machines() -> None:
    """moto reads lists of EC2's machine types for each region: 50 MB and half a second at every start.

    Nothing here starts a machine; of EC2 a pipeline needs networks. Must be installed before moto's EC2 is
    imported.
    """
    import moto.utilities.utils

    def load_resource(path: Any) -> Any:
        if str(path).startswith("ec2/resources/instance_type_offerings"):
            return []
        if str(path) == "ec2/resources/instance_types.json":
            return {}
        return load(path)

    load = replace(moto.utilities.utils, "load_resource", load_resource)


def _forget_instances() -> None:
    """moto keeps every object it ever made alive, for its dashboard. Ours is closed."""
    from moto.core.common_models import BaseModel

    def new(cls: type, *_arguments: Any, **_named: Any) -> Any:
        return object.__new__(cls)

    replace(BaseModel, "__new__", new)


def _forget_visits() -> None:
    """moto notes in IAM who called, on every call. The guard lets one key in, and IAM does not know it."""
    import moto.iam.models

    replace(moto.iam.models, "mark_account_as_visited", lambda **_: None)


def _leave_the_gate_while_waiting(gate: Gate) -> None:
    """A long poll of a queue waits inside moto, and a queue's event source mapping runs a function there."""
    from moto.awslambda.models import LambdaBackend
    from moto.sqs.models import Queue

    wait_for_messages, send_sqs_batch = Queue.wait_for_messages, LambdaBackend.send_sqs_batch

    def wait_outside(self: Any, timeout: int) -> None:
        with gate.released():
            wait_for_messages(self, timeout)

    def send_outside(self: Any, function_arn: str, messages: Any, queue_arn: str) -> Any:
        with gate.released():
            return send_sqs_batch(self, function_arn, messages, queue_arn)

    replace(Queue, "wait_for_messages", wait_outside)
    replace(LambdaBackend, "send_sqs_batch", send_outside)


def _count_messages_at_one_moment() -> None:
    """moto asks the clock four times for each message of a queue, on every call that touches the queue.

    At 2,000 messages that makes 20 ms; a queue that is subscribed to the alerts may hold more.
    """
    from moto.core.utils import unix_time_millis
    from moto.sqs.models import Queue

    def messages(queue: Any) -> list[Any]:
        now = unix_time_millis()
        return [each for each in queue._messages if each.visible_at < now >= each.delayed_until]

    def delayed(queue: Any) -> int:
        now = unix_time_millis()
        return sum(now < each.delayed_until for each in queue._messages)

    def not_visible(queue: Any) -> int:
        now = unix_time_millis()
        return sum(now <= each.visible_at for each in queue._messages)

    replace(Queue, "messages", property(messages))
    replace(Queue, "approximate_number_of_messages_delayed", property(delayed))
    replace(Queue, "approximate_number_of_messages_not_visible", property(not_visible))


def _deliver_to_web_endpoints_later() -> None:
    """moto posts to a topic's HTTP endpoints inside Publish, and fails with them. SNS does it afterwards."""
    import moto.sns.models
    import requests
    from moto.sns.models import Subscription

    def post(url: str, **options: Any) -> None:
        requests.post(url, timeout=_DELIVERY_TIMEOUT_S, **options).raise_for_status()

    replace(moto.sns.models, "requests", types.SimpleNamespace(post=post))
    publish = Subscription.publish
    deliveries = _Deliveries()

    def publish_later(self: Any, *arguments: Any, **named: Any) -> None:
        if self.protocol in ("http", "https"):
            deliveries.add(lambda: publish(self, *arguments, **named))
        else:
            publish(self, *arguments, **named)

    replace(Subscription, "publish", publish_later)


class _Deliveries:
    """Posts in one thread, in order, with retries; what still fails is logged and dropped, as SNS does."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Callable[[], None]] = queue.Queue()
        self._started = threading.Event()

    def add(self, delivery: Callable[[], None]) -> None:
        if not self._started.is_set():
            self._started.set()
            threading.Thread(target=self._run, name="sns-deliveries", daemon=True).start()
        self._queue.put(delivery)

    def _run(self) -> None:
        while True:
            delivery = self._queue.get()
            for attempt in range(_DELIVERY_ATTEMPTS):
                try:
                    delivery()
                    break
                except Exception as error:  # noqa: BLE001 - whatever an endpoint does; it is logged
                    log.warning("a subscriber could not be reached: %s", error)
                    if attempt + 1 < _DELIVERY_ATTEMPTS:
                        time.sleep(_DELIVERY_PAUSE_S)


def _sign_with_one_key() -> None:
    """moto makes an RSA key for each subscription; making one takes up to half a second."""
    from cryptography.hazmat.primitives.asymmetric import rsa
    from moto.sns.models import Subscription

    @functools.cache
    def one_key() -> Any:
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)

    replace(Subscription, "private_key", lambda _self: one_key())


def keep_logging_config() -> None:
    """moto passes over the LoggingConfig of a function. Lambda's default is plain text."""
    from moto.awslambda.models import LambdaFunction

    made, changed = LambdaFunction.__init__, LambdaFunction.update_configuration
    described = LambdaFunction.get_configuration

    def init(self: Any, account_id: str, spec: dict[str, Any], *arguments: Any, **named: Any) -> None:
        made(self, account_id, spec, *arguments, **named)
        self.logging_config = spec.get("LoggingConfig", {})

    def update(self: Any, updates: dict[str, Any]) -> dict[str, Any]:
        self.logging_config = logging_of(self) | updates.get("LoggingConfig", {})
        answer: dict[str, Any] = changed(self, updates)
        return answer

    def get(self: Any, *arguments: Any, **named: Any) -> dict[str, Any]:
        answer: dict[str, Any] = described(self, *arguments, **named)
        return answer | {"LoggingConfig": logging_of(self)}

    replace(LambdaFunction, "__init__", init)
    replace(LambdaFunction, "update_configuration", update)
    replace(LambdaFunction, "get_configuration", get)


def logging_of(function: Any) -> dict[str, str]:
    """The LoggingConfig of moto's function; a saved one may come from before `keep_logging_config`."""
    defaults = {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{function.function_name}"}
    return defaults | getattr(function, "logging_config", {})


def _take_architectures_with_code() -> None:
    """moto passes over the Architectures of UpdateFunctionCode; a plan would show that change for ever."""
    from moto.awslambda.models import LambdaFunction

    update_function_code = LambdaFunction.update_function_code

    def update(self: Any, updated_spec: dict[str, Any]) -> dict[str, Any]:
        if "Architectures" in updated_spec and not updated_spec.get("DryRun"):
            self.architectures = updated_spec["Architectures"]
        answer: dict[str, Any] = update_function_code(self, updated_spec)
        return answer

    replace(LambdaFunction, "update_function_code", update)
