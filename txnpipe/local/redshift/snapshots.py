"""Snapshots of clusters: whole data directories at rest."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from txnpipe.local.files import read_json, write_json
from txnpipe.local.postgres.binaries import server_account
from txnpipe.local.postgres.server import PostgresServer


class Snapshots:
    """The snapshots of the installation, each a directory of its name."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def has(self, name: str) -> bool:
        """Whether there is a complete snapshot of that name."""
        return (self._directory / name / "server.json").exists()

    def take(self, instance: Path, name: str) -> None:
        """Makes the data of a stopped instance a snapshot; the instance is gone afterwards."""
        self._make_directory()
        shutil.rmtree(self._directory / name, ignore_errors=True)
        instance.rename(self._directory / name)

    def copy(self, server: PostgresServer, name: str) -> None:
        """Copies a running server's data. Raises TxnpipeError (ENVIRONMENT)."""
        self._make_directory()
        unfinished = self._directory / f".{name}"
        for path in (unfinished, self._directory / name):
            if path.exists():
                shutil.rmtree(path)
        server.copy_data(unfinished)
        unfinished.rename(self._directory / name)

    def restore(self, name: str, instance: Path) -> None:
        """Copies a snapshot to where an instance is expected; its port is chosen anew."""
        unfinished = instance.with_name(f".{instance.name}")
        if unfinished.exists():
            shutil.rmtree(unfinished)
        if instance.exists():
            shutil.rmtree(instance)
        # cp keeps owners, which shutil does not, and clones where the file system can.
        subprocess.run(
            ["/bin/cp", "-a", str(self._directory / name), str(unfinished)], check=True, capture_output=True
        )
        write_json(unfinished / "server.json", (read_json(unfinished / "server.json") or {}) | {"port": 0})
        unfinished.rename(instance)

    def remove(self, name: str) -> None:
        """Deletes a snapshot; no matter if there is none."""
        if (self._directory / name).exists():
            shutil.rmtree(self._directory / name)

    def _make_directory(self) -> None:
        """As root, PostgreSQL's account writes here (see local.postgres.server)."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        account = server_account()
        if account.switch:
            os.chown(self._directory, os.geteuid(), account.gid)
            self._directory.chmod(0o710)
