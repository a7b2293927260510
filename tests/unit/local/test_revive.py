"""A command whose local cloud goes away: a killed one is started again, a stopped one stays stopped."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from txnpipe.config.settings import LocalSettings
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.local import client, runtime
from txnpipe.local.client import LocalCloud
from txnpipe.local.files import write_json
from txnpipe.local.home import Home

SETTINGS = LocalSettings()
OPTIONS = client.wanted_options(SETTINGS)


@pytest.fixture
def cloud(tmp_path: Path) -> LocalCloud:
    """A local cloud that answered at port 4580 and does not any more."""
    home = Home(tmp_path / "home")
    home.prepare()
    return LocalCloud("http://127.0.0.1:4580", "000000000000", "k", "s", 1, home, OPTIONS, started=False)


def leave_runtime_file(cloud: LocalCloud, state: runtime.State) -> None:
    document = runtime.Runtime(1, 0.0, state, 4580, "1", OPTIONS)
    write_json(cloud.home.runtime_file, asdict(document))


def started_at(monkeypatch: pytest.MonkeyPatch, cloud: LocalCloud, port: int) -> list[Home | None]:
    """Makes the next start end at that port; returns the homes for which it was asked."""
    asked: list[Home | None] = []

    def ensure_running(settings: LocalSettings, home: Home | None = None) -> LocalCloud:
        asked.append(home)
        return LocalCloud(**{**vars(cloud), "endpoint_url": f"http://127.0.0.1:{port}"})

    monkeypatch.setattr(client, "ensure_running", ensure_running)
    return asked


def test_a_killed_one_is_started_again(cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_runtime_file(cloud, "ready")
    asked = started_at(monkeypatch, cloud, 4580)

    client.revive(SETTINGS, cloud)

    assert asked == [cloud.home]


@pytest.mark.parametrize("ended", [True, False])
def test_a_stopped_one_stays_stopped(cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch, ended: bool) -> None:
    if not ended:
        leave_runtime_file(cloud, "stopping")
    asked = started_at(monkeypatch, cloud, 4580)

    with pytest.raises(TxnpipeError, match=r"^The local cloud was stopped\.$") as raised:
        client.revive(SETTINGS, cloud)

    assert raised.value.exit_code == ExitCode.SERVICE
    assert asked == []


def test_one_that_comes_back_elsewhere_ends_the_command(
    cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_runtime_file(cloud, "ready")
    started_at(monkeypatch, cloud, 4999)

    with pytest.raises(TxnpipeError, match=r"another address, http://127\.0\.0\.1:4999\.$") as raised:
        client.revive(SETTINGS, cloud)

    assert raised.value.exit_code == ExitCode.SERVICE
