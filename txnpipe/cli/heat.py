"""How hot the shards are, as a few lines that fit on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from txnpipe.traffic.pacing import SHARD_RECORDS_PER_SECOND
from txnpipe.traffic.sender import ShardProgress

if TYPE_CHECKING:
    from rich.table import Table

SHOWN_SHARDS = 8
BAR_CELLS = 20
_BLOCKS = " ▏▎▍▌▋▊▉█"


def hottest(shards: Sequence[ShardProgress]) -> list[ShardProgress]:
    """The open shards that take the most, at most SHOWN_SHARDS, in the order of their hash keys."""
    open_shards = [shard for shard in shards if shard.open]
    ranked = sorted(open_shards, key=lambda shard: (shard.rate, shard.queued), reverse=True)[:SHOWN_SHARDS]
    return [shard for shard in open_shards if shard in ranked]


def bar(rate: float) -> str:
    """BAR_CELLS cells, full at the limit of a shard, 1,000 records a second."""
    eighths = round(min(rate / SHARD_RECORDS_PER_SECOND, 1.0) * BAR_CELLS * 8)
    full, rest = divmod(eighths, 8)
    return ("█" * full + _BLOCKS[rest]).ljust(BAR_CELLS)[:BAR_CELLS]


def heat(shards: Sequence[ShardProgress]) -> Table:
    """A line per hot shard: its rate against its limit, what was throttled and what waits."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    for _ in range(3):
        table.add_column(justify="right", no_wrap=True)
    shown = hottest(shards)
    for shard in shown:
        load = shard.rate / SHARD_RECORDS_PER_SECOND
        colour = "red" if load > 0.95 else "yellow" if load > 0.7 else "green"
        table.add_row(
            Text(shard.shard_id),
            Text(bar(shard.rate), style=colour),
            f"{shard.rate:,.0f}/s",
            f"{shard.queued:,} waiting" if shard.queued else "",
            f"{shard.throttled:,} throttled" if shard.throttled else "",
        )
    left = sum(shard.open for shard in shards) - len(shown)
    if left:
        table.add_row(Text(f"and {left:,} cooler shards", style="dim"))
    return table
