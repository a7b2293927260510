"""The guard's judgement, by WSGI environment alone."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txnpipe.local.guard import Guard, access_key_of

KEY = "LOCALABCDEFGHIJKLMNO"
SIGNED = f"AWS4-HMAC-SHA256 Credential={KEY}/20260101/us-east-1/s3/aws4_request, SignedHeaders=a, Signature=b"


def environ(**changes: Any) -> dict[str, Any]:
    return {"HTTP_HOST": "127.0.0.1:4580", "PATH_INFO": "/", "HTTP_AUTHORIZATION": SIGNED, **changes}


def refuses(**changes: Any) -> bool:
    return Guard(KEY).refusal(environ(**changes)) is not None


def test_the_key_in_a_header_or_a_presigned_query_of_either_version_is_served() -> None:
    assert not refuses()
    assert not refuses(HTTP_AUTHORIZATION=f"AWS {KEY}:signature")
    for query in (
        f"X-Amz-Credential={KEY}%2F20260101%2Fr%2Fs3%2Faws4_request",
        f"a=b&AWSAccessKeyId={KEY}&c=d",
    ):
        assert not refuses(HTTP_AUTHORIZATION="", QUERY_STRING=query)


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Basic eDp5",
        f"AWS4-HMAC-SHA256 Credential={KEY[:-1]}/x",
        f"Credential={KEY}X/x",
        "AWS other:s",
        "é",
    ],
)
def test_anything_else_is_refused_as_a_wrong_key(authorization: str) -> None:
    refusal = Guard(KEY).refusal(environ(HTTP_AUTHORIZATION=authorization))
    assert refusal is not None
    assert refusal.key


def test_a_header_of_another_key_is_not_helped_by_a_query_with_the_right_one() -> None:
    assert refuses(HTTP_AUTHORIZATION="AWS other:x", QUERY_STRING=f"AWSAccessKeyId={KEY}")


def test_pages_are_refused_before_the_key_is_looked_at() -> None:
    for changes in ({"HTTP_ORIGIN": ""}, {"HTTP_ORIGIN": "null"}, {"HTTP_SEC_FETCH_SITE": "cross-site"}):
        refusal = Guard(KEY).refusal(environ(**changes))
        assert refusal is not None
        assert not refusal.key
    assert not refuses(HTTP_SEC_FETCH_SITE="none")


@given(st.text(max_size=30))
def test_no_host_but_loopback_is_served(host: str) -> None:
    name = host.strip().lower().rsplit(":", 1)[0]
    if name not in ("127.0.0.1", "localhost") and not host.strip().startswith("[::1]"):
        assert refuses(HTTP_HOST=host)


def test_a_request_without_a_host_is_refused() -> None:
    wsgi = environ()
    del wsgi["HTTP_HOST"]
    assert Guard(KEY).refusal(wsgi) is not None


@given(st.text(), st.text())
def test_no_header_and_no_query_breaks_the_guard(authorization: str, query: str) -> None:
    access_key_of(authorization, query)
    Guard(KEY).refusal(environ(HTTP_AUTHORIZATION=authorization, QUERY_STRING=query))
