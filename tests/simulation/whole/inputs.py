"""What was sent to the system, whatever became of the log that it was appended to.

A topic that is created again has the name and the offsets of the former one. So an input has a number in its
trace context, which comes back with every answer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from schemas.topics import TASK_CHANGELOG
from streams.engine.broker.coordinators import Partition
from streams.engine.ports import POSITIONS, Position
from streams.engine.takeover import name
from tests.audit.evidence import Source
from tests.simulation.whole.kafka import Entry, Headers, Kafka

LIFE = 1_000_000
"""An auditor is told the offsets in a topic that was created again as if they went on from here."""

TRACE = "traceparent"


@dataclass(eq=False)
class Input:
    """An input record. `life` says how often its topic had been created again."""

    partition: Partition
    entry: Entry
    life: int
    lost: bool = False
    """It was deleted before anybody had decided it."""
    noticeable: bool = False
    """And the system had written down how far it was with its log."""
    accepted: bool = False
    """A person knows that it is lost."""
    again: bool = False
    """It may have been read before a person gave up the position of its log, and once more after that."""

    @property
    def source(self) -> Source:
        """Its place, of which there are no two."""
        topic, number = self.partition
        return topic, number, self.entry.offset + self.life * LIFE


class Inputs:
    """All that was sent. With `numbered` they have a number each."""

    def __init__(self, kafka: Kafka, tasks: int, *, numbered: bool) -> None:
        self.all: list[Input] = []
        self._kafka = kafka
        self._tasks = tasks
        self._numbered = numbered
        self._by_log: dict[tuple[Partition, int], list[Input]] = defaultdict(list)

    def send(self, partition: Partition, key: bytes | None, value: bytes | None) -> None:
        """Append a record."""
        number = len(self.all) + 1
        trace = f"00-{number:032x}-{number:016x}-01".encode()
        headers: Headers = [(TRACE, trace)] if self._numbered else ()
        life = self._kafka.lives[partition[0]]
        sent = Input(partition, self._kafka.append(partition, key, value, headers), life)
        self.all.append(sent)
        self._by_log[partition, life].append(sent)

    def answered_by(self, headers: Mapping[str, str]) -> Source:
        """The input that an answer with these headers is about."""
        source = headers["source-topic"], int(headers["source-partition"]), int(headers["source-offset"])
        if TRACE not in headers:
            return source
        sent = self.all[int(headers[TRACE].split("-")[1], 16) - 1]
        assert (*sent.partition, sent.entry.offset) == source, (headers, sent)
        return sent.source

    def decided_up_to(self, partition: Partition) -> int:
        """The position that the changelog has of a log, or where the log begins."""
        row, begin = self._position(partition), self._kafka.logs[partition].begin
        same = row is not None and row.topic_id == self._kafka.topic_ids[partition[0]]
        return max(begin, row.offset) if row is not None and same else begin

    def undecided(self, partition: Partition) -> list[Input]:
        """What stands in a log beyond its position."""
        decided = self.decided_up_to(partition)
        return [each for each in self._of(partition) if each.entry.offset >= decided]

    def lose(self, partition: Partition, below: int) -> None:
        """What stands in a log below an offset is about to be deleted."""
        noticeable = self._position(partition) is not None
        for each in self.undecided(partition):
            if each.entry.offset < below:
                each.lost, each.noticeable = True, noticeable

    def accept(self, partition: Partition) -> list[Input]:
        """A person gives up the position of a log. Returns what was lost of it since the last time."""
        lost = [
            each
            for (of, _), sent in self._by_log.items()
            if of == partition
            for each in sent
            if each.lost and not each.accepted
        ]
        for each in lost:
            each.accepted = True
        for each in self._of(partition):
            each.again = each.life > 0
        return lost

    def unread(self, answered: Collection[Source]) -> set[Source]:
        """What nobody can answer any more."""
        return {each.source for each in self.all if each.lost and each.source not in answered}

    def silent_gaps(self, answered: Collection[Source]) -> list[Source]:
        """What was lost without an answer, and without a person who knows."""
        unread = self.unread(answered)
        silent = [each for each in self.all if each.noticeable and not each.accepted]
        return [each.source for each in silent if each.source in unread]

    def _of(self, partition: Partition) -> list[Input]:
        return self._by_log[partition, self._kafka.lives[partition[0]]]

    def _position(self, partition: Partition) -> Position | None:
        key = POSITIONS.prefix + name(partition).encode()
        changelog = self._kafka.logs[TASK_CHANGELOG, partition[1] % self._tasks]
        for entry in reversed(changelog.entries):
            if entry.key == key and entry.visible:
                return POSITIONS.decode(entry.value) if entry.value else None
        return None
