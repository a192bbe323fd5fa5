"""All tasks of one worker: opened when partitions are assigned, suspended while a rebalance runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from schemas.topics import INPUTS, INTAKE_POSITIONS, STAGES, TASK_CHANGELOG
from streams.engine.backends import DecisionBackend, IntakeBackend, IntakePositions
from streams.engine.changelog import ChangelogReader
from streams.engine.fetched import Fetched
from streams.engine.ports import Observer
from streams.engine.protocol import Pace
from streams.engine.stage import Stage
from streams.engine.task import Task
from streams.engine.transactions import Transactions

log = structlog.get_logger("engine")

Partitions = Iterable[tuple[str, int]]
Seek = Callable[[str, int, int | None], Awaitable[None]]


@dataclass(frozen=True)
class EngineOptions:
    """Where the engine runs: librdkafka's client settings, the prefix of all names, the data directory."""

    client: Mapping[str, Any]
    prefix: str
    data_dir: Path
    pace: Pace = field(default_factory=Pace)

    def wire_name(self, topic: str) -> str:
        """A topic's name on the wire."""
        return self.prefix + topic


class Engine:
    """The tasks that this worker owns.

    `stages` holds the decision stages by logical topic; `intake(topic)` makes the stage of an input topic.
    `die(why)` must end the process at once: it is called when the broker says that a task is not ours.
    """

    def __init__(
        self,
        options: EngineOptions,
        stages: Mapping[str, Stage],
        intake: Mapping[str, Stage],
        observer: Observer,
        die: Callable[[str], None],
    ) -> None:
        self.options = options
        self.generation: int | None = None
        self.opened_in_s = 0.0
        self.flowing = False
        """Whether the host delivers records: set by it once it has resumed, until the next rebalance."""
        self._stages = dict(stages)
        self._intake = dict(intake)
        self._observer = observer
        self._die = die
        self._seek: Seek | None = None
        self._executor = ThreadPoolExecutor(64, "task")
        self._reader = ChangelogReader(options.client)
        self._positions = IntakePositions(self._reader, options.wire_name(INTAKE_POSITIONS))
        self._tasks: dict[str, Task] = {}
        self._by_source: dict[str, Task] = {}
        self._lock = asyncio.Lock()
        self._suspensions = 0
        self._inputs = {options.wire_name(topic): topic for topic in INPUTS}
        self._commands = {options.wire_name(topic): topic for topic in STAGES}

    @property
    def tasks(self) -> Mapping[str, Task]:
        """The open tasks by name."""
        return self._tasks

    @property
    def ready(self) -> bool:
        """Whether every task that was assigned takes records in."""
        return (
            self.flowing
            and self.generation is not None
            and all(task.running for task in self._tasks.values())
        )

    @property
    def opening(self) -> bool:
        """Whether tasks are being taken over or let go right now."""
        return self._lock.locked()

    def owns(self, topic: str) -> bool:
        """Whether records of that topic (wire name) are decided by tasks."""
        return topic in self._inputs or topic in self._commands

    async def offer(self, fetched: Fetched) -> None:
        """Give a fetch to its task. One that comes from before a rebalance is dropped by the protocol."""
        task = self._by_source.get(fetched.source)
        if task is not None:
            await task.offer(fetched)

    def position(self, topic: str, partition: int) -> int | None:
        """Next offset to read of a source partition, or None when no open task reads it."""
        source = f"{topic}/{partition}"
        task = self._by_source.get(source)
        return None if task is None else task.position.get(source)

    def committed(self, topic: str, partition: int) -> int | None:
        """Next offset after the last committed transaction, or None."""
        source = f"{topic}/{partition}"
        task = self._by_source.get(source)
        return None if task is None else task.committed.get(source)

    async def suspend(self) -> None:
        """A rebalance begins: commit what is decided; nothing more is taken in until `open`."""
        self.flowing = False
        self.generation = None
        self._suspensions += 1
        log.info("tasks suspended", tasks=sorted(self._tasks))
        await asyncio.gather(*(task.suspend() for task in list(self._tasks.values())))

    async def open(self, assigned: Partitions, generation: int, seek: Seek) -> None:
        """Own exactly these partitions: close what went away, take over what is new, go on with the rest.

        `seek(topic, partition, offset)` makes the consumer go on reading there (None: at the beginning).

        A rebalance that begins meanwhile (`suspend`) leaves the engine suspended. A failure ends the process:
        nobody may be waiting for this call any more, and a task that is open by half would stay so.
        """
        self._seek = seek
        try:
            await self._open(self._tasks_of(assigned), generation, self._suspensions)
        except Exception as error:
            log.exception("tasks not opened")
            self._die(f"taking over tasks failed: {error!r}")
            raise

    async def _open(
        self, wanted: Mapping[str, list[tuple[str, int]]], generation: int, suspensions: int
    ) -> None:
        async with self._lock:
            self.flowing = False
            began = time.monotonic()
            await self._close(self._tasks.keys() - wanted.keys())
            fresh = [name for name in wanted if name not in self._tasks]
            for name in fresh:
                self._add(name, wanted[name])
            await asyncio.gather(*(self._tasks[name].open() for name in wanted))
            await self.check_logs(fresh)
            if suspensions == self._suspensions:
                self.generation = generation
            self.opened_in_s = time.monotonic() - began
        log.info(
            "tasks open",
            tasks=sorted(wanted),
            taken_over=sorted(fresh),
            generation=generation,
            seconds=round(self.opened_in_s, 3),
        )

    async def close(self) -> None:
        """Commit what is decided and let go of everything."""
        async with self._lock:
            self.generation = None
            await self._close(set(self._tasks))
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def _close(self, names: Iterable[str]) -> None:
        gone = [self._tasks.pop(name) for name in list(names)]
        for task in gone:
            for source in task.stages:
                self._by_source.pop(source, None)
        await asyncio.gather(*(task.close() for task in gone))

    def _tasks_of(self, assigned: Partitions) -> dict[str, list[tuple[str, int]]]:
        """Sources by task name: the command topics' partition i is task i, an input partition its own."""
        tasks: dict[str, list[tuple[str, int]]] = {}
        for topic, partition in sorted(assigned):
            if topic in self._commands:
                tasks.setdefault(f"task-{partition}", []).append((topic, partition))
            elif topic in self._inputs:
                tasks.setdefault(f"intake-{self._inputs[topic]}-{partition}", []).append((topic, partition))
        return tasks

    def _add(self, name: str, sources: list[tuple[str, int]]) -> None:
        is_intake = sources[0][0] in self._inputs
        stages = {
            f"{topic}/{partition}": self._intake[self._inputs[topic]]
            if is_intake
            else self._stages[self._commands[topic]]
            for topic, partition in sources
        }
        backend = self._intake_backend(name, *sources[0]) if is_intake else self._backend(name, sources[0][1])
        task = Task(
            name,
            stages,
            backend,
            executor=self._executor,
            seek=self._seek_source,
            die=self._die,
            observer=self._observer,
            pace=self.options.pace,
        )
        self._tasks[name] = task
        self._by_source.update(dict.fromkeys(stages, task))

    def _backend(self, name: str, partition: int) -> DecisionBackend:
        changelog = self.options.wire_name(TASK_CHANGELOG)
        transactions = self._transactions(name, changelog, partition, partition)
        path = self.options.data_dir / name
        return DecisionBackend(transactions, self._reader, changelog, partition, path)

    def _intake_backend(self, name: str, topic: str, partition: int) -> IntakeBackend:
        changelog = self.options.wire_name(INTAKE_POSITIONS)
        transactions = self._transactions(name, changelog, 0, partition)
        return IntakeBackend(transactions, f"{topic}/{partition}", self._positions)

    def _transactions(self, name: str, changelog: str, partition: int, own: int) -> Transactions:
        transactional_id = f"{self.options.prefix}flashsale-{name}"
        return Transactions(
            self.options.client, transactional_id, changelog, partition, self.options.wire_name, own
        )

    async def _seek_source(self, source: str, offset: int | None) -> None:
        if self._seek is not None and self.generation is not None:
            topic, _, partition = source.rpartition("/")
            await self._seek(topic, int(partition), offset)

    async def check_logs(self, names: Iterable[str] | None = None) -> None:
        """A position that a log does not hold is an error that a person must see, never a silent jump."""
        tasks = [self._tasks[name] for name in (self._tasks if names is None else names)]
        sources = [(task, source) for task in tasks for source in task.stages]
        if not sources:
            return
        partitions = [_parse(source) for _, source in sources]
        loop = asyncio.get_running_loop()
        ranges = await loop.run_in_executor(self._executor, self._reader.log_ranges, partitions)
        for (task, source), partition in zip(sources, partitions, strict=True):
            begin, end = ranges[partition]
            position = task.position.get(source)
            if position is None:
                task.protocol.began_at(source, begin)
            elif not begin <= position <= end:
                self._die(_lost_position(source, position, begin, end))


def _lost_position(source: str, position: int, begin: int, end: int) -> str:
    if position < begin:
        cause = f"the log begins at {begin}: its retention deleted records that were never decided. Raise it"
    else:
        cause = f"the log ends at {end}: the topic was deleted and made anew"
    return (
        f"{source} was decided up to offset {position}, but {cause}; then see docs/operations.md, "
        "'A position that the log no longer holds'"
    )


def _parse(source: str) -> tuple[str, int]:
    topic, _, partition = source.rpartition("/")
    return topic, int(partition)
