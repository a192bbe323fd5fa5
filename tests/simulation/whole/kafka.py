"""A broker under virtual time: logs with transactions, and the coordinator of these.

What the engine relies on is here as Kafka does it: records of an open transaction hold the last stable
offset, markers reach one log after the other, a producer that was initialised again is fenced, and a
transaction that nobody ends is aborted after its time-out. `group` has the consumer group.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random

from streams.engine.broker.coordinators import TRANSACTION_TIMEOUT_MS, Partition
from streams.engine.broker.errors import Fenced
from streams.engine.stage import LOG_APPEND_TIME
from tests.simulation.whole.clock import VirtualLoop

MARKER_S, SLOW_MARKER_S, SLOW_MARKERS = (0.001, 0.02), (0.5, 3.0), 0.03
"""How long a marker is on its way to a log; some take long."""

CONCURRENT_TRANSACTIONS = 51

Headers = Sequence[tuple[str, bytes]]
Records = Iterable[tuple[bytes | None, bytes | None, Headers]]


class Unfinished(Exception):
    """CONCURRENT_TRANSACTIONS: markers of this producer's last transaction are still on their way."""


class Missing(Exception):
    """UNKNOWN_TOPIC_OR_PARTITION: the topic was deleted. It passes where somebody creates it again."""


@dataclass(eq=False)
class Transaction:
    """One transaction of a producer. `unmarked` are the logs that have its records and not its marker."""

    producer: str
    epoch: int
    committed: bool | None = None
    """Its outcome, None while it is open."""
    unmarked: set[Partition] = field(default_factory=set)
    offsets: dict[Partition, tuple[int, str]] = field(default_factory=dict)
    """The group's offsets that it brings, with their metadata."""
    offsets_pending: bool = False
    offsets_written: int = 0
    """When they were written, in the order of all commits of the group."""


@dataclass(slots=True)
class Entry:
    """One offset of a log, as a stage reads a record; a marker has no content."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    transaction: Transaction | None = None
    marker: bool = False
    timestamp_type: int = LOG_APPEND_TIME

    @property
    def visible(self) -> bool:
        """Whether a read_committed reader gets it, once it is below the last stable offset."""
        return not self.marker and (self.transaction is None or bool(self.transaction.committed))


@dataclass
class Log:
    """One partition."""

    entries: list[Entry] = field(default_factory=list)
    begin: int = 0
    end: int = 0
    open: dict[Transaction, int] = field(default_factory=dict)
    """Transactions without their marker here, with their first offset."""

    @property
    def stable_end(self) -> int:
        """The last stable offset."""
        return min(self.open.values(), default=self.end)

    def append(self, entry: Entry) -> int:
        """Add a record at the end; returns its offset."""
        entry.offset = self.end
        self.entries.append(entry)
        self.end += 1
        if entry.transaction is not None and not entry.marker:
            self.open.setdefault(entry.transaction, entry.offset)
        return entry.offset

    def holds(self, offset: int) -> bool:
        """Whether a reader can go on there; OFFSET_OUT_OF_RANGE where not."""
        return self.begin <= offset <= self.end

    def read(self, start: int, limit: int) -> tuple[list[Entry], int]:
        """What a read_committed reader gets from `start` on, and where it goes on."""
        found: list[Entry] = []
        stable = self.stable_end
        at = bisect_left(self.entries, start, key=_offset)
        while at < len(self.entries) and self.entries[at].offset < stable and len(found) < limit:
            if self.entries[at].visible:
                found.append(self.entries[at])
            at += 1
        full = at < len(self.entries) and self.entries[at].offset < stable
        return found, self.entries[at].offset if full else max(start, stable)

    def delete_below(self, offset: int) -> None:
        """Retention: what lies below is gone."""
        self.begin = max(self.begin, min(offset, self.end))
        del self.entries[: bisect_left(self.entries, self.begin, key=_offset)]

    def compact(self) -> None:
        """Of each key keep the newest committed record; open transactions are left alone."""
        stable = self.stable_end
        newest = {each.key: each.offset for each in self.entries if each.offset < stable and each.visible}
        self.entries = [
            each
            for each in self.entries
            if each.offset >= stable or (each.visible and newest[each.key] == each.offset)
        ]


def _offset(entry: Entry) -> int:
    return entry.offset


class Kafka:
    """All logs of a cluster, by topic and partition."""

    def __init__(self, loop: VirtualLoop, rng: Random, topics: Mapping[str, int]) -> None:
        self.loop = loop
        self.rng = rng
        self.topics = dict(topics)
        """How many partitions each has."""
        self.topic_ids = {topic: f"id-of-{topic}" for topic in topics}
        self.logs = {(topic, number): Log() for topic, count in topics.items() for number in range(count)}
        self.listeners: list[Callable[[Partition], None]] = []
        """Told of each log in which something has become readable."""
        self.on_offsets: Callable[[Transaction], None] = lambda transaction: None
        """Told when the marker of a transaction with offsets reaches the group."""
        self.on_deleted: Callable[[str], None] = lambda topic: None
        """Told when a topic is deleted."""
        self.lives = dict.fromkeys(topics, 0)
        """How often each topic was created again."""
        self._epochs: dict[str, int] = {}
        self._current: dict[str, Transaction] = {}

    def append(
        self, partition: Partition, key: bytes | None, value: bytes | None, headers: Headers = ()
    ) -> Entry:
        """A record outside of transactions."""
        entry = Entry(0, self.loop.now_ms, key, value, headers)
        self.logs[partition].append(entry)
        self._tell(partition)
        return entry

    def delete(self, topic: str) -> None:
        """Delete a topic that no transaction is writing to; clients are told that it is unknown."""
        for number in range(self.topics[topic]):
            del self.logs[topic, number]
        del self.topic_ids[topic]
        self.on_deleted(topic)

    def create_again(self, topic: str) -> None:
        """Create a topic that was deleted: it has another id, and as many logs, which are empty."""
        self.lives[topic] += 1
        self.topic_ids[topic] = f"id-of-{topic}-{self.lives[topic]}"
        self.logs |= {(topic, number): Log() for number in range(self.topics[topic])}

    def has(self, topic: str) -> bool:
        """Whether there is such a topic now."""
        return topic in self.topic_ids

    def initialise(self, producer: str) -> int:
        """InitProducerId: an error code. What is open is aborted, and whoever had the id is fenced."""
        current = self._current.get(producer)
        if current is not None and current.committed is None:
            self._epochs[producer] += 1
            self._conclude(current, committed=False)
        if current is not None and (current.unmarked or current.offsets_pending):
            return CONCURRENT_TRANSACTIONS
        self._current.pop(producer, None)
        self._epochs[producer] = self._epochs.get(producer, -1) + 1
        return 0

    def epoch(self, producer: str) -> int:
        """What a producer was told when it was initialised."""
        return self._epochs[producer]

    def begin(self, producer: str, epoch: int) -> Transaction:
        """A new transaction. Raises Fenced; Unfinished while the former one's markers are being written."""
        self._check(producer, epoch)
        former = self._current.get(producer)
        if former is not None and (former.committed is None or former.unmarked or former.offsets_pending):
            raise Unfinished
        made = self._current[producer] = Transaction(producer, epoch)
        self.loop.later(TRANSACTION_TIMEOUT_MS / 1_000, lambda: self._time_out(made))
        return made

    def produce(self, transaction: Transaction, partition: Partition, records: Records) -> int:
        """Records of a transaction; returns the offset after the last. Raises Fenced."""
        self.check(transaction)
        transaction.unmarked.add(partition)
        log, now_ms = self.logs[partition], self.loop.now_ms
        for key, value, headers in records:
            log.append(Entry(0, now_ms, key, value, headers, transaction))
        return log.end

    def end(self, transaction: Transaction, *, committed: bool) -> None:
        """EndTxn. Raises Fenced."""
        if transaction.committed is None or transaction.committed != committed:
            self.check(transaction)
            self._conclude(transaction, committed=committed)

    def check(self, transaction: Transaction) -> None:
        """Raises Fenced where the transaction is over or its producer was initialised again."""
        self._check(transaction.producer, transaction.epoch)
        if transaction.committed is not None:
            raise Fenced("INVALID_TXN_STATE")

    def _check(self, producer: str, epoch: int) -> None:
        if self._epochs.get(producer) != epoch:
            raise Fenced(f"{producer} was initialised again")

    def _time_out(self, transaction: Transaction) -> None:
        if transaction.committed is None:
            self._epochs[transaction.producer] += 1
            self._conclude(transaction, committed=False)

    def _conclude(self, transaction: Transaction, *, committed: bool) -> None:
        """The outcome is decided; markers go to each log on their own."""
        transaction.committed = committed
        for partition in sorted(transaction.unmarked):
            self.loop.later(self._marker_s(), partial(self._mark, transaction, partition))
        if transaction.offsets:
            transaction.offsets_pending = True
            self.loop.later(self._marker_s(), lambda: self._mark_offsets(transaction))

    def _marker_s(self) -> float:
        slow = self.rng.random() < SLOW_MARKERS
        return self.rng.uniform(*(SLOW_MARKER_S if slow else MARKER_S))

    def _mark(self, transaction: Transaction, partition: Partition) -> None:
        log = self.logs[partition]
        log.append(Entry(0, self.loop.now_ms, None, None, (), transaction, marker=True))
        log.open.pop(transaction, None)
        transaction.unmarked.discard(partition)
        self._tell(partition)

    def _mark_offsets(self, transaction: Transaction) -> None:
        transaction.offsets_pending = False
        self.on_offsets(transaction)

    def tell_all(self, topic: str) -> None:
        """Have everybody look at a topic again."""
        for number in range(self.topics[topic]):
            self._tell((topic, number))

    def _tell(self, partition: Partition) -> None:
        for listener in self.listeners:
            listener(partition)
