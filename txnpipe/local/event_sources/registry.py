"""All mappings: what exists, in which state, and the poller that works for each enabled one.

A change is saved in a state of transition (Creating, Updating, ...) and answered; a thread then stops the old
poller, starts the new one and saves the state it settles in. A restart settles what a killed daemon left.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from txnpipe.local.event_sources.counters import MappingCounters, Tally
from txnpipe.local.event_sources.lane import Outside
from txnpipe.local.event_sources.mapping import IN_TRANSITION, Mapping, State
from txnpipe.local.event_sources.poller import MappingPoller, starting_rows
from txnpipe.local.event_sources.requests import invalid
from txnpipe.local.service import ServiceError

_log = logging.getLogger(__name__)


class Registry:
    """Thread-safe.

    function_exists: whether (ARN, region) names a function. on_enabled: told, whenever it may have changed,
    how many enabled mappings feed each function (ARN).
    """

    def __init__(
        self,
        outside: Outside,
        function_exists: Callable[[str, str], bool],
        on_enabled: Callable[[dict[str, int]], None] = lambda _counts: None,
    ) -> None:
        self._outside = outside
        self._on_enabled = on_enabled
        self._store = outside.store
        self._function_exists = function_exists
        self._lock = threading.RLock()
        self._mappings: dict[str, Mapping] = {}
        self._tallies: dict[str, Tally] = {}
        self._pollers: dict[str, MappingPoller] = {}
        self._settling: set[threading.Thread] = set()
        self._stopping = False

    def start(self) -> None:
        """Loads every mapping and continues where its checkpoints are."""
        for mapping in self._store.mappings():
            self._mappings[mapping.uuid] = mapping
            self._tallies[mapping.uuid] = Tally()
            self._settle(mapping.uuid)

    def stop(self, timeout_s: float) -> None:
        """Stops all pollers. An invocation that takes longer is left to end with its worker, and repeated."""
        with self._lock:
            self._stopping = True
            pollers = list(self._pollers.values())
            settling = list(self._settling)
        for poller in pollers:
            poller.stop(0)
        deadline = self._outside.monotonic() + timeout_s
        for thread in settling:
            thread.join(max(0.0, deadline - self._outside.monotonic()))
        for poller in pollers:
            poller.stop(max(0.0, deadline - self._outside.monotonic()))

    def create(self, function_arn: str, region: str, start: dict[str, Any], given: dict[str, Any]) -> Mapping:
        """Makes a mapping. `start` and `given` are Mapping's fields. Raises ServiceError."""
        self._require_function(function_arn, region)
        now = self._outside.clock()
        mapping = Mapping(
            uuid=str(uuid.uuid4()),
            region=region,
            function_arn=function_arn,
            created_at=now,
            last_modified=now,
            **start,
            **given,
        )
        with self._lock:
            self._require_unique(mapping)
            try:
                rows = starting_rows(mapping, self._outside.engine)
            except ServiceError as error:
                raise invalid(f"Stream not found: {mapping.source_arn}") from error
            self._store.save(mapping, rows)
            self._mappings[mapping.uuid] = mapping
            self._tallies[mapping.uuid] = Tally()
        self._settle_later(mapping.uuid)
        return mapping

    def _require_function(self, function_arn: str, region: str) -> None:
        if function_arn.split(":")[3] != region or not self._function_exists(function_arn, region):
            raise invalid(f"Function does not exist: {function_arn}")

    def _require_unique(self, mapping: Mapping) -> None:
        for other in self._mappings.values():
            if other.uuid != mapping.uuid and (other.source_arn, other.function_arn) == (
                mapping.source_arn,
                mapping.function_arn,
            ):
                raise ServiceError(
                    "ResourceConflictException",
                    f'An event source mapping with Kinesis arn (" {mapping.source_arn} ") and function '
                    f'(" {mapping.function_arn} ") already exists. Please update or delete the existing '
                    f"mapping with UUID {other.uuid}",
                    409,
                )

    def now(self) -> float:
        """Epoch seconds."""
        return self._outside.clock()

    def get(self, mapping_uuid: str) -> Mapping:
        """Raises ServiceError ResourceNotFoundException."""
        with self._lock:
            mapping = self._mappings.get(mapping_uuid)
        if mapping is None:
            raise ServiceError("ResourceNotFoundException", "The resource you requested does not exist.", 404)
        return mapping

    def last_result(self, mapping_uuid: str) -> str:
        """LastProcessingResult."""
        with self._lock:
            return self._tallies[mapping_uuid].last_result if mapping_uuid in self._tallies else ""

    def mappings(self) -> list[Mapping]:
        """All of them, oldest first."""
        with self._lock:
            return sorted(self._mappings.values(), key=lambda mapping: (mapping.created_at, mapping.uuid))

    def update(self, mapping_uuid: str, changes: dict[str, Any]) -> Mapping:
        """Changes Mapping's fields. Raises ServiceError."""
        with self._lock:
            mapping = self._settled(mapping_uuid, "update")
            if "function_arn" in changes:
                self._require_function(changes["function_arn"], mapping.region)
            switched = changes.get("enabled", mapping.enabled) != mapping.enabled
            state: State = ("Enabling" if changes["enabled"] else "Disabling") if switched else "Updating"
            changed = replace(mapping, state=state, last_modified=self._outside.clock(), **changes)
            self._require_unique(changed)
            self._put(changed)
        self._settle_later(mapping_uuid)
        return changed

    def delete(self, mapping_uuid: str) -> Mapping:
        """Begins to delete. Raises ServiceError."""
        with self._lock:
            mapping = replace(self._settled(mapping_uuid, "delete"), state="Deleting")
            self._put(mapping)
        self._settle_later(mapping_uuid)
        return mapping

    def set_tags(self, mapping_uuid: str, tags: dict[str, str]) -> None:
        """Replaces a mapping's tags. Raises ServiceError."""
        with self._lock:
            self._put(replace(self.get(mapping_uuid), tags=tags))

    def _settled(self, mapping_uuid: str, verb: str) -> Mapping:
        mapping = self.get(mapping_uuid)
        if mapping.state in IN_TRANSITION:
            raise ServiceError(
                "ResourceInUseException",
                f"Cannot {verb} the event source mapping because it is in use.",
                400,
            )
        return mapping

    def _put(self, mapping: Mapping) -> None:
        self._store.save(mapping)
        self._mappings[mapping.uuid] = mapping

    def _settle_later(self, mapping_uuid: str) -> None:
        thread = threading.Thread(
            target=self._settle, args=(mapping_uuid,), name=f"esm-settle-{mapping_uuid[:8]}", daemon=True
        )
        with self._lock:
            self._settling.add(thread)
        thread.start()

    def _settle(self, mapping_uuid: str) -> None:
        """Ends the old poller, then makes true what the mapping's document says."""
        try:
            with self._lock:
                poller = self._pollers.pop(mapping_uuid, None)
            if poller is not None:
                poller.stop()
            with self._lock:
                mapping = self._mappings[mapping_uuid]
                if self._stopping:
                    return
                if mapping.state == "Deleting":
                    self._store.delete(mapping_uuid)
                    del self._mappings[mapping_uuid], self._tallies[mapping_uuid]
                    self._tell_enabled()
                    return
                if mapping.enabled:
                    poller = MappingPoller(mapping, self._outside, self._tallies[mapping_uuid])
                    self._pollers[mapping_uuid] = poller
                    poller.start()
                if mapping.state != mapping.settled_state:
                    self._mappings[mapping_uuid] = replace(mapping, state=mapping.settled_state)
                    self._store.save(self._mappings[mapping_uuid])
                self._tell_enabled()
        except sqlite3.Error:
            # The document on disk stays in transition; the next start of the daemon settles it.
            _log.exception("Mapping %s could not be saved", mapping_uuid)
        finally:
            with self._lock:
                self._settling.discard(threading.current_thread())

    def _tell_enabled(self) -> None:
        self._on_enabled(Counter(each.function_arn for each in self._mappings.values() if each.enabled))

    def counters(self) -> list[MappingCounters]:
        """What every mapping has done since the start."""
        now = self._outside.clock()
        found = []
        for mapping in self.mappings():
            tally = self._tallies.get(mapping.uuid)
            if tally is not None:
                found.append(
                    MappingCounters(
                        uuid=mapping.uuid,
                        function_arn=mapping.function_arn,
                        source_arn=mapping.source_arn,
                        state=mapping.state,
                        last_result=tally.last_result,
                        records=tally.records,
                        batches=tally.batches,
                        failures=tally.failures,
                        discarded=tally.discarded,
                        iterator_age_ms=tally.iterator_age_ms(now),
                    )
                )
        return found
