"""Nobody else of this machine, and no other machine, gets at a local cloud."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

import psutil

from tests.e2e.conftest import Cloud

NewCloud = Callable[..., Cloud]
IS_ROOT = os.geteuid() == 0


def test_everything_in_the_home_is_private(new_cloud: NewCloud) -> None:
    cloud = new_cloud()
    cloud.start()
    cloud.client("s3").create_bucket(Bucket="private")
    cloud.client("s3").put_object(Bucket="private", Key="k", Body=b"secret")

    open_to_others = {
        str(path.relative_to(cloud.home.root)): oct(stat.S_IMODE(path.stat().st_mode))
        for path in (cloud.home.runtime_file, cloud.home.credentials_file, *cloud.home.logs.iterdir())
        if stat.S_IMODE(path.stat().st_mode) & 0o077
    }
    open_to_others |= {
        str(path): oct(path.stat().st_mode)
        for path in (*cloud.home.state("moto").rglob("*"), cloud.home.state("moto"))
        if path.stat().st_mode & 0o077
    }
    assert open_to_others == {}
    # Root's PostgreSQL runs as another user, who may pass through the home but not list it.
    assert stat.S_IMODE(cloud.home.root.stat().st_mode) == (0o711 if IS_ROOT else 0o700)


def test_nothing_listens_beyond_loopback(new_cloud: NewCloud) -> None:
    cloud = new_cloud()
    cloud.start()

    addresses = {
        connection.laddr.ip
        for process in cloud.processes()
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert addresses == {"127.0.0.1"}
