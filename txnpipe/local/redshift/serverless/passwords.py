"""Passwords of namespaces' administrators: given by a request, or kept in a secret that Redshift manages."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from txnpipe.local.redshift import managed_secrets, rules
from txnpipe.local.redshift.serverless.store import NAMESPACES, Store, key_of

Document = dict[str, Any]


class AdminPasswords:
    """The passwords of all namespaces.

    moto_state: held while moto's Secrets Manager is touched.
    """

    def __init__(self, store: Store, moto_state: Callable[[], AbstractContextManager[Any]]) -> None:
        self._store = store
        self._moto_state = moto_state

    def manage(self, namespace: Document) -> str:
        """Puts a new password into the namespace's secret; returns the secret's ARN."""
        return self._put(namespace, rules.new_password())

    def remove_secret(self, namespace: Document) -> None:
        """Deletes the namespace's secret; no matter if there is none."""
        with self._moto_state():
            managed_secrets.remove(
                namespace["_region"], namespace["namespaceName"], namespace["adminUsername"]
            )

    def of(self, namespace: Document) -> str:
        """The password that the namespace's database is to know."""
        if namespace["_password"]:
            return str(namespace["_password"])
        with self._moto_state():
            secret = managed_secrets.read(namespace["_region"], namespace["adminPasswordSecretArn"])
        if secret is not None:
            return secret["password"]
        # Killed between our store's being saved and the secret's.
        password = rules.new_password()
        arn = self._put(namespace, password)
        with self._store.change() as documents:
            key = key_of(namespace["_region"], namespace["namespaceName"])
            documents[NAMESPACES][key]["adminPasswordSecretArn"] = arn
        return password

    def _put(self, namespace: Document, password: str) -> str:
        with self._moto_state():
            return managed_secrets.put(
                namespace["_region"], namespace["namespaceName"], namespace["adminUsername"], password
            )
