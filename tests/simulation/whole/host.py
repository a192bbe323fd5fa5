"""In place of Faust and its consumer: takes part in the group, fetches, and hands fetches to the agents.

It does to the engine what `streams.engine.host` does: suspended when a rebalance begins, opened with what was
granted, told when records flow again. And what Faust does wrong now and then: around a rebalance it delivers
from positions of before.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.group import HeartbeatRequest

from agents.fluent_requests import FluentRequests
from schemas.topics import FLUENT_REQUESTS
from streams.engine.broker.coordinators import Partition
from streams.engine.engine import GROUP, Engine
from streams.engine.fetched import Fetched
from streams.engine.host.consumer import Ends
from streams.engine.ownership import Membership
from streams.engine.takeover import name
from tests.simulation.whole.client import Client
from tests.simulation.whole.group import SESSION_S, Grant, Group
from tests.simulation.whole.kafka import Kafka
from tests.simulation.whole.network import Network

BEAT_S = SESSION_S / 6
FETCH_RECORDS = 50
MAX_QUEUED = 4
COMMIT_EVERY_S = 2.0
STALE, FAR, WITHIN_S = 0.3, 20, 3.0
"""How often a partition is read from a position that is not the engine's, how far away, and how long after it
was sought at most."""

NOBODY = Membership(-1, "")
SeeFetch = Callable[[Fetched], Awaitable[None]]


@dataclass
class Host:
    """One worker's side of the group. `guard` runs what may end the process."""

    engine: Engine
    requests: FluentRequests
    group: Group
    client: Client
    network: Network
    rng: Random
    request_time_out_s: float
    guard: Callable[[Awaitable[Any]], Awaitable[Any]]
    stalled: Callable[[str], bool]
    member: Membership = NOBODY
    flowing: bool = False
    lease_sent: Callable[[float], None] = lambda at: None
    assigned: tuple[Partition, ...] = ()
    positions: dict[Partition, int] = field(default_factory=dict)
    _queues: dict[str, asyncio.Queue[Fetched]] = field(default_factory=dict)
    _there_is_more: asyncio.Event = field(default_factory=asyncio.Event)
    _rejoin: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: list[asyncio.Task[Any]] = field(default_factory=list)
    _stopping: bool = False

    @property
    def kafka(self) -> Kafka:
        """The broker."""
        return self.group.kafka

    def start(self) -> None:
        """Take part."""
        self.kafka.listeners.append(self._appended)
        for work in (self._belong(), self._beat(), self._fetch(), self._commit_requests()):
            self._start(work)

    def stop(self) -> None:
        """Leave in good order, as after SIGTERM."""
        self._stopping = True
        self._rejoin.set()

    def _start(self, work: Awaitable[Any]) -> None:
        self._tasks.append(asyncio.ensure_future(self.guard(work)))

    def _appended(self, partition: Partition) -> None:
        if partition in self.positions:
            self._there_is_more.set()

    # -- the group

    async def _belong(self) -> None:
        while True:
            grant = await self._join()
            self.member, self.assigned = grant.member, grant.partitions
            self._rejoin.clear()
            self._place()
            self._start(self._open(grant))
            await self._rejoin.wait()
            self.flowing = False
            await self.engine.suspend()
            await self.requests.suspend(self.request_time_out_s)
            await self._commit()
            self.requests.revoked()
            if self._stopping:
                self.network.post(lambda _: self.group.leave(self.member.member_id))
                return

    async def _join(self) -> Grant:
        while True:
            try:
                return await (await self.network.ask(lambda: self.group.join(self.member.member_id)))
            except KafkaConnectionError:
                await asyncio.sleep(0.1)

    async def _beat(self) -> None:
        while not self._stopping:
            await asyncio.sleep(BEAT_S)
            if not self.member.valid:
                continue
            member, sent_at = self.member, time.monotonic()
            request = HeartbeatRequest(GROUP, member.generation, member.member_id)
            try:
                code = (await self.client.send(0, request)).error_code
            except KafkaConnectionError:
                continue
            if member != self.member:
                continue
            if not code:
                self.lease_sent(sent_at)
            elif not self._rejoin.is_set():
                if code != 27:
                    self.member = NOBODY
                self._rejoin.set()

    async def _open(self, grant: Grant) -> None:
        self.lease_sent(time.monotonic())
        engine, generation = self.engine, grant.member.generation
        await engine.open(grant.partitions, grant.member, self._seek)
        if engine.generation != generation or self.member != grant.member or self._rejoin.is_set():
            return
        self.flowing = True
        self._there_is_more.set()
        engine.resumed(generation)
        await engine.until_ready(generation)

    # -- records

    def _place(self) -> None:
        """Where to read on: running tasks where the engine is, requests where they were answered."""
        self.positions = {}
        for partition in self.assigned:
            if self.engine.owns(partition[0]):
                position = self.engine.position(*partition)
                if position is not None:
                    self.positions[partition] = position
            elif partition[0] == FLUENT_REQUESTS:
                self.positions[partition] = self.group.offsets.get(partition, (0, ""))[0]

    async def _seek(self, offsets: Mapping[Partition, int]) -> None:
        await asyncio.sleep(self.rng.uniform(0, 0.01))
        for partition, offset in offsets.items():
            if partition in self.assigned:
                self.positions[partition] = offset
                if self.rng.random() < STALE:
                    delay_s = self.rng.uniform(0, self.rng.choice([0.3, WITHIN_S]))
                    asyncio.get_running_loop().call_later(delay_s, self._jump, partition)
        self._there_is_more.set()

    def _jump(self, partition: Partition) -> None:
        """Faust delivers from a position that it has from elsewhere; a jump shows with the next record."""
        log = self.kafka.logs.get(partition)
        if log is not None and partition in self.positions:
            near = self.positions[partition] + self.rng.randint(-FAR, FAR)
            self.positions[partition] = max(log.begin, min(near, log.stable_end - 1))
            self._there_is_more.set()

    async def reposition(self, offsets: Mapping[Partition, int]) -> None:
        """Continue reading partitions at these offsets."""
        self.positions |= {at: offset for at, offset in offsets.items() if at in self.assigned}
        self._there_is_more.set()

    def ends(self) -> dict[str, Ends]:
        """What fetches say of all logs that are read."""
        logs = {at: self.kafka.logs[at] for at in self.positions if at in self.kafka.logs}
        return {name(at): Ends(log.end, log.stable_end) for at, log in logs.items()}

    async def _fetch(self) -> None:
        while True:
            await self._there_is_more.wait()
            self._there_is_more.clear()
            await asyncio.sleep(self.rng.uniform(0.001, 0.02))
            partitions = list(self.positions) if self.flowing else []
            self.rng.shuffle(partitions)
            for partition in partitions:
                self._take(partition)

    def _take(self, partition: Partition) -> None:
        topic, number = partition
        queue = self._queue(topic)
        if queue.qsize() >= MAX_QUEUED or self.stalled(topic):
            return
        log, start = self.kafka.logs.get(partition), self.positions[partition]
        if log is None:
            return
        if not log.holds(start):  # `auto.offset.reset` is "earliest", and aiokafka does it by itself
            self.positions[partition] = log.begin
            return self._there_is_more.set()
        entries, following = log.read(start, self.rng.randint(1, FETCH_RECORDS))
        if following == start:
            return
        if entries and self.rng.random() < 0.5:
            following = entries[-1].offset + 1  # the markers behind them come with the next fetch
        self.positions[partition] = following
        queue.put_nowait(Fetched(topic, number, start, following, entries))
        self._there_is_more.set()

    def _queue(self, topic: str) -> asyncio.Queue[Fetched]:
        queue = self._queues.get(topic)
        if queue is None:
            queue = self._queues[topic] = asyncio.Queue()
            self._start(self._agent(topic, queue))
        return queue

    async def _agent(self, topic: str, queue: asyncio.Queue[Fetched]) -> None:
        while True:
            fetched = await queue.get()
            if topic == FLUENT_REQUESTS:
                end = self.kafka.logs[topic, fetched.partition].end
                await self.requests.take(fetched, end)
            else:
                await self.engine.offer(fetched)
            self._there_is_more.set()

    async def _commit_requests(self) -> None:
        while True:
            await asyncio.sleep(COMMIT_EVERY_S)
            await self._commit()

    async def _commit(self) -> None:
        """Group offsets of requests only; one that fails costs nothing."""
        ours = [each for each in self.assigned if each[0] == FLUENT_REQUESTS]
        found = {each: self.requests.durable_offset(*each) for each in ours}
        offsets = {each: (offset, "") for each, offset in found.items() if offset is not None}
        member = self.member
        if offsets and member.valid:
            self.network.post(lambda _: self.group.try_to_commit(offsets, member))
