"""What we rely on inside moto, place by place. Another version of moto fails here first.

What the hooks do is shown by tests/e2e against a real daemon; here is what must be there for them to work.
"""

from __future__ import annotations

import inspect
import sys
from importlib.metadata import version
from typing import Any

import pytest

from tests.integration.moto_control_plane.program import run
from txnpipe.local.part import ACCOUNT


def parameters(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)


def source(function: Any) -> str:
    return inspect.getsource(function)


def test_moto_is_the_version_that_this_was_written_for() -> None:
    assert version("moto") == "5.2.5"


def test_backends_are_looked_up_in_dictionaries_of_dictionaries() -> None:
    from moto.core.base_backend import AccountSpecificBackend, BackendDict, BaseBackend

    assert parameters(AccountSpecificBackend.__getitem__) == ["self", "region_name"]
    assert issubclass(AccountSpecificBackend, dict)
    assert issubclass(BackendDict, dict)
    assert parameters(BaseBackend.__init__) == ["self", "region_name", "account_id"]


def test_objects_are_tracked_by_the_constructor_of_their_base_class() -> None:
    from moto.core.common_models import BaseModel

    assert "__new__" in vars(BaseModel)
    assert "instances_tracked.append" in source(BaseModel.__new__)


def test_every_call_notes_its_caller_by_that_name() -> None:
    import moto.iam.models
    from moto.core.responses import BaseResponse

    assert parameters(moto.iam.models.mark_account_as_visited) == [
        "account_id",
        "access_key",
        "service",
        "region",
    ]
    assert "from moto.iam.models import mark_account_as_visited" in source(BaseResponse.setup_class)


def test_a_long_poll_waits_in_one_place() -> None:
    from moto.sqs.models import Queue, SQSBackend

    assert parameters(Queue.wait_for_messages) == ["self", "timeout"]
    assert "queue.wait_for_messages(1)" in source(SQSBackend.receive_message)
    assert "sleep" not in source(SQSBackend.receive_message)


def test_a_queue_counts_its_messages_as_we_do() -> None:
    from moto.sqs.models import Message, Queue

    def getter(owner: type, name: str) -> str:
        return source(vars(owner)[name].fget)

    assert "if message.visible and not message.delayed" in getter(Queue, "messages")
    assert "current_time > self.visible_at" in getter(Message, "visible")
    assert "current_time < self.delayed_until" in getter(Message, "delayed")
    assert "if m.delayed" in getter(Queue, "approximate_number_of_messages_delayed")
    assert "if not m.visible" in getter(Queue, "approximate_number_of_messages_not_visible")


def test_a_queues_mapping_runs_its_function_in_one_place() -> None:
    from moto.awslambda.models import LambdaBackend
    from moto.sqs.models import Queue

    assert parameters(LambdaBackend.send_sqs_batch) == ["self", "function_arn", "messages", "queue_arn"]
    assert "send_sqs_batch" in source(Queue.add_message)


def test_a_subscription_publishes_and_signs_where_we_think() -> None:
    from moto.sns.models import Subscription, Topic

    assert parameters(Subscription.publish)[:3] == ["self", "message", "message_id"]
    assert "subscription.publish(" in source(Topic.publish)
    assert "self.private_key()" in source(Subscription.get_post_data)
    assert "self.sent_notifications.append" in source(Topic.publish)


def test_web_endpoints_are_posted_to_after_the_answer_and_again_if_they_fail() -> None:
    shown = run(
        """
        import http.server, threading, time
        from txnpipe.local.moto_control_plane import hooks
        from moto.sns.models import sns_backends
        hooks._DELIVERY_PAUSE_S = 0.01
        got, done = [], threading.Event()

        class Endpoint(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["Message"])
                self.send_response(500 if len(got) == 1 else 200)
                self.end_headers()
                if len(got) == 2:
                    done.set()
            def log_message(self, *_):
                pass

        server = http.server.HTTPServer(("127.0.0.1", 0), Endpoint)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sns = sns_backends[ACCOUNT]["us-east-1"]
        topic = sns.create_topic("t")
        sns.subscribe(topic.arn, f"http://127.0.0.1:{server.server_port}/", "http")
        sns.publish("hello", topic.arn)
        assert done.wait(60), got
        show(got=got)
        """
    )

    assert shown == {"got": ["hello", "hello"]}


def test_the_tagging_service_asks_for_backends_in_one_place() -> None:
    import moto.resourcegroupstaggingapi.models as models
    from moto.core.resource_tagging import TaggedResource, iter_taggable_backends

    assert parameters(iter_taggable_backends) == ["account_id", "region_name"]
    assert source(models).count("iter_taggable_backends(self.account_id, self.region_name)") == 4
    assert parameters(TaggedResource)[:3] == ["arn", "tags", "resource_type"]


def test_s3_keeps_an_objects_content_in_a_buffer_used_as_we_implement_it() -> None:
    import moto.s3.models as models

    key = models.FakeKey("k", b"v", ACCOUNT, "us-east-1")
    assert {"_value_buffer", "lock", "disposed"} <= set(vars(key))
    used = {
        line.split("_value_buffer.", 1)[1].split("(")[0]
        for line in source(models).splitlines()
        if "_value_buffer." in line
    }
    assert used == {"seek", "read", "truncate", "write", "close"}
    key.dispose()
    assert isinstance(models.s3_backends.bucket_accounts, dict)


def test_s3_keeps_versions_in_a_dictionary_that_shows_the_newest() -> None:
    from moto.s3.utils import _VersionedKeyStore

    store = _VersionedKeyStore()
    store["k"], store["k"] = "old", "new"
    assert store["k"] == "new"
    assert dict(dict.items(store)) == {"k": ["old", "new"]}


def test_lambda_keeps_code_and_storage_as_we_take_them_apart() -> None:
    from moto.awslambda.models import LambdaFunction, LambdaStorage, LayerVersion

    storage = LambdaStorage("us-east-1", ACCOUNT)
    factory: Any = vars(storage)["_aliases"].default_factory
    assert f"{factory.__module__} {factory.__qualname__}" == (
        "moto.awslambda.models LambdaStorage.__init__.<locals>.<lambda>"
    )
    assert factory() == {}
    assert 'self.code = spec["Code"]' in source(LambdaFunction.__init__)
    assert 'self.content = spec["Content"]' in source(LayerVersion.__init__)
    # Nothing reads the zip as it was sent once code_bytes is there.
    assert '["ZipFile"]' not in source(LambdaFunction.get_code)


def test_iam_keeps_awss_policies_apart_by_class() -> None:
    from moto.iam.models import AWSManagedPolicy, IAMBackend

    assert "self.aws_managed_policies = self._init_aws_policies()" in source(IAMBackend.__init__)
    assert "self.attachment_count += 1" in source(AWSManagedPolicy.attach_to)


def test_logs_number_events_across_the_process() -> None:
    from moto.logs.models import LogEvent

    assert "self.event_id = self.__class__._event_id" in source(LogEvent.__init__)


def test_the_web_application_finds_services_and_refuses_calls_as_we_expect() -> None:
    from moto.core.responses import BaseResponse
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication

    assert "raise NotImplementedError" in source(BaseResponse.call_action)
    assert "self.get_backend_for_host(host)" in source(DomainDispatcherApplication.get_application)
    assert 'self.environ.get("RAW_URI", "")' in source(sys.modules["moto.core.request"])


@pytest.mark.parametrize(
    "name", ["MOTO_ACCOUNT_ID", "MOTO_IAM_LOAD_MANAGED_POLICIES", "MOTO_EC2_LOAD_DEFAULT_AMIS"]
)
def test_moto_reads_the_variables_that_we_set(name: str) -> None:
    import moto.core.responses
    import moto.settings

    assert name in source(moto.settings) + source(moto.core.responses)


def test_all_hooks_can_be_installed_and_moto_works_with_them() -> None:
    shown = run(
        """
        import moto.iam.models, moto.ec2, moto.sns.models, boto3
        from moto.core import DEFAULT_ACCOUNT_ID
        from moto.core.common_models import BaseModel

        policies = moto.iam.models.iam_backends[ACCOUNT]["aws"].managed_policies
        network = moto.ec2.ec2_backends[ACCOUNT]["eu-west-1"]
        topic = moto.sns.models.sns_backends[ACCOUNT]["eu-west-1"].create_topic("t")
        show(
            account=DEFAULT_ACCOUNT_ID,
            policies="arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole" in policies,
            vpcs=len(network.describe_vpcs()),
            amis=len(network.amis),
            tracked=len(type(topic).instances_tracked),
            regions=sorted(boto3.Session().get_available_partitions())[:2],
        )
        """
    )

    assert shown == {
        "account": ACCOUNT,
        "policies": True,
        "vpcs": 1,
        "amis": 0,
        "tracked": 0,
        "regions": ["aws", "aws-cn"],
    }


def test_new_code_brings_its_architecture() -> None:
    from moto.awslambda.models import LambdaFunction

    assert parameters(LambdaFunction.update_function_code) == ["self", "updated_spec"]
    shown = run(
        """
        import base64, io, zipfile
        from moto.awslambda.models import lambda_backends
        from moto.core.exceptions import JsonRESTError
        from moto.iam.models import iam_backends

        role = iam_backends[ACCOUNT]["aws"].create_role("r", "{}", "/", None, "", [], 3600)
        content = io.BytesIO()
        zipfile.ZipFile(content, "w").close()
        code = base64.b64encode(content.getvalue()).decode()
        backend = lambda_backends[ACCOUNT]["us-east-1"]
        spec = {
            "FunctionName": "f", "Runtime": "python3.13", "Role": role.arn, "Handler": "app.handler",
            "Code": {"ZipFile": code}, "Architectures": ["x86_64"],
        }
        backend.create_function(spec)

        def updated(**fields):
            return backend.update_function_code("f", None, {"ZipFile": code, **fields})["Architectures"]

        try:
            updated(Architectures=["mips"])
        except JsonRESTError as error:
            refused = error.code
        show(
            refused=refused,
            unsaid=updated(),
            dry=updated(Architectures=["arm64"], DryRun=True),
            said=updated(Architectures=["arm64"]),
        )
        """
    )
    assert shown == {
        "refused": 400,
        "unsaid": ["x86_64"],
        "dry": ["x86_64"],
        "said": ["arm64"],
    }


def test_a_function_keeps_its_logging_configuration() -> None:
    from moto.awslambda.models import LambdaFunction

    assert parameters(LambdaFunction.__init__) == ["self", "account_id", "spec", "region", "version"]
    assert parameters(LambdaFunction.update_configuration) == ["self", "config_updates"]
    assert parameters(LambdaFunction.get_configuration) == ["self", "on_create"]
    shown = run(
        """
        import base64, copy, io, zipfile
        from moto.awslambda.models import lambda_backends
        from moto.iam.models import iam_backends

        role = iam_backends[ACCOUNT]["aws"].create_role("r", "{}", "/", None, "", [], 3600)
        content = io.BytesIO()
        zipfile.ZipFile(content, "w").close()
        backend = lambda_backends[ACCOUNT]["us-east-1"]

        def made(name, **fields):
            spec = {
                "FunctionName": name, "Runtime": "python3.13", "Role": role.arn, "Handler": "app.handler",
                "Code": {"ZipFile": base64.b64encode(content.getvalue()).decode()}, **fields,
            }
            return backend.create_function(spec)

        plain, structured = made("plain"), made("structured", LoggingConfig={"LogFormat": "JSON"})
        old = copy.copy(plain)
        del old.logging_config
        shown = [each.get_configuration()["LoggingConfig"] for each in (plain, structured, old)]
        structured.update_configuration({"LoggingConfig": {"ApplicationLogLevel": "WARN"}})
        shown.append(structured.get_code()["Configuration"]["LoggingConfig"])
        show(shown=shown)
        """
    )
    text = {"LogFormat": "Text", "LogGroup": "/aws/lambda/plain"}
    structured = {"LogFormat": "JSON", "LogGroup": "/aws/lambda/structured"}
    assert shown == {"shown": [text, structured, text, structured | {"ApplicationLogLevel": "WARN"}]}
