"""Namespaces and workgroups as a state machine, each namespace with a PostgreSQL of its own.

The namespace owns the data: its server is made, given the administrator, and stopped again when the namespace
is created. The workgroup owns the endpoint: the server runs while the workgroup exists. Where a change was
going is its status in the store, so that `reconcile` can finish it after a kill.

Rules: Redshift Serverless API reference and its quotas.
"""

from __future__ import annotations

import copy
import functools
import logging
import uuid
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

from txnpipe.errors import TxnpipeError
from txnpipe.local.postgres.server import DEFAULT_PORT, HOST, PostgresServer
from txnpipe.local.redshift import rules
from txnpipe.local.redshift.instances import Instances
from txnpipe.local.redshift.serverless.checks import (
    NO_MAXIMUM,
    check_capacity,
    check_subnets,
    found,
    invalid,
    require_available,
    validation,
)
from txnpipe.local.redshift.serverless.passwords import AdminPasswords
from txnpipe.local.redshift.serverless.store import (
    NAMESPACES,
    TAGS,
    WORKGROUPS,
    Store,
    arn,
    iso,
    key_of,
    tag,
    workgroup_of,
)
from txnpipe.local.redshift.transitions import Latencies, Transitions
from txnpipe.local.service import ServiceError

_log = logging.getLogger(__name__)

DEFAULT_CAPACITY = 128

Document = dict[str, Any]


class Warehouses:
    """All namespaces and workgroups.

    zones_of: the availability zones of subnets: `zones_of(region, subnet_ids)`; raises ServiceError.
    """

    def __init__(
        self,
        store: Store,
        instances: Instances,
        transitions: Transitions,
        latencies: Latencies,
        moto_state: Callable[[], AbstractContextManager[Any]],
        zones_of: Callable[[str, Sequence[str]], set[str]],
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._instances = instances
        self._transitions = transitions
        self._latencies = latencies
        self._passwords = AdminPasswords(store, moto_state)
        self._zones_of = zones_of
        self._now = now

    # Namespaces

    def create_namespace(self, region: str, request: Document) -> Document:
        """CreateNamespace."""
        name = request["namespaceName"]
        key = key_of(region, name)
        managed, password = bool(request.get("manageAdminPassword")), request.get("adminUserPassword")
        admin, dbname = request.get("adminUsername") or "admin", request.get("dbName") or "dev"
        with validation():
            rules.check_admin(admin)
            rules.check_database(dbname)
            if password is not None:
                rules.check_password(password)
        if managed and password is not None:
            raise invalid("You can't use adminUserPassword if manageAdminPassword is true.")
        identifier = str(uuid.uuid4())
        with self._store.change() as documents:
            if key in documents[NAMESPACES]:
                raise ServiceError("ConflictException", f"There is already a namespace named {name}.")
            document = {
                "namespaceArn": arn(region, "namespace", identifier),
                "namespaceId": identifier,
                "namespaceName": name,
                "adminUsername": admin,
                "dbName": dbname,
                "kmsKeyId": request.get("kmsKeyId") or "AWS_OWNED_KMS_KEY",
                "defaultIamRoleArn": request.get("defaultIamRoleArn"),
                "iamRoles": request.get("iamRoles") or [],
                "logExports": request.get("logExports") or [],
                "creationDate": iso(self._now()),
                "status": "AVAILABLE",
                "_region": region,
                "_provisioned": False,
                # Until the database knows it; a managed one is in its secret.
                "_password": None if managed else (password or rules.new_password()),
            }
            if managed:
                document["adminPasswordSecretArn"] = self._passwords.manage(document)
            documents[NAMESPACES][key] = document
            tag(documents, document["namespaceArn"], request.get("tags"))
            answer = copy.deepcopy(document)
        self._begin(document, self._latencies.create, lambda: self._provision(key))
        return answer

    def update_namespace(self, region: str, request: Document) -> Document:
        """UpdateNamespace: password, its management, roles, log exports."""
        key = key_of(region, request["namespaceName"])
        managed, password = request.get("manageAdminPassword"), request.get("adminUserPassword")
        if managed and password is not None:
            raise invalid("You can't use adminUserPassword if manageAdminPassword is true.")
        if password is not None:
            if not request.get("adminUsername"):
                raise invalid("adminUsername must be updated together with adminUserPassword.")
            with validation():
                rules.check_password(password)
        groups = [
            managed is not None or password is not None,
            request.get("iamRoles") is not None or request.get("defaultIamRoleArn") is not None,
            request.get("logExports") is not None,
            request.get("kmsKeyId") is not None,
        ]
        if sum(groups) != 1:
            raise invalid("Update exactly one setting of a namespace in one request.")
        with self._store.change() as documents:
            document = found(documents, NAMESPACES, key, "namespace")
            require_available(document)
            if request.get("adminUsername") not in (None, document["adminUsername"]):
                raise invalid("The local cloud cannot rename a namespace's administrator.")
            for field in ("defaultIamRoleArn", "iamRoles", "logExports", "kmsKeyId"):
                if request.get(field) is not None:
                    document[field] = request[field]
            if managed:
                document["adminPasswordSecretArn"] = self._passwords.manage(document)
            elif password is not None:
                self._passwords.remove_secret(document)
                document["adminPasswordSecretArn"] = None
                document["_password"] = password
            if groups[0]:
                document["_provisioned"] = False
            document["status"] = "MODIFYING"
            answer = copy.deepcopy(document)
        self._begin(document, self._latencies.modify, lambda: self._provision(key))
        return answer

    def delete_namespace(self, region: str, request: Document) -> Document:
        """DeleteNamespace; refused while a workgroup uses it."""
        key = key_of(region, request["namespaceName"])
        with self._store.change() as documents:
            document = found(documents, NAMESPACES, key, "namespace")
            require_available(document)
            if workgroup_of(documents, document):
                raise ServiceError("ConflictException", "The namespace is in use by a workgroup.")
            document["status"] = "DELETING"
            document["_final_snapshot"] = request.get("finalSnapshotName")
            answer = copy.deepcopy(document)
        self._begin(document, self._latencies.delete, lambda: self._delete_namespace(key))
        return answer

    # Workgroups

    def create_workgroup(self, region: str, request: Document) -> Document:
        """CreateWorkgroup."""
        name = request["workgroupName"]
        key = key_of(region, name)
        capacity = request.get("baseCapacity") or DEFAULT_CAPACITY
        check_capacity(region, capacity, request.get("maxCapacity"))
        port = int(request.get("port") or DEFAULT_PORT)
        with validation():
            rules.check_port(port)
        check_subnets(request.get("subnetIds"), functools.partial(self._zones_of, region))
        identifier = str(uuid.uuid4())
        with self._store.change() as documents:
            if key in documents[WORKGROUPS]:
                raise ServiceError("ConflictException", f"There is already a workgroup named {name}.")
            namespace = found(documents, NAMESPACES, key_of(region, request["namespaceName"]), "namespace")
            require_available(namespace)
            if workgroup_of(documents, namespace):
                raise ServiceError("ConflictException", "The namespace already has a workgroup.")
            document = {
                "workgroupArn": arn(region, "workgroup", identifier),
                "workgroupId": identifier,
                "workgroupName": name,
                "namespaceName": namespace["namespaceName"],
                "baseCapacity": capacity,
                "maxCapacity": request.get("maxCapacity"),
                "configParameters": request.get("configParameters") or [],
                "enhancedVpcRouting": bool(request.get("enhancedVpcRouting")),
                "ipAddressType": request.get("ipAddressType") or "ipv4",
                "port": port,
                "pricePerformanceTarget": request.get("pricePerformanceTarget"),
                "publiclyAccessible": bool(request.get("publiclyAccessible")),
                "securityGroupIds": request.get("securityGroupIds") or [],
                "subnetIds": request.get("subnetIds") or [],
                "trackName": request.get("trackName") or "current",
                "creationDate": iso(self._now()),
                "status": "CREATING",
                "_region": region,
            }
            documents[WORKGROUPS][key] = document
            tag(documents, document["workgroupArn"], request.get("tags"))
            answer = copy.deepcopy(document)
        self._begin(namespace, self._latencies.create, lambda: self._start(key))
        return answer

    def update_workgroup(self, region: str, request: Document) -> Document:
        """UpdateWorkgroup: one setting a call."""
        key = key_of(region, request["workgroupName"])
        changes = {
            name: value for name, value in request.items() if name != "workgroupName" and value is not None
        }
        if len(changes) != 1:
            raise invalid("You can't update multiple parameters in one request; name exactly one.")
        with self._store.change() as documents:
            document = found(documents, WORKGROUPS, key, "workgroup")
            require_available(document)
            if {"baseCapacity", "maxCapacity"} & changes.keys():
                after = document | changes
                if after["maxCapacity"] == NO_MAXIMUM:
                    if document["maxCapacity"] is None:
                        raise invalid("The workgroup has no max capacity to remove.")
                    after["maxCapacity"] = changes["maxCapacity"] = None
                check_capacity(region, after["baseCapacity"], after["maxCapacity"])
            if "port" in changes:
                with validation():
                    rules.check_port(int(changes["port"]))
            if "subnetIds" in changes:
                check_subnets(changes["subnetIds"], functools.partial(self._zones_of, region))
            document |= changes
            document["status"] = "MODIFYING"
            document["_moves"] = "port" in changes
            answer = copy.deepcopy(document)
            namespace = documents[NAMESPACES][key_of(region, document["namespaceName"])]
        self._begin(namespace, self._latencies.modify, lambda: self._start(key))
        return answer

    def delete_workgroup(self, region: str, request: Document) -> Document:
        """DeleteWorkgroup: the endpoint goes, the data stay."""
        key = key_of(region, request["workgroupName"])
        with self._store.change() as documents:
            document = found(documents, WORKGROUPS, key, "workgroup")
            require_available(document)
            document["status"] = "DELETING"
            answer = copy.deepcopy(document)
            namespace = documents[NAMESPACES][key_of(region, document["namespaceName"])]
        self._begin(namespace, self._latencies.delete, lambda: self._delete_workgroup(key))
        return answer

    # Reading

    def get(self, kind: str, region: str, name: str) -> Document:
        """One namespace or workgroup. Raises ServiceError (ResourceNotFoundException)."""
        with self._store.read() as documents:
            document = copy.deepcopy(found(documents, kind, key_of(region, name), kind.removesuffix("s")))
        return self.with_endpoint(document)

    def all(self, kind: str, region: str) -> list[Document]:
        """All namespaces or workgroups of a region, by name."""
        with self._store.read() as documents:
            copies = [copy.deepcopy(each) for _, each in sorted(documents[kind].items())]
        return [self.with_endpoint(each) for each in copies if each["_region"] == region]

    def with_endpoint(self, document: Document) -> Document:
        """Adds the endpoint that a workgroup has while its database runs."""
        if "workgroupName" in document and document["status"] != "CREATING":
            port = self._instances.port(_instance(document))
            if port:
                document["endpoint"] = {"address": HOST, "port": port, "vpcEndpoints": []}
        return document

    def server(self, region: str, workgroup: str) -> tuple[Document, PostgresServer]:
        """A workgroup and its running server. Raises ServiceError."""
        document = self.get(WORKGROUPS, region, workgroup)
        server = self._instances.server(_instance(document))
        if server is None or document["status"] not in ("AVAILABLE", "MODIFYING"):
            raise ServiceError("ConflictException", f"The workgroup {workgroup} is {document['status']}.")
        return document, server

    # At start

    def reconcile(self) -> set[str]:
        """Finishes what was under way and starts every workgroup's server; returns the instances in use."""
        with self._store.read() as documents:
            namespaces = list(documents[NAMESPACES].items())
            workgroups = list(documents[WORKGROUPS].items())
        for key, document in namespaces:
            if document["status"] == "DELETING":
                self._delete_namespace(key)
            elif not document["_provisioned"] or document["status"] == "MODIFYING":
                self._provision(key)
        for key, document in workgroups:
            if document["status"] == "DELETING":
                self._delete_workgroup(key)
            else:
                self._start(key)
        return {_instance(document) for _, document in namespaces}

    # In the background

    def _begin(self, namespace: Document, latency_s: float, work: Callable[[], None]) -> None:
        self._transitions.begin(_instance(namespace), latency_s, work)

    def _provision(self, key: str) -> None:
        """Gives the namespace's database its administrator and password."""
        with self._store.read() as documents:
            document = copy.deepcopy(documents[NAMESPACES].get(key))
            if document is None or document["status"] == "DELETING":
                return  # while this was to be tried again
            in_use = workgroup_of(documents, document) is not None
        name = _instance(document)
        try:
            if not document["_provisioned"]:
                password = self._passwords.of(document)
                self._instances.start(name, document["dbName"], document["adminUsername"], password)
                if not in_use:
                    self._instances.stop(name)
        except (TxnpipeError, OSError) as error:
            _log.error("namespace %s cannot be made: %s", document["namespaceName"], error)
            self._transitions.again(name, lambda: self._provision(key))
            return
        with self._store.change() as documents:
            documents[NAMESPACES][key] |= {"status": "AVAILABLE", "_provisioned": True, "_password": None}

    def _start(self, key: str) -> None:
        with self._store.read() as documents:
            document = copy.deepcopy(documents[WORKGROUPS].get(key))
            if document is None or document["status"] == "DELETING":
                return  # while this was to be tried again
            namespace = documents[NAMESPACES][key_of(document["_region"], document["namespaceName"])]
        name = _instance(document)
        if not namespace["_provisioned"]:
            self._transitions.again(name, lambda: self._start(key))
            return
        try:
            if document.get("_moves"):
                self._instances.move(name, int(document["port"]))
            self._instances.start(
                name,
                namespace["dbName"],
                namespace["adminUsername"],
                None,
                int(document["port"]),
            )
        except (TxnpipeError, OSError) as error:
            _log.error("workgroup %s cannot run: %s", document["workgroupName"], error)
            self._transitions.again(name, lambda: self._start(key))
            return
        with self._store.change() as documents:
            documents[WORKGROUPS][key] |= {"status": "AVAILABLE", "_moves": False}

    def _delete_workgroup(self, key: str) -> None:
        with self._store.read() as documents:
            document = copy.deepcopy(documents[WORKGROUPS][key])
        self._instances.stop(_instance(document))
        with self._store.change() as documents:
            documents[WORKGROUPS].pop(key)
            documents[TAGS].pop(document["workgroupArn"], None)

    def _delete_namespace(self, key: str) -> None:
        with self._store.read() as documents:
            document = copy.deepcopy(documents[NAMESPACES][key])
        if document.get("_final_snapshot"):
            snapshot = f"serverless.{document['_region']}.{document['_final_snapshot']}"
            self._instances.keep(_instance(document), snapshot)
        self._instances.remove(_instance(document))
        self._passwords.remove_secret(document)
        with self._store.change() as documents:
            documents[NAMESPACES].pop(key)
            documents[TAGS].pop(document["namespaceArn"], None)


def _instance(document: Document) -> str:
    return f"serverless.{document['_region']}.{document['namespaceName']}"
