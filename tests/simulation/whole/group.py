"""The consumer group: members, generations, and offsets that are refused unless both are current."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

from streams.engine.broker.coordinators import Partition
from streams.engine.broker.errors import Refused
from streams.engine.ownership import Membership
from tests.simulation.whole.clock import NEUTRAL, VirtualLoop
from tests.simulation.whole.kafka import Kafka, Missing, Transaction

SESSION_S = 6.0
ROUND_S = 10.0
"""Who has not joined again within this is thrown out."""

ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID, REBALANCE_IN_PROGRESS = 22, 25, 27
UNSTABLE_OFFSET_COMMIT = 88
UNKNOWN_TOPIC_OR_PARTITION = 3
FORGOTTEN_WITHIN_S = 1.0
"""So long the group's offsets outlive a topic that was deleted."""

UNCHECKED = -1
"""A generation below 0 and no member id: the broker takes such a commit from anybody."""

Offset = tuple[int, str]
Assign = Callable[[list[str]], Mapping[str, list[Partition]]]


@dataclass(frozen=True)
class Grant:
    """What a member has in a generation."""

    member: Membership
    partitions: tuple[Partition, ...]


@dataclass
class Group:
    """Eager: in each round all members let go of everything first. `assign` shares the partitions out."""

    kafka: Kafka
    rng: Random
    assign: Assign
    generation: int = 0
    rounds: int = 0
    offsets: dict[Partition, Offset] = field(default_factory=dict)
    _seen: dict[str, float] = field(default_factory=dict)
    """Members, and when each was heard last."""
    _joined: dict[str, asyncio.Future[Grant]] = field(default_factory=dict)
    _preparing: bool = False
    _transactions: list[Transaction] = field(default_factory=list)
    _written: int = 0
    """Commits so far, in the order in which they were written."""
    _newest: dict[Partition, int] = field(default_factory=dict)
    """By partition: which of them its offset is from."""

    def __post_init__(self) -> None:
        self.kafka.on_offsets = self._marked
        self.kafka.on_deleted = self._deleted
        self._watch()

    @property
    def loop(self) -> VirtualLoop:
        """The loop of the broker."""
        return self.kafka.loop

    def join(self, member_id: str) -> asyncio.Future[Grant]:
        """Take part in the next round; an unknown member gets a new id. The grant comes when it is over."""
        if member_id not in self._seen:
            self.rounds += 1
            member_id = f"member-{self.rounds}"
        self._seen[member_id] = self.loop.seconds
        future: asyncio.Future[Grant] = self.loop.create_future()
        self._joined[member_id] = future
        self._prepare()
        self.loop.later(0.01, self._maybe_grant)
        return future

    def heartbeat(self, generation: int, member_id: str) -> int:
        """An error code."""
        code = self._code(Membership(generation, member_id))
        if not code:
            self._seen[member_id] = self.loop.seconds
        return code or (REBALANCE_IN_PROGRESS if self._preparing else 0)

    def leave(self, member_id: str) -> None:
        """A worker stops in good order."""
        self._remove(member_id)

    def commit(self, offsets: Mapping[Partition, Offset], member: Membership) -> int:
        """OffsetCommit: an error code."""
        code = self._code(member)
        if not code:
            self._written += 1
            self._apply(offsets, self._written)
        return code

    def rebalance(self) -> None:
        """A member asks for it, because topics have changed."""
        if self._seen:
            self._prepare()

    def try_to_commit(self, offsets: Mapping[Partition, Offset], member: Membership) -> None:
        """The same where nobody waits for the answer."""
        self.commit(offsets, member)

    def commit_with(
        self, transaction: Transaction, offsets: Mapping[Partition, Offset], member: Membership
    ) -> None:
        """TxnOffsetCommit. Raises Fenced, Refused or Missing."""
        self.kafka.check(transaction)
        if self._code(member):
            raise Refused("the group has moved on")
        if not all(self.kafka.has(topic) for topic, _ in offsets):
            raise Missing
        self._written += 1
        transaction.offsets.update(offsets)
        transaction.offsets_written = self._written
        self._transactions.append(transaction)

    def unstable(self, partition: Partition) -> bool:
        """Whether an open transaction is about to change an offset."""
        return any(
            partition in each.offsets and (each.committed is None or each.offsets_pending)
            for each in self._transactions
        )

    def _deleted(self, topic: str) -> None:
        """Offsets of a deleted topic are forgotten soon, also those that a transaction is about to bring."""
        self.loop.later(self.kafka.rng.uniform(0, FORGOTTEN_WITHIN_S), lambda: self._forget(topic))

    def _forget(self, topic: str) -> None:
        for each in [self.offsets, *(transaction.offsets for transaction in self._transactions)]:
            for partition in [partition for partition in each if partition[0] == topic]:
                del each[partition]

    def _marked(self, transaction: Transaction) -> None:
        self._transactions.remove(transaction)
        if transaction.committed:
            self._apply(transaction.offsets, transaction.offsets_written)

    def _apply(self, offsets: Mapping[Partition, Offset], written: int) -> None:
        """What was written last counts, whichever marker comes first."""
        for partition, offset in offsets.items():
            if written > self._newest.get(partition, 0):
                self._newest[partition], self.offsets[partition] = written, offset

    def _code(self, member: Membership) -> int:
        if member.generation == UNCHECKED and member.member_id == "":
            return 0
        if member.member_id not in self._seen:
            return UNKNOWN_MEMBER_ID
        return 0 if member.generation == self.generation else ILLEGAL_GENERATION

    def _watch(self) -> None:
        """Members that are silent for a session are thrown out."""
        for member_id, heard in list(self._seen.items()):
            if self.loop.seconds - heard > SESSION_S and member_id not in self._joined:
                self._remove(member_id)
        self.loop.later(0.5, self._watch)

    def _remove(self, member_id: str) -> None:
        if self._seen.pop(member_id, None) is not None:
            self._joined.pop(member_id, None)
            self._prepare()
            self._maybe_grant()

    def _prepare(self) -> None:
        if not self._preparing:
            self._preparing = True
            begun = self.generation
            self.loop.later(ROUND_S, lambda: self._maybe_grant(late=begun))

    def _maybe_grant(self, late: int | None = None) -> None:
        """The round is over when all have joined, or its time is."""
        if not self._preparing or (late is not None and late != self.generation):
            return
        if late is None and self._joined.keys() != self._seen.keys():
            return
        self._preparing = False
        self._seen = dict.fromkeys(self._joined, self.loop.seconds)
        self.generation += 1
        members, joined = sorted(self._joined), self._joined
        self._joined = {}
        if not members:
            return
        shares = self.assign(members)
        for member_id in members:
            grant = Grant(Membership(self.generation, member_id), tuple(shares[member_id]))
            self.loop.call_soon(_give, joined[member_id], grant, context=NEUTRAL)


def _give(future: asyncio.Future[Grant], grant: Grant) -> None:
    if not future.done():
        future.set_result(grant)
