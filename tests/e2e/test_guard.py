"""The local cloud serves whoever has the installation's key, and no web page."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.e2e.conftest import Cloud
from tests.waiting import PATIENCE_S


def ask(
    cloud: Cloud, path: str = "/", headers: Mapping[str, str] | None = None, method: str = "GET"
) -> tuple[int, str]:
    """A request as some other program would send it: status and body."""
    host, port = "127.0.0.1", cloud.running.endpoint_url.rsplit(":", 1)[1]
    connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE_S)
    connection.putrequest(method, path, skip_host=True)
    for name, value in {"Host": f"{host}:{port}", **(headers or {})}.items():
        connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    body = response.read().decode()
    assert "access-control-allow-origin" not in {name.lower() for name, _ in response.getheaders()}
    connection.close()
    return response.status, body


def signed(cloud: Cloud, service: str = "s3", key: str | None = None) -> dict[str, str]:
    key = key or cloud.running.access_key_id
    scope = f"{key}/20260101/us-east-1/{service}/aws4_request"
    return {"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"}


def test_the_installations_key_is_served(cloud: Cloud) -> None:
    status, body = ask(cloud, headers=signed(cloud))

    assert status == 200
    assert "ListAllMyBucketsResult" in body


def test_a_request_without_a_key_is_refused(cloud: Cloud) -> None:
    status, body = ask(cloud)

    assert status == 403
    assert "<Code>InvalidAccessKeyId</Code>" in body


@pytest.mark.parametrize("service", ["s3", "sqs", "sns", "iam", "ec2", "kinesis", "lambda", "cloudwatch"])
def test_another_key_gets_the_services_own_typed_error(cloud: Cloud, service: str) -> None:
    import boto3

    other: Any = boto3.client(  # type: ignore[call-overload]
        service,
        region_name="us-east-1",
        endpoint_url=cloud.endpoint_url,
        aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
        aws_secret_access_key="x",
    )
    calls = {
        "s3": lambda: other.list_buckets(),
        "sqs": lambda: other.list_queues(),
        "sns": lambda: other.list_topics(),
        "iam": lambda: other.list_roles(),
        "ec2": lambda: other.describe_vpcs(),
        "kinesis": lambda: other.list_streams(),
        "lambda": lambda: other.list_functions(),
        "cloudwatch": lambda: other.list_metrics(),
    }
    with pytest.raises(ClientError) as refused:
        calls[service]()

    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert refused.value.response["Error"]["Code"] in {
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "AuthFailure",
        "UnrecognizedClientException",
    }


def test_a_web_page_is_refused_even_with_the_key(cloud: Cloud) -> None:
    for header in ({"Origin": "https://example.com"}, {"Origin": "null"}, {"Origin": cloud.endpoint_url}):
        assert ask(cloud, headers=signed(cloud) | header)[0] == 403
        assert ask(cloud, headers=signed(cloud) | header, method="OPTIONS")[0] == 403
    for site in ("cross-site", "same-site", "same-origin"):
        assert ask(cloud, headers=signed(cloud) | {"Sec-Fetch-Site": site})[0] == 403


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:4580", "127.0.0.1.evil.example", "10.0.0.1", ""]
)
def test_a_host_that_is_not_loopback_is_refused(cloud: Cloud, host: str) -> None:
    assert ask(cloud, headers=signed(cloud) | {"Host": host})[0] == 403


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:4580", "127.0.0.1", "[::1]:4580"])
def test_any_name_of_loopback_is_served(cloud: Cloud, host: str) -> None:
    assert ask(cloud, headers=signed(cloud) | {"Host": host})[0] == 200


@pytest.mark.parametrize(
    "path", ["/moto-api/", "/moto-api/data.json", "//moto-api/", "/%6doto-api/reset", "/latest/meta-data/"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_motos_own_control_api_is_closed_to_everybody(cloud: Cloud, path: str, method: str) -> None:
    assert ask(cloud, path, method=method)[0] == 403
    assert ask(cloud, path, headers=signed(cloud), method=method)[0] == 403


def test_a_presigned_url_works_and_one_of_another_key_does_not(cloud: Cloud) -> None:
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="presigned")
    s3.put_object(Bucket="presigned", Key="a/b c.txt", Body=b"content")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "presigned", "Key": "a/b c.txt"})

    with urllib.request.urlopen(url) as response:
        assert response.read() == b"content"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(url.replace(cloud.running.access_key_id, "AKIAIOSFODNN7EXAMPLE"))
    assert refused.value.code == 403
