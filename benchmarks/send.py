"""Compares the sender behind `txnpipe send` with other ways to write to Kinesis, in the same run.

    python benchmarks/send.py [--part throughput|limits] [--json FILE]

Throughput: the local cloud's Kinesis with its limits off, four shards, events of 200 bytes that exist before
the clock starts, one Kinesis record per event. The clients (benchmarks/senders.py) are processes of their
own and take turns; the CPU time is theirs alone. `boto3` is the loop of put_records with 500 records that
everybody writes, `floor` only posts bodies that were written and signed before. Peers are the unmodified
packages of benchmarks/peers.txt in an environment that this makes once (.venv-peers), aggregation and their
own limits off. Figures are medians of the turns. After each turn the stream is read back: every event must
be there once.

Limits: as on AWS, 1,000 records a second and shard. The sender runs for some seconds; the rate counts from
the moment when the shards' first burst is used up. The hot shard of four gets half of all records.

Exit code 1 where a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import venv
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kinesis_engine import Server, running, wait_active
from report import Report, Row, write
from senders import AWS_CLI_RECORDS, events

HERE = Path(__file__).parent
PEERS = HERE.parent / ".venv-peers"
SHARDS = 4
TURNS = 3
RECORDS = 50_000
FEWER = {"async-kinesis": 10_000, "aiokpl": 10_000, "aws-cli": AWS_CLI_RECORDS}
"""Those that take longer send fewer."""
PEER_KINDS = ("async-kinesis", "aiokpl")
OWN_KINDS = ("txnpipe-1", "txnpipe-2")
KINDS = ("floor", "boto3", *OWN_KINDS, "txnpipe-ordered", *PEER_KINDS, "aws-cli")
NAMES = {
    "floor": "floor: ready-made bodies, posted",
    "boto3": "boto3, put_records of 500",
    "txnpipe-1": "txnpipe, 1 worker",
    "txnpipe-2": "txnpipe, 2 workers",
    "txnpipe-ordered": "txnpipe, 2 workers, --ordered",
    "aws-cli": "aws kinesis put-record",
}
MOST_CPU = 0.6
"""Of the boto3 loop's CPU time per record."""
LEAST_SHARE = 0.97
"""Of 1,000 records a second and shard."""
MOST_THROTTLED = 0.01
LIMITED_SHARDS = (1, 4, 8)
LIMITED_S = 12.0
HOT = 0.5


@dataclass(frozen=True)
class Turn:
    """What one client took, per record; `wrong` events are not in the stream exactly once."""

    rate: float
    cpu_us: float
    wrong: int


def throughput(server: Server) -> list[Row]:
    """All clients in turns."""
    python = peers_python()
    turns: dict[str, list[Turn]] = {kind: [] for kind in KINDS}
    broken: dict[str, str] = {}
    for number in range(TURNS):
        for kind in KINDS:
            if kind not in broken:
                try:
                    turns[kind].append(last := turn(server, kind, number, python))
                    print(
                        f"  turn {number + 1}, {kind}: {last.rate:,.0f}/s, {last.cpu_us:,.2f} µs",
                        flush=True,
                    )
                except subprocess.CalledProcessError as error:
                    broken[kind] = error.stderr.strip().rpartition("\n")[2]
    rates = {kind: _median(turns[kind], lambda each: each.rate) for kind in KINDS if turns[kind]}
    costs = {kind: _median(turns[kind], lambda each: each.cpu_us) for kind in KINDS if turns[kind]}
    best = max((kind for kind in ("boto3", *PEER_KINDS) if kind in rates), key=lambda kind: rates[kind])
    rows = []
    for kind, rate in rates.items():
        name, ours = NAMES.get(kind, kind), kind in OWN_KINDS
        ratio = _paired(turns[kind], turns[best], lambda each: each.rate) if ours else rate / rates[best]
        goal = f"at least as fast as {NAMES.get(best, best)}" if ours else None
        rows.append(_row(name, rate, "records/s", NAMES.get(best, best), ratio, goal, ratio >= 1))
    for kind, cost in costs.items():
        name, ours = f"{NAMES.get(kind, kind)}, client CPU", kind in OWN_KINDS
        ratio = (
            _paired(turns[kind], turns["boto3"], lambda each: each.cpu_us) if ours else cost / costs["boto3"]
        )
        goal = f"at most {MOST_CPU}" if ours else None
        rows.append(_row(name, cost, "µs/record", NAMES["boto3"], ratio, goal, ratio <= MOST_CPU))
    for kind, taken in turns.items():
        wrong, ours = sum(each.wrong for each in taken), kind.startswith("txnpipe")
        if ours or wrong:
            name = f"{NAMES.get(kind, kind)}, events not stored exactly once"
            rows.append(_row(name, wrong, "", None, None, "0" if ours else None, wrong == 0))
    for kind, why in broken.items():
        print(f"  {kind} does not run here: {why}")
    return rows


def turn(server: Server, kind: str, number: int, peers: Path) -> Turn:
    """Lets one client send into a new stream, and reads the stream back."""
    stream, count = f"{kind}-{number}", FEWER.get(kind, RECORDS)
    client = server.client()
    client.create_stream(StreamName=stream, ShardCount=SHARDS)
    wait_active(client, stream)
    interpreter = peers if kind in PEER_KINDS else Path(sys.executable)
    told = child(interpreter, "senders.py", kind, server.endpoint, stream, count)
    stored = read_back(client, stream)
    wrong = sum(stored.pop(data, 0) != 1 for _, data in events(count)) + stored.total()
    client.delete_stream(StreamName=stream)
    return Turn(count / told["seconds"], told["cpu_s"] / count * 1e6, wrong + count - told["acknowledged"])


def read_back(client: Any, stream: str) -> Counter[bytes]:
    """How often each payload is in a stream."""
    stored: Counter[bytes] = Counter()
    for shard in client.list_shards(StreamName=stream)["Shards"]:
        iterator = client.get_shard_iterator(
            StreamName=stream, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        while True:
            answer = client.get_records(ShardIterator=iterator)
            if not answer["Records"]:
                break
            stored.update(record["Data"] for record in answer["Records"])
            iterator = answer["NextShardIterator"]
    return stored


def at_limits(server: Server) -> list[Row]:
    """The sender at the limits of 1, 4 and 8 shards, and with a hot one among four."""
    rows = []
    for shards in LIMITED_SHARDS:
        told = limited(server, shards, 0.0)
        name = f"at the limits of {shards} shard{'s' if shards > 1 else ''}"
        share = sum(told["shards"].values()) / (1000 * shards)
        rows.append(_sustained(name, share * 1000 * shards, share))
        rows.append(_throttled(name, told))
    told = limited(server, 4, HOT)
    slowest, *_ = sorted(told["shards"].values())
    rows.append(_sustained("a hot shard among four: the slowest of them", slowest, slowest / 1000))
    rows.append(_throttled("a hot shard among four", told))
    return rows


def limited(server: Server, shards: int, hot: float) -> Any:
    """One run into a new stream."""
    stream = f"limited-{shards}-{'hot' if hot else 'even'}"
    client = server.client()
    client.create_stream(StreamName=stream, ShardCount=shards)
    wait_active(client, stream)
    told = child(Path(sys.executable), "senders_txnpipe.py", server.endpoint, stream, shards, LIMITED_S, hot)
    client.delete_stream(StreamName=stream)
    return told


def _sustained(name: str, rate: float, share: float) -> Row:
    goal = f"at least {LEAST_SHARE} of the limit"
    return _row(name, rate, "records/s", "1,000 a second and shard", share, goal, share >= LEAST_SHARE)


def _throttled(name: str, told: Any) -> Row:
    share = told["throttled"] / told["attempts"]
    goal = f"below {MOST_THROTTLED:.0%}"
    return _row(f"{name}, throttled", 100 * share, "%", None, None, goal, share < MOST_THROTTLED)


def child(python: Path, script: str, *arguments: object) -> Any:
    """Runs a script beside this one and reads the JSON that it prints."""
    command = [str(python), str(HERE / script), *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(ended.stdout)


def peers_python() -> Path:
    """The interpreter of the peers' environment, which is made where it is not there."""
    python = PEERS / "bin" / "python"
    wanted, kept = HERE / "peers.txt", PEERS / "peers.txt"
    if not kept.exists() or kept.read_text() != wanted.read_text():
        venv.create(PEERS, clear=True, with_pip=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, "--requirement", str(wanted)], check=True)
        kept.write_text(wanted.read_text())
    return python


def _median(turns: list[Turn], figure: Callable[[Turn], float]) -> float:
    return statistics.median(map(figure, turns))


def _paired(turns: list[Turn], others: list[Turn], figure: Callable[[Turn], float]) -> float:
    """The median of the ratios, each within one turn."""
    return statistics.median(figure(own) / figure(other) for own, other in zip(turns, others, strict=True))


def _row(
    what: str, value: float, unit: str, baseline: str | None, ratio: float | None, goal: str | None, met: bool
) -> Row:
    own = what == baseline
    return Row(
        what, value, unit, None if own else baseline, None if own else ratio, goal, met if goal else None
    )


def show(rows: list[Row]) -> None:
    """One line a figure."""
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:7.2f} x {row.baseline}"
        goal = "" if row.goal is None else f"   goal: {row.goal}{'' if row.met else '   MISSED'}"
        print(f"  {row.what:<52}{row.value:12,.2f} {row.unit:<10}{ratio}{goal}", flush=True)


def main() -> int:
    """Runs the parts and prints them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--part", choices=("throughput", "limits"), help="only this one")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    given = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="txnpipe-benchmark-") as home:
        if given.part != "limits":
            print(f"{SHARDS} shards without limits, events of 200 bytes, median of {TURNS} turns")
            with running("engine", Path(home) / "free") as server:
                rows += throughput(server)
            show(rows)
        if given.part != "throughput":
            print(f"As much as the shards take, {LIMITED_S:.0f} s each")
            with running("limited-engine", Path(home) / "limited") as server:
                found = at_limits(server)
            show(found)
            rows += found
    packages = [line.strip() for line in (HERE / "peers.txt").read_text().splitlines() if line[:1] != "#"]
    what = f"Writing events of 200 bytes to the local cloud's Kinesis; peers: {', '.join(packages)}"
    report = Report("send", what, rows)
    write(report, given.json)
    return 0 if report.met else 1


if __name__ == "__main__":
    sys.exit(main())
