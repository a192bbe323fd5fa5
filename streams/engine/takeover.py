"""The steps of taking tasks over, as questions to the broker.

Whatever it answers while leaders and coordinators move is waited for, and is no reason to end the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import Executor
from typing import TypeVar

from aiokafka.errors import KafkaError
from confluent_kafka import KafkaException

from streams.engine.broker.coordinators import Coordinators, GroupOffset, Partition
from streams.engine.broker.errors import Fenced, Refused, Unanswered
from streams.engine.broker.topic_ids import differ
from streams.engine.changelog import ChangelogReader, RestoreTimeout
from streams.engine.database import Database
from streams.engine.ownership import Membership, Ownership
from streams.engine.ports import Position
from streams.engine.task import Task
from streams.log import get_logger

log = get_logger("engine.takeover")

T = TypeVar("T")
WITHIN_S = 10.0
"""A step that gets no answer for this long is noted in the log and tried again."""

SOON_S = 2.0
"""A question that is asked again in any case is not waited for any longer."""

FALLS_SHORT_S = 0.05
MOST_PAUSE_S = 1.0
NEVER_S = 30.0
"""Markers take milliseconds. Positions that fall short for this long will never come."""

WAITING = (
    "none while brokers restart or leaders move; if it goes on, see `flashsale check` for brokers and rights"
)
FORMER_FORM = (
    "{source} was read by a former version, which kept its position elsewhere; see docs/operations.md, "
    "'Data of a former version'"
)
ANEW = "the topic was deleted and created again"
LOST_POSITION = (
    "{source} was decided up to offset {position}, but {cause}; then see docs/operations.md, "
    "'A position that the log no longer holds'"
)
LOST_CHANGELOG = (
    "{topic} was deleted and created again, and this worker's rows are of the former one: it holds no "
    "more than what was decided since. Stop all workers; see docs/operations.md, 'The changelog is lost'"
)
LOST_ROWS = (
    "{source} was decided up to offset {stable}, says the consumer group, but the changelog says {row}: "
    "it was deleted, or the group's offsets were changed by hand; see docs/operations.md, "
    "'The changelog is lost'"
)


class Unrecoverable(Exception):
    """A person must look: going on would decide records twice or leave some out."""


class Takeover:
    """Asks coordinators and changelog. Times are collected for the log line of each task."""

    def __init__(self, coordinators: Coordinators, reader: ChangelogReader, executor: Executor) -> None:
        self._coordinators = coordinators
        self._reader = reader
        self._executor = executor
        self._restores = asyncio.Semaphore(2)
        self._logs: dict[Partition, tuple[int, int]] = {}
        self._found: dict[Partition, GroupOffset] = {}
        self._topic_ids: dict[str, str] = {}
        self._seconds: dict[str, float] = defaultdict(float)
        self._short_since: dict[str, float] = {}
        """By task: when its rows were read first."""

    async def owners(self, sources: Iterable[str], member: Membership) -> dict[str, Ownership | None]:
        """(1) Who owns these sources, as the offsets say now. Raises Refused if we were thrown out."""
        self._seconds.clear()
        partitions = [parse(source) for source in sources]

        async def ask() -> dict[Partition, GroupOffset]:
            found = await self._coordinators.offsets(partitions, stable=False, within_s=WITHIN_S)
            # After the reading: a worker that froze in between must not fence its own successor.
            await self._coordinators.check(member, WITHIN_S)
            return found

        self._found = await self._patiently("owners", ask)
        return {name(partition): found.owner for partition, found in self._found.items()}

    async def fence(self, ids: Iterable[str]) -> None:
        """(2) End whatever is open under these ids."""

        async def one(transactional_id: str) -> None:
            await self._coordinators.fence(transactional_id, WITHIN_S)

        await self._patiently("fence", lambda: _all(one(each) for each in ids))

    async def stable(self, sources: Iterable[str]) -> dict[str, int]:
        """(3) The offsets, once no transaction is about to change them; and where the logs begin."""
        partitions = [parse(source) for source in sources]

        async def ask() -> dict[Partition, GroupOffset]:
            return await self._coordinators.offsets(partitions, stable=True, within_s=WITHIN_S)

        self._found = await self._patiently("stable", ask)
        self._logs = await self._ranges(partitions)
        topics = {topic for topic, _ in partitions}
        self._topic_ids = await self._patiently("topics", lambda: self._ask_topic_ids(topics))
        return {
            name(partition): found.offset
            for partition, found in self._found.items()
            if found.offset is not None and not self._is_of_former_topic(partition, found)
        }

    async def restore(
        self, task: Task, again: int, cancelled: threading.Event
    ) -> tuple[dict[str, int], frozenset[str]]:
        """(4) The rows up to the changelog's end. See Unrecoverable.

        Returns the positions of all sources, and which of them have no row: these begin where their log does.
        """
        if again:
            await asyncio.sleep(min(MOST_PAUSE_S, FALLS_SHORT_S * 2.0 ** min(again - 1, 10)))
        else:
            self._short_since[task.name] = time.monotonic()
        short_s = time.monotonic() - self._short_since[task.name]
        loop = asyncio.get_running_loop()

        async def read() -> dict[str, Position]:
            async with self._restores:
                return await loop.run_in_executor(self._executor, task.restore, cancelled)

        rows = await self._patiently("restore", read)
        for source in task.stages:
            self._check(source, rows.get(source), short_s > NEVER_S)
        task.topic_ids = {source: self._topic_ids[parse(source)[0]] for source in task.stages}
        self._coordinators.topic_ids |= {parse(source): each for source, each in task.topic_ids.items()}
        begins = {source: Position(self._logs[parse(source)][0]) for source in task.stages}
        positions = {source: rows.get(source, begins[source]).offset for source in task.stages}
        return positions, frozenset(positions.keys() - rows.keys())

    async def check_logs(self, positions: Mapping[str, Position]) -> None:
        """See that the logs hold these positions. Raises Unrecoverable."""
        await self.check_topics(positions)
        ranges = await self._ranges([parse(source) for source in positions])
        for source, position in positions.items():
            _check_range(source, position.offset, *ranges[parse(source)])

    async def check_topics(self, positions: Mapping[str, Position]) -> None:
        """See that the topics are those of these positions; one that is away is left alone.

        Raises Unrecoverable.
        """
        try:
            ids = await self._ask_topic_ids({parse(source)[0] for source in positions}, SOON_S)
        except (KafkaException, TimeoutError):
            return
        for source, position in positions.items():
            _check_topic(source, position, ids[parse(source)[0]])

    async def check_changelog(self, topic: str, tasks: Iterable[Task]) -> None:
        """See that the rows of tasks were read from this changelog, and not from a former one of its name.

        One that is away is left alone. Raises Unrecoverable.
        """
        try:
            now = (await self._ask_topic_ids({topic}, SOON_S))[topic]
        except (KafkaException, TimeoutError):
            return
        if any(differ(task.database.changelog_id, now) for task in tasks):
            raise Unrecoverable(LOST_CHANGELOG.format(topic=topic))

    async def register(self, positions: Mapping[str, int], owner: Ownership, member: Membership) -> None:
        """(6) We are the owner of these sources. Raises Refused."""
        offsets = {parse(source): offset for source, offset in positions.items()}

        async def write() -> None:
            await self._coordinators.commit(offsets, owner, member, WITHIN_S)

        await self._patiently("register", write)

    async def let_go(
        self, positions: Mapping[str, int], owner: Ownership, member: Membership, within_s: float
    ) -> None:
        """Nothing of ours is open. Where that cannot be said in time, the next owner fences us instead."""
        offsets = {parse(source): offset for source, offset in positions.items()}
        with contextlib.suppress(Refused, Unanswered, KafkaError):
            await self._coordinators.commit(offsets, owner, member, within_s)

    async def close_database(self, database: Database) -> None:
        """Close the files of a task that went away."""
        database.wanted = False
        await asyncio.get_running_loop().run_in_executor(self._executor, database.close)

    async def close(self) -> None:
        """Close the connections."""
        await self._coordinators.close()

    @property
    def took(self) -> dict[str, float]:
        """Seconds that each step took, for the log."""
        return {step: round(seconds, 3) for step, seconds in self._seconds.items()}

    async def _ranges(self, partitions: list[Partition]) -> dict[Partition, tuple[int, int]]:
        loop = asyncio.get_running_loop()

        async def ask() -> dict[Partition, tuple[int, int]]:
            return await loop.run_in_executor(self._executor, self._reader.log_ranges, partitions)

        return await self._patiently("ranges", ask)

    async def _ask_topic_ids(self, topics: set[str], within_s: float = WITHIN_S) -> dict[str, str]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self._reader.topic_ids, topics, within_s)

    def _is_of_former_topic(self, partition: Partition, found: GroupOffset) -> bool:
        """Whether the group's offset is from a topic that was deleted; another of its name was created."""
        beyond = found.offset is not None and found.offset > self._logs[partition][1]
        return beyond or found.is_of_another(self._topic_ids[partition[0]])

    def _check(self, source: str, row: Position | None, given_up: bool) -> None:
        partition = parse(source)
        found = self._found.get(partition)
        if row is not None:
            _check_topic(source, row, self._topic_ids[partition[0]])
            _check_range(source, row.offset, *self._logs[partition])
        if found is None or found.offset is None:
            return
        if row is None and found.owner is None:
            raise Unrecoverable(FORMER_FORM.format(source=source))
        if self._is_of_former_topic(partition, found):
            return
        if given_up and (row is None or row.offset < found.offset):
            at = None if row is None else row.offset
            raise Unrecoverable(LOST_ROWS.format(source=source, stable=found.offset, row=at))

    async def _patiently(self, step: str, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask until there is an answer. Each failure is logged, with what to do if it goes on."""
        began = time.monotonic()
        while True:
            try:
                found = await ask()
            except (Unanswered, Fenced, KafkaError, KafkaException, RestoreTimeout, TimeoutError) as error:
                log.warning("takeover_waits", step=step, error=str(error), recommendation=WAITING)
                await asyncio.sleep(1.0)
                continue
            self._seconds[step] += time.monotonic() - began
            return found


def _check_range(source: str, position: int, begin: int, end: int) -> None:
    if begin <= position <= end:
        return
    if position < begin:
        cause = f"the log begins at {begin}: its retention deleted records that were never decided. Raise it"
    else:
        cause = f"the log ends at {end}: {ANEW}"
    raise Unrecoverable(LOST_POSITION.format(source=source, position=position, cause=cause))


def _check_topic(source: str, position: Position, topic_id: str) -> None:
    if differ(position.topic_id, topic_id):
        cause = f"{ANEW}: it has another id, and its records are others"
        raise Unrecoverable(LOST_POSITION.format(source=source, position=position.offset, cause=cause))


async def _all(each: Iterable[Awaitable[None]]) -> None:
    await asyncio.gather(*each)


def parse(source: str) -> Partition:
    """A source's topic and partition."""
    topic, _, partition = source.rpartition("/")
    return topic, int(partition)


def name(partition: Partition) -> str:
    """A source's name, as tasks and rows know it."""
    return f"{partition[0]}/{partition[1]}"
