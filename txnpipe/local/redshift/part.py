"""Redshift as a part of the daemon."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence

from txnpipe.local.part import Listener, LocalContext, Process
from txnpipe.local.postgres.postmaster import shut_down
from txnpipe.local.redshift import moto_hooks
from txnpipe.local.redshift.clusters import Clusters
from txnpipe.local.redshift.data_api.service import DataApiService
from txnpipe.local.redshift.data_api.statements import Executions
from txnpipe.local.redshift.endpoints import RedshiftEndpoints, zones_of
from txnpipe.local.redshift.instances import Instances
from txnpipe.local.redshift.serverless.limits import Tags, UsageLimits
from txnpipe.local.redshift.serverless.service import ServerlessService
from txnpipe.local.redshift.serverless.store import Store
from txnpipe.local.redshift.serverless.warehouses import Warehouses
from txnpipe.local.redshift.temporary_credentials import utc_now
from txnpipe.local.redshift.transitions import Latencies, Transitions
from txnpipe.local.service import Service

_log = logging.getLogger(__name__)


class RedshiftPart:
    """Clusters with real databases, the Data API, and Redshift Serverless.

    latencies: how long changes of state take at least; none unless a test asks for the service's own.
    """

    name = "redshift"

    def __init__(self, context: LocalContext, latencies: Latencies | None = None) -> None:
        latencies = latencies or Latencies()
        self._home = context.home / self.name
        self.instances = Instances(self._home, context.home / "logs")
        self.transitions = Transitions()
        self.clusters = Clusters(self.instances, self.transitions, latencies, context.moto_gate)
        self._store = Store(self._home / "serverless.json")
        self.warehouses = Warehouses(
            self._store,
            self.instances,
            self.transitions,
            latencies,
            context.moto_gate,
            functools.partial(zones_of, context.moto_gate),
            utc_now,
        )
        self._executions = Executions(self._home / "data-api")
        endpoints = RedshiftEndpoints(self.clusters, self.warehouses, self.instances, context.moto_gate)
        self.services: Sequence[Service] = (
            DataApiService(endpoints, self._executions),
            ServerlessService(self.warehouses, UsageLimits(self._store), Tags(self._store)),
        )
        self._uninstall: Callable[[], None] | None = None

    def start(self) -> None:
        """Hooks moto and starts the database of every cluster and workgroup that should run.

        Clusters that cannot run are reported by their status and in the log; the others run.
        """
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._uninstall = moto_hooks.install(self.clusters, self.instances)
        self._executions.start()
        self._store.load()
        used = self.clusters.reconcile() | self.warehouses.reconcile()
        for name in self.instances.known():
            if name not in used:
                _log.warning("the data of %s belong to nothing; they are left alone", name)
                shut_down(self._home / name / "data")

    def stop(self) -> None:
        """Stops every database and takes the hooks out."""
        self._executions.stop()
        self.transitions.stop()
        self.instances.stop_all()
        if self._uninstall:
            self._uninstall()
            self._uninstall = None

    def processes(self) -> list[Process]:
        """The postmasters alive now."""
        return self.instances.processes()

    def listeners(self) -> list[Listener]:
        """The databases' ports."""
        return self.instances.listeners()
