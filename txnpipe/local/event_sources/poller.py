"""One mapping at work: finds the stream's shards and keeps their lanes running.

A shard starts when its parents are delivered to the end, so that a partition key's records stay in order
across a split or a merge. Shards that appear after the mapping was made start at TRIM_HORIZON. Where the
stream is gone the poller waits; a stream made again under the name is read from its beginning.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from dataclasses import replace
from typing import Any

from txnpipe.local.event_sources.counters import Tally
from txnpipe.local.event_sources.lane import Engine, Lane, Outside, sequence_order
from txnpipe.local.event_sources.mapping import Mapping
from txnpipe.local.event_sources.store import ShardRow
from txnpipe.local.service import ServiceError

_log = logging.getLogger(__name__)

DISCOVERY_S = 1.0
"""How often the shards are listed when nothing tells that they changed."""
STREAM_GONE = "Stream not found"


def starting_rows(mapping: Mapping, engine: Engine) -> list[ShardRow]:
    """Where a new mapping begins in each shard that there is now. Raises ServiceError (no such stream)."""
    rows = []
    for shard in engine.shards(mapping.source_arn):
        if mapping.starting_position == "LATEST":
            after = engine.latest(mapping.source_arn, shard.shard_id)
        elif mapping.starting_timestamp is not None:
            after = engine.sequence_at(mapping.source_arn, shard.shard_id, mapping.starting_timestamp)
        else:
            after = None
        rows.append(ShardRow(shard.shard_id, shard.starting_sequence_number, after))
    return rows


class MappingPoller:
    """Runs one mapping as it is now; a changed mapping gets a new poller."""

    def __init__(self, mapping: Mapping, outside: Outside, tally: Tally) -> None:
        self._mapping = mapping
        self._outside = outside
        self._tally = tally
        self._stop = threading.Event()
        self._stop_lanes = threading.Event()
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._running: dict[str, dict[Lane, threading.Thread]] = {}
        self._supervisor = threading.Thread(target=self._run, name=f"esm-{mapping.uuid[:8]}", daemon=True)

    def start(self) -> None:
        """Starts reading."""
        self._supervisor.start()

    def stop(self, timeout_s: float | None = None) -> bool:
        """Stops; whether all threads ended in time. Invocations that run are waited for."""
        self._stop.set()
        self._stop_lanes.set()
        self._wake.set()
        self._supervisor.join(timeout_s)
        return not self._supervisor.is_alive()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            try:
                self.discover()
            except Exception as error:  # noqa: BLE001 - the supervisor must outlive what nobody thought of
                _log.exception("Mapping %s", self._mapping.uuid)
                self._tally.problem(f"Internal error: {error}")
            self._wake.wait(DISCOVERY_S)
        self._end_lanes()

    def discover(self) -> None:
        """Looks at the stream once: starts the lanes that can start, forgets what is gone."""
        mapping, store = self._mapping, self._outside.store
        try:
            shards = self._outside.engine.shards(mapping.source_arn)
        except ServiceError as error:
            self._tally.problem(STREAM_GONE if error.code == "ResourceNotFoundException" else error.message)
            return
        self._tally.problem_over(STREAM_GONE)
        known = store.shards(mapping.uuid)
        if any(_is_another(known.get(shard.shard_id), shard) for shard in shards):
            _log.info("Mapping %s: %s was made again", mapping.uuid, mapping.source_arn)
            self._end_lanes()
            store.forget_shards(mapping.uuid)
            known = {}
        for shard in shards:
            if shard.shard_id not in known:
                known[shard.shard_id] = ShardRow(shard.shard_id, shard.starting_sequence_number, None)
                store.put_shard(mapping.uuid, known[shard.shard_id])
        present = {shard.shard_id for shard in shards}
        if expired := known.keys() - present if present else ():
            store.forget_shards(mapping.uuid, sorted(expired))
        for shard in shards:
            row = known[shard.shard_id]
            if not row.finished and _parents_done(shard, known, present):
                self._start_lanes(row)

    def _start_lanes(self, row: ShardRow) -> None:
        mapping = self._mapping
        with self._lock:
            if row.shard_id in self._running or self._stop.is_set():
                return
            lanes = [
                Lane(mapping, row.shard_id, lane, position, self._outside, self._tally, self._stop_lanes)
                for lane, position in enumerate(self._starting_positions(row))
            ]
            left = set(lanes)
            self._running[row.shard_id] = {
                lane: threading.Thread(
                    target=self._run_lane,
                    args=(lane, row, left),
                    name=f"esm-{mapping.uuid[:8]}-{row.shard_id[-4:]}-{lane.lane}",
                    daemon=True,
                )
                for lane in lanes
            }
            for thread in self._running[row.shard_id].values():
                thread.start()

    def _starting_positions(self, row: ShardRow) -> list[str | None]:
        """Where each lane of a shard continues."""
        mapping, store = self._mapping, self._outside.store
        saved = store.positions(mapping.uuid, row.shard_id)
        before = next(iter(saved))[0] if saved else mapping.lanes
        positions = [saved.get((before, lane), row.start_after) for lane in range(before)]
        if before == mapping.lanes:
            return positions
        # Another number of lanes: keys change lanes, so all start at what was delivered in every lane.
        complete = None if None in positions else min(filter(None, positions), key=sequence_order)
        store.relane(mapping.uuid, row.shard_id, mapping.lanes, complete)
        return [complete] * mapping.lanes

    def _run_lane(self, lane: Lane, row: ShardRow, left: set[Lane]) -> None:
        """`left`: the lanes of the shard that have not finished."""
        try:
            lane.run()
        finally:
            with self._lock:
                if lane.finished:
                    left.discard(lane)
                shard_finished = lane.finished and not left
            if shard_finished:
                self._finish(row)
            with self._lock:
                # Only now: whoever ends the lanes waits for what is saved, too.
                running = self._running.get(row.shard_id, {})
                running.pop(lane, None)
                if not running:
                    self._running.pop(row.shard_id, None)

    def _finish(self, row: ShardRow) -> None:
        try:
            self._outside.store.put_shard(self._mapping.uuid, replace(row, finished=True))
        except sqlite3.Error:
            # The next look at the stream starts its lanes once more, and they find the end at once.
            _log.exception("Mapping %s: the end of %s could not be saved", self._mapping.uuid, row.shard_id)
        else:
            self._wake.set()  # its children can start

    def _end_lanes(self) -> None:
        self._stop_lanes.set()
        with self._lock:
            threads = [thread for lanes in self._running.values() for thread in lanes.values()]
        for thread in threads:
            thread.join()
        if not self._stop.is_set():
            self._stop_lanes = threading.Event()


def _is_another(row: ShardRow | None, shard: Any) -> bool:
    """Whether a shard only shares its id with the one that is known: its stream was made again."""
    return row is not None and row.first_sequence != shard.starting_sequence_number


def _parents_done(shard: Any, known: dict[str, ShardRow], present: set[str]) -> bool:
    parents = [parent for parent in (shard.parent_id, shard.adjacent_parent_id) if parent in present]
    return all(known[parent].finished for parent in parents)
