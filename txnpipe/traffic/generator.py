"""Computes the events of a synthetic run: event = f(manifest, index), and nothing else.

No event depends on another one, on the order in which they are asked for, on the number of workers or on the
machine; random bits come from BLAKE2b keyed by the seed, with the index as counter. A golden file in the
tests holds the first events.

Anomalies are planted, so that the run knows what the rules should find:

large_amount    single events of business accounts, 12,000 and more
velocity        a burst: eight events of one account within half a second
amount_spike    twelve ordinary events of an account, then one of 15 to 30 times its mean

The last two need several events of one account; such a *story* takes place inside one *lane*, 32 consecutive
indexes, so that one hash of the lane's number tells all of it. Earlier events of an amount_spike story are
dated back by minutes: they are the account's history, not a burst.

Beside them the manifest's mix asks for a hottest account, late records, repeats of earlier records and bad
records (see `mix`). Stories stay whole: none of their events is late, bad or a repeat.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from txnpipe.traffic.breaking import BROKEN_REASONS, broken
from txnpipe.traffic.events import Event, Label, Outcome
from txnpipe.traffic.keys import ACCOUNT
from txnpipe.traffic.manifest import Manifest
from txnpipe.traffic.mix import BURST, HISTORY, LANE, hot_chance, story_share
from txnpipe.traffic.population import KINDS, MERCHANTS, PLACES, UNIT, noise, typical_amounts
from txnpipe.traffic.rhythm import DAY_US, Rhythm
from txnpipe.transactions import Transaction

LANE_BITS = LANE.bit_length() - 1
BURST_STRIDE = 3
HISTORY_STRIDE = 2
HISTORY_STEP_US = 150 * 1_000_000
"""Event time between the events of an amount_spike story: well outside any velocity window."""
BURST_STEP_US = 60_000
"""Event time between the events of a burst, where records are spread over days."""
LATE_BEHIND = 100
"""A late record is dated at least a minute, at most an hour before the record so many places ahead of it."""
REPEAT_BITS = 12
"""A repeat comes 1 to 2^n places after what it repeats, every n up to this equally often: close and far."""
BUSINESS_ACCOUNTS = 1000
_KNOWN_PLACES = 25_000
"""Accounts that `outcomes` remembers: a few megabytes."""
HOT_ACCOUNT = 0
INDEX_DIGITS = 9

_EPOCH = datetime(1970, 1, 1)
_WORDS = struct.Struct("<8I")
_MASK = (1 << 64) - 1
_GOLDEN_RATIO = 0x9E3779B97F4A7C15
_STORY_DOMAIN = 1 << 63
_QUIET, _VELOCITY, _SPIKE = 0, 1, 2
_PLAIN, _LATE, _REPEAT, _BAD = 0, 1, 2, 3
_QUOTED = {merchant: json.dumps(merchant) for merchant in MERCHANTS}


class Generator:
    """The events of one manifest. Not to be shared between threads: it remembers the last lane it met."""

    def __init__(self, manifest: Manifest) -> None:
        if manifest.source != "generated":
            raise ValueError("only generated runs have a generator")
        self.manifest = manifest
        self._run = manifest.run_id
        self._accounts = manifest.accounts
        self._pace = manifest.pace
        self._key_field = manifest.partition_key
        self._keyed_by_account = manifest.partition_key == ACCOUNT
        self.earliest: int | None = None
        """Event time of the earliest valid record that `record` made, in microseconds since 1970, UTC."""
        self.latest: int | None = None
        start = manifest.start.replace(tzinfo=None) - (manifest.start.utcoffset() or timedelta(0))
        self._start = (start - _EPOCH) // timedelta(microseconds=1)
        self._keyed = hashlib.blake2b(digest_size=32, key=manifest.seed.to_bytes(8, "little"))
        self._account_salt = manifest.seed * 0xD1342543DE82EF95 & _MASK
        rates, mix = manifest.anomalies, manifest.mix
        # What befalls an index is drawn outside stories only, and large amounts among new and valid records.
        free = 1.0 - story_share(rates)
        new = free - mix.duplicates - mix.invalid if manifest.version > 1 else 1.0
        self._large_below = _chance(rates.get("large_amount", 0.0), new)
        self._repeat_below = _chance(mix.duplicates, free)
        self._bad_below = self._repeat_below + _chance(mix.invalid, free)
        self._late_below = self._bad_below + _chance(mix.late, free)
        self._hot_below = int(hot_chance(rates, mix) * (1 << 32))
        self._rhythm = self._rhythm_of(manifest)
        self._velocity_below = int(rates.get("velocity", 0.0) * LANE * (1 << 32))
        self._spike_below = self._velocity_below + int(rates.get("amount_spike", 0.0) * LANE * (1 << 32))
        self._noise = noise()
        self._typical = typical_amounts()
        self._lane = -1
        self._story = _QUIET
        self._story_typical = 0
        self._seconds: dict[int, str] = {}

    def event(self, index: int) -> Event:
        """The event of this index: of a repeat what it repeats, of a bad record what it was before."""
        words = self._hash(index)
        fate = self._fate(index, words)
        if fate == _REPEAT:
            first = self._repeated(index, words)
            index = index if first is None else first
            words = self._hash(index)
            fate = self._fate(index, words)
        return self._event(index, words, late=fate == _LATE)

    def row(self, index: int) -> Event | None:
        """The event that the warehouse must store because of this index; None for repeats and bad records."""
        words = self._hash(index)
        fate = self._fate(index, words)
        return None if fate > _LATE else self._event(index, words, late=fate == _LATE)

    def outcomes(self, start: int, stop: int) -> Iterator[Outcome]:
        """What must become of the indexes from `start` up to, not including, `stop`.

        What `row`, `reason` and `label` say, in a third of the time: nearly every record is an ordinary one.
        """
        new, unpack, copy = tuple.__new__, _WORDS.unpack, self._keyed.copy
        run, accounts, hot_below, typical = self._run, self._accounts, self._hot_below, self._typical
        first, pace, rhythm, noise_of = self._start, self._pace, self._rhythm, self._noise
        places: dict[int, tuple[str, int, str, str]] = {}
        kinds, merchants, merchant_count = KINDS, MERCHANTS, len(MERCHANTS)
        special_below, large_below = self._late_below, self._large_below
        index = start
        while index < stop:
            end = min((index >> LANE_BITS) + 1 << LANE_BITS, stop)
            self._step_at(index)
            if self._story:
                while index < end:
                    yield self._outcome(index)
                    index += 1
                continue
            while index < end:
                state = copy()
                state.update(index.to_bytes(8, "little"))
                words = unpack(state.digest())
                if words[5] < special_below or words[1] < large_below:
                    yield self._outcome(index)
                    index += 1
                    continue
                account = HOT_ACCOUNT if words[7] < hot_below else words[0] % accounts
                place = places.get(account)
                if place is None:
                    if len(places) >= _KNOWN_PLACES:
                        places.clear()
                    bits = self._account_bits(account)
                    place = places[account] = (
                        f"{run}-{account:07d}", typical[bits >> 58], *PLACES[bits >> 30 & 15]
                    )  # fmt: skip
                bits, chosen = words[3], words[2]
                factor = noise_of[(bits & 255) + (bits >> 8 & 255) + (bits >> 16 & 255) + (bits >> 24)]
                yield new(Outcome, (new(Event, (
                    f"{run}-{index:09d}",
                    (place[1] * factor >> 16) + 1,
                    kinds[chosen & 15],
                    first + index * 1_000_000 // pace if rhythm is None else rhythm.micros(index),
                    place[0],
                    merchants[(chosen >> 8) % merchant_count],
                    place[2],
                    place[3],
                )), None, None))  # fmt: skip
                index += 1

    def _outcome(self, index: int) -> Outcome:
        label = self.label(index)
        return Outcome(
            self.row(index), self.reason(index), label.rule if label is not None and label.decisive else None
        )

    def reason(self, index: int) -> str | None:
        """Why the loader must reject this record; None for a good one."""
        words = self._hash(index)
        return _reason(words) if self._fate(index, words) == _BAD else None

    def repeats(self, index: int) -> int | None:
        """The index of the record that this one repeats, if it is a repeat."""
        words = self._hash(index)
        return self._repeated(index, words) if self._fate(index, words) == _REPEAT else None

    def late(self, index: int) -> bool:
        """Whether this record is dated before what was sent before it."""
        return self._fate(index, self._hash(index)) == _LATE

    def label(self, index: int) -> Label | None:
        """What was planted at this index, if anything."""
        step = self._step_at(index)
        if step >= 0:
            last = BURST - 1 if self._story == _VELOCITY else HISTORY
            rule = "velocity" if self._story == _VELOCITY else "amount_spike"
            return Label(rule, index >> LANE_BITS, step == last)
        words = self._hash(index)
        if words[1] < self._large_below and self._fate(index, words) <= _LATE:
            return Label("large_amount", index, True)
        return None

    @staticmethod
    def completed_at(label: Label) -> int:
        """The index of the event that completes a planted anomaly; it may lie behind the run's end."""
        if label.rule == "large_amount":
            return label.story
        last = (BURST - 1) * BURST_STRIDE if label.rule == "velocity" else HISTORY * HISTORY_STRIDE
        return (label.story << LANE_BITS) + last

    def transaction(self, index: int) -> Transaction:
        """The event in the words of the event contract."""
        e = self.event(index)
        return Transaction(
            e.transaction_id,
            Decimal(e.cents).scaleb(-2),
            e.transaction_type,
            _EPOCH + timedelta(microseconds=e.micros),
            e.account_id,
            e.merchant,
            e.country,
            e.currency,
            self._run,
        )

    def record(self, index: int) -> tuple[str, bytes]:
        """Partition key and payload, as `key_of` and `encode` make them of `transaction(index)`; a bad
        record is broken after that."""
        event = self.event(index)
        key, payload = self._encoded(event)
        reason = self.reason(index) if self._bad_below > self._repeat_below else None
        if reason is not None:
            return key, broken(payload, reason)
        if self.earliest is None or event.micros < self.earliest:
            self.earliest = event.micros
        if self.latest is None or event.micros > self.latest:
            self.latest = event.micros
        return key, payload

    def records(self, start: int, stop: int) -> Iterator[tuple[str, bytes]]:
        """Partition keys and payloads of the indexes from `start` up to, not including, `stop`."""
        return map(self.record, range(start, stop))

    def _encoded(self, e: Event) -> tuple[str, bytes]:
        seconds, micros = divmod(e.micros, 1_000_000)
        when = self._seconds.get(seconds) or self._format(seconds)
        fraction = f".{micros:06d}" if micros else ""
        cents = e.cents
        key: str = e.account_id if self._keyed_by_account else getattr(e, self._key_field)
        return key, (
            f'{{"transaction_id":"{e.transaction_id}","amount":{cents // 100}.{cents % 100:02d},'
            f'"transaction_type":"{e.transaction_type}","timestamp":"{when}{fraction}Z",'
            f'"account_id":"{e.account_id}","merchant":{_QUOTED[e.merchant]},"country":"{e.country}",'
            f'"currency":"{e.currency}","run_id":"{self._run}"}}'
        ).encode()

    def _event(self, index: int, words: tuple[int, ...], *, late: bool) -> Event:
        step = self._step_at(index)
        lane = index >> LANE_BITS
        micros = self._micros(index)
        if late:
            shift = 60_000_000 + words[6] % 3_540_000_000
            micros = self._micros(max(index - LATE_BEHIND, 0)) - shift
        spread = words[3]
        factor = self._noise[(spread & 255) + (spread >> 8 & 255) + (spread >> 16 & 255) + (spread >> 24)]
        if step >= 0:
            account = self._accounts + BUSINESS_ACCOUNTS + lane
            typical = self._story_typical
            if self._story == _SPIKE:
                micros -= (HISTORY - step) * HISTORY_STEP_US
                if step == HISTORY:
                    # 15 to 30 times, of what was typical and not of what chance made of it.
                    factor = UNIT * 15 + words[4] % (UNIT * 15)
            elif self._rhythm is not None:
                micros = self._micros(lane << LANE_BITS) - (BURST - 1 - step) * BURST_STEP_US
        elif words[1] < self._large_below and (not self._bad_below or self._fate(index, words) != _BAD):
            account = self._accounts + words[0] % BUSINESS_ACCOUNTS
            typical = 1_500_000 + (self._account_bits(account) >> 40) % 6_500_000
            factor = UNIT - (UNIT >> 3) + (words[4] & 0x3FFF)  # 0.875 to 1.125
        else:
            account = HOT_ACCOUNT if words[7] < self._hot_below else words[0] % self._accounts
            typical = self._typical[self._account_bits(account) >> 58]
        bits = self._account_bits(account)
        country, currency = PLACES[bits >> 30 & 15]
        return Event(
            f"{self._run}-{index:0{INDEX_DIGITS}d}",
            (typical * factor >> 16) + 1,
            KINDS[words[2] & 15],
            micros,
            f"{self._run}-{account:07d}",
            MERCHANTS[(words[2] >> 8) % len(MERCHANTS)],
            country,
            currency,
        )

    def _micros(self, index: int) -> int:
        if self._rhythm is not None:
            return self._rhythm.micros(index)
        return self._start + index * 1_000_000 // self._pace

    def _fate(self, index: int, words: tuple[int, ...]) -> int:
        """What befalls this index: plain, late, a repeat or bad."""
        drawn = self._drawn(index, words)
        return _PLAIN if drawn == _REPEAT and self._repeated(index, words) is None else drawn

    def _drawn(self, index: int, words: tuple[int, ...]) -> int:
        chance = words[5]
        if chance >= self._late_below or self._step_at(index) >= 0:
            return _PLAIN
        return _REPEAT if chance < self._repeat_below else _BAD if chance < self._bad_below else _LATE

    def _repeated(self, index: int, words: tuple[int, ...]) -> int | None:
        """The new and valid record that a repeat repeats; None where there is none before it."""
        reach = 1 << 1 + words[6] % REPEAT_BITS
        earlier = index - 1 - (words[4] >> 8) % reach
        earlier = min(index - 1, max(earlier, 0))
        while earlier >= 0:
            if self._drawn(earlier, self._hash(earlier)) <= _LATE:
                return earlier
            earlier -= 1
        return None

    @staticmethod
    def _rhythm_of(manifest: Manifest) -> Rhythm | None:
        if not manifest.mix.days:
            return None
        length = int(manifest.mix.days * DAY_US)
        start = (manifest.start - _EPOCH.replace(tzinfo=UTC)) // timedelta(microseconds=1)
        return Rhythm(start, length, manifest.count or 0)

    def _hash(self, counter: int) -> tuple[int, ...]:
        state = self._keyed.copy()
        state.update(counter.to_bytes(8, "little"))
        return _WORDS.unpack(state.digest())

    def _enter(self, lane: int) -> None:
        words = self._hash(lane | _STORY_DOMAIN)
        chance = words[0]
        self._lane = lane
        self._story = (
            _VELOCITY if chance < self._velocity_below else _SPIKE if chance < self._spike_below else _QUIET
        )
        self._story_typical = 2000 + words[1] % 6000

    def _step_at(self, index: int) -> int:
        lane = index >> LANE_BITS
        if lane != self._lane:
            self._enter(lane)
        return self._step(index) if self._story else -1

    def _step(self, index: int) -> int:
        """Which event of the lane's story this index is, -1 for none."""
        offset = index & (LANE - 1)
        stride, length = (BURST_STRIDE, BURST) if self._story == _VELOCITY else (HISTORY_STRIDE, HISTORY + 1)
        step, rest = divmod(offset, stride)
        return step if rest == 0 and step < length else -1

    def _account_bits(self, account: int) -> int:
        mixed = (account * _GOLDEN_RATIO + self._account_salt) & _MASK
        return (mixed ^ mixed >> 29) * 0xBF58476D1CE4E5B9 & _MASK

    def _format(self, seconds: int) -> str:
        if len(self._seconds) > 4096:
            self._seconds.clear()
        text = self._seconds[seconds] = (_EPOCH + timedelta(seconds=seconds)).isoformat()
        return text


def _chance(share: float, among: float) -> int:
    """The bound that a random word of 32 bits is below in `share` of all cases, drawn in `among` of them."""
    return int(min(share / among, 1.0) * (1 << 32)) if share else 0


def _reason(words: tuple[int, ...]) -> str:
    return BROKEN_REASONS[(words[6] >> 8) % len(BROKEN_REASONS)]
