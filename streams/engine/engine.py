"""All tasks of one worker: opened when partitions are granted, suspended while the group rebalances."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka.client import AIOKafkaClient

from schemas.topics import INPUTS, ORDER_COMMANDS, PROMOTION_COMMANDS, TASK_CHANGELOG, TOPICS
from streams.engine.barrier import Logs
from streams.engine.broker.coordinators import Coordinators, Partition
from streams.engine.broker.logs import LogEnds
from streams.engine.broker.transactions import Transactions
from streams.engine.changelog import ChangelogReader
from streams.engine.database import Database
from streams.engine.driver import Driver, Seek
from streams.engine.fetched import Fetched
from streams.engine.ownership import Membership
from streams.engine.ports import Observer
from streams.engine.protocol.pace import Pace
from streams.engine.protocol.task import Phase
from streams.engine.protocol.worker import WorkerProtocol
from streams.engine.stage import Stage
from streams.engine.takeover import Takeover, name, parse
from streams.engine.task import Task
from streams.engine.watermark import Watermark
from streams.log import get_logger

log = get_logger("engine")

GROUP = "flashsale"
DRIFT_EVERY_S = 0.25
"""Positions that moved over markers only are written down so often: the watermarks of all workers wait for
them, and each transaction leaves a marker behind whatever it wrote."""

POSITIONS_WITHIN_S = 5.0
LOGS = {Logs.INPUTS: INPUTS, Logs.COMMANDS: (ORDER_COMMANDS, PROMOTION_COMMANDS)}
"""What an event crosses before the claims of it stand in sku-commands."""


@dataclass(frozen=True)
class EngineOptions:
    """Where the engine runs: settings of librdkafka's and of aiokafka's clients, the prefix of all names, how
    many tasks there are, the data directory."""

    client: Mapping[str, Any]
    aiokafka: Mapping[str, Any]
    prefix: str
    tasks: int
    data_dir: Path
    pace: Pace = field(default_factory=Pace)

    def wire_name(self, topic: str) -> str:
        """A topic's name on the wire."""
        return self.prefix + topic


class Engine:
    """The tasks that this worker owns.

    `stages` holds the stages of the command topics and of the input topics, by logical topic. `die(why)` must
    end the process at once: it is called where going on could decide something twice.
    """

    def __init__(
        self,
        options: EngineOptions,
        stages: Mapping[str, Stage],
        observer: Observer,
        die: Callable[[str], None],
    ) -> None:
        self.options = options
        self.generation: int | None = None
        self.opened_in_s = 0.0
        self._resumed = False
        self._suspensions = 0
        self.protocol = WorkerProtocol(options.pace)
        self._stages = {options.wire_name(topic): stage for topic, stage in stages.items()}
        self._observer = observer
        self._die = die
        self._executor = ThreadPoolExecutor(4, "engine")
        self._reader = ChangelogReader(options.client)
        self._driver: Driver | None = None
        self._by_source: dict[str, Task] = {}
        self._drift: asyncio.Task[None] | None = None
        self.watermark = Watermark(self._log_ends, self._group_positions, die)

    @property
    def tasks(self) -> Mapping[str, Task]:
        """The tasks by name; those that are being restored are not running yet."""
        return {} if self._driver is None else self._driver.tasks

    @property
    def ready(self) -> bool:
        """Whether every task that was granted takes records in."""
        return self.flowing and self._all_running

    @property
    def flowing(self) -> bool:
        """Whether the host delivers records, and the group has not moved on without us."""
        return self._resumed and self.protocol.member is not None

    def resumed(self, generation: int) -> None:
        """The host delivers records again, unless a rebalance has begun meanwhile."""
        self._resumed = self.generation == generation

    @property
    def opening(self) -> bool:
        """Whether tasks are being taken over right now."""
        return self.protocol.member is not None and not self._all_running

    @property
    def _all_running(self) -> bool:
        return self.generation is not None and all(task.running for task in self.tasks.values())

    def owns(self, topic: str) -> bool:
        """Whether records of that topic (wire name) are decided by tasks."""
        return topic in self._stages

    async def offer(self, fetched: Fetched) -> None:
        """Give a fetch to its task. One that comes from before a rebalance is dropped by the protocol."""
        task = self._by_source.get(fetched.source)
        if task is not None and self._driver is not None:
            await self._driver.offer(task, fetched)

    def position(self, topic: str, partition: int) -> int | None:
        """Next offset to read of a source partition, or None when no running task reads it."""
        task = self._by_source.get(name((topic, partition)))
        if task is None or not task.running:
            return None
        return task.position.get(name((topic, partition)))

    async def suspend(self) -> None:
        """A rebalance begins: commit what is decided; nothing more is taken in until `open`."""
        self._resumed = False
        self.generation = None
        self._suspensions += 1
        driver = self._driver
        if driver is None:
            return
        log.info("tasks_suspended", tasks=len(self.tasks))
        driver.carry_out(self.protocol.rebalancing(time.monotonic()))
        await driver.settled(lambda: self.protocol.quiet or self.protocol.member is not None)

    async def open(self, assigned: Iterable[Partition], member: Membership, seek: Seek) -> None:
        """Own exactly these partitions: let go of what went away, go on with what stayed, take over the rest.

        Returns when what stayed takes records in again; the rest follows by itself (`until_ready`). `seek`
        repositions the consumer; the host, which has it, gives it with each opening.
        """
        before = self._suspensions
        if not self.protocol.quiet:
            await self.suspend()
            before += 1
        if not member.valid or self._suspensions != before:
            return  # the group has moved on meanwhile, and grants again
        driver = self._driver = self._driver or self._connected()
        driver.seek = seek
        began = time.monotonic()
        grant = self._tasks_of(assigned)
        driver.tasks = {each: self._task(driver, each, sources) for each, sources in grant.items()}
        self._by_source = {source: task for task in driver.tasks.values() for source in task.stages}
        actions = self.protocol.granted(member, grant)
        for each, task in driver.tasks.items():
            task.state = self.protocol.tasks[each]
        self.generation = member.generation
        driver.carry_out(actions)
        attempt = self.protocol.attempt
        await driver.settled(lambda: attempt != self.protocol.attempt or not self._staying)
        self._drift = self._drift or driver.spawn(self._write_drift())
        self.opened_in_s = time.monotonic() - began

    @property
    def _staying(self) -> bool:
        tasks = self.protocol.tasks.values()
        return any(task.phase is Phase.REGISTERING for task in tasks)

    async def until_ready(self, generation: int) -> bool:
        """Wait until all tasks run; False when the group rebalances before."""
        driver, began = self._driver, time.monotonic()
        if driver is None:
            return False
        await driver.settled(lambda: self.generation != generation or self._all_running)
        if self.generation != generation:
            return False
        self.opened_in_s += time.monotonic() - began
        log.info(
            "tasks_open", tasks=len(self.tasks), generation=generation, seconds=round(self.opened_in_s, 3)
        )
        return True

    async def close(self) -> None:
        """Let go of everything; the engine was suspended before, so that nothing is in flight."""
        self.generation = None
        self.watermark.close()
        if self._drift is not None:
            self._drift.cancel()
        driver = self._driver
        if driver is not None:
            driver.tasks, self._by_source = {}, {}
            driver.carry_out(self.protocol.released())
            await driver.close()
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def check_logs(self, tasks: Iterable[str]) -> None:
        """A position that a log does not hold is an error that a person must see, never a silent jump."""
        if self._driver is not None:
            await self._driver.check_logs(tasks)

    async def check_topics(self) -> None:
        """The same for a topic that was deleted and created again, and is longer than the old position."""
        if self._driver is not None:
            await self._driver.check_topics()

    def _tasks_of(self, assigned: Iterable[Partition]) -> dict[str, tuple[str, ...]]:
        """Sources by task: partition p of any topic that tasks read belongs to task p mod N."""
        tasks: dict[str, list[str]] = {}
        for topic, partition in sorted(assigned):
            if self.owns(topic):
                number = partition % self.options.tasks
                tasks.setdefault(f"task-{number}", []).append(name((topic, partition)))
        return {each: tuple(sources) for each, sources in tasks.items()}

    def _task(self, driver: Driver, task: str, sources: tuple[str, ...]) -> Task:
        former, number = driver.tasks.get(task), int(task.rpartition("-")[2])
        if former is not None and tuple(former.stages) == sources:
            return former
        changelog = self.options.wire_name(TASK_CHANGELOG)
        path, tasks = self.options.data_dir / task, self.options.tasks
        database = driver.databases.get(task) or Database(self._reader, changelog, number, path, tasks)
        driver.databases[task], database.wanted = database, True
        return Task(task, number, {source: self._stages[parse(source)[0]] for source in sources}, database)

    def _connected(self) -> Driver:
        """Clients belong to the event loop, so they are made in it."""
        options, group = self.options, self.options.wire_name(GROUP)
        client = AIOKafkaClient(**options.aiokafka)
        self._ends = LogEnds(client)
        self._coordinators = coordinators = Coordinators(client, group)
        keyed = [topic.name for topic in TOPICS if topic.name not in (*INPUTS, TASK_CHANGELOG)]
        topics = [options.wire_name(name) for name in keyed]
        return Driver(
            self.protocol,
            Transactions(options.aiokafka, coordinators, group, topics),
            Takeover(coordinators, self._reader, self._executor),
            options.wire_name(TASK_CHANGELOG),
            options.wire_name,
            self._observer,
            self._die,
        )

    async def _log_ends(self, logs: Logs) -> Mapping[Partition, int | None]:
        names = map(self.options.wire_name, LOGS[logs])
        return await self._ends.of(filter(self.owns, names))

    async def _group_positions(self, partitions: Iterable[Partition]) -> Mapping[Partition, int | None]:
        self._write_down_drift()
        found = await self._coordinators.offsets(partitions, stable=False, within_s=POSITIONS_WITHIN_S)
        ids = self._ends.topic_ids
        return {partition: each.offset_in(ids.get(partition[0], "")) for partition, each in found.items()}

    async def _write_drift(self) -> None:
        while True:
            await asyncio.sleep(DRIFT_EVERY_S)
            self._write_down_drift()

    def _write_down_drift(self) -> None:
        if self._driver is not None:
            self._driver.carry_out(self.protocol.drifted(time.monotonic()))
