"""Zips that are the same bytes wherever and whenever they are written."""

from __future__ import annotations

import hashlib
import io
import os
import time
import zipfile

import pytest

from txnpipe.packaging.artifact import Artifact, zip_bytes

FILES = {"b/c.py": b"print()\n", "a.txt": b"x" * 1000, "b/a.so": bytes(range(256))}


def test_an_artifact_knows_its_hash_and_keeps_its_content_out_of_its_repr() -> None:
    artifact = Artifact.of("a.zip", b"content")
    assert artifact.sha256 == hashlib.sha256(b"content").hexdigest()
    assert "content" not in repr(artifact).replace("content=", "")


def test_a_zip_does_not_depend_on_order_time_zone_or_umask(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = zip_bytes(FILES)
    old_umask = os.umask(0o077)
    try:
        for zone in ("Pacific/Kiritimati", "America/Los_Angeles"):
            monkeypatch.setenv("TZ", zone)
            time.tzset()
            assert zip_bytes(dict(reversed(FILES.items()))) == expected
    finally:
        os.umask(old_umask)
        monkeypatch.undo()
        time.tzset()


def test_a_zip_of_given_files_has_these_very_bytes() -> None:
    """Pinned: a change of this hash makes every deployed function look out of date."""
    content = zip_bytes({"txnpipe/__init__.py": b"", "txnpipe/a.py": b"A = 1\n"})
    assert hashlib.sha256(content).hexdigest() == (
        "106fea0f2ca6331f000e361df72306d47f39671c1f5b1486958ef30ff1d47c4a"
    )


def test_a_zip_holds_the_files_readable_for_all_and_runnable_for_none() -> None:
    with zipfile.ZipFile(io.BytesIO(zip_bytes(FILES))) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == FILES
        assert archive.namelist() == sorted(FILES)
        assert {entry.external_attr >> 16 for entry in archive.infolist()} == {0o100644}
        assert {entry.create_system for entry in archive.infolist()} == {3}
