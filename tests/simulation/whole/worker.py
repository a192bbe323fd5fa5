"""A worker put together as `flashsale.worker.compose` does it, on stand-ins for everything outside."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import Mock, patch
from uuid import UUID

from agents import intake, orders, promotions, reservations
from agents.broker_time import BrokerTime
from agents.dead_letter_limit import NO_LIMIT
from agents.fluent_requests import FluentRequests
from agents.timers import Timers
from flashsale.worker.upkeep import Upkeep
from fluent import FluentOptions, Gateway, RequestQueue
from schemas.topics import FLUENT_REQUESTS
from streams.engine.engine import Engine, EngineOptions
from streams.engine.host.hooks import Lease
from streams.engine.stage import Stage
from streams.ledger.effects import Effects
from streams.ledger.terms import Terms
from tests.simulation.whole.client import Batch, Client, Producer, Sender
from tests.simulation.whole.clock import PROCESS, Died, Process, VirtualLoop
from tests.simulation.whole.fluent import Fluent
from tests.simulation.whole.group import SESSION_S, Group
from tests.simulation.whole.host import Host
from tests.simulation.whole.kafka import Kafka
from tests.simulation.whole.machine import Disks, SlowExecutor
from tests.simulation.whole.network import Network, Weather
from tests.simulation.whole.reader import Reader

LOOK_EVERY_S = 0.25
CALL_TIMEOUT_S = 2.0
LOGIN: dict[str, Any] = {"account": "SIM", "client_id": "simulator", "client_secret": "simulator"}


@dataclass
class Cluster:
    """What all workers share."""

    loop: VirtualLoop
    kafka: Kafka
    group: Group
    fluent: Fluent
    weather: Weather
    terms: Terms
    tasks: int
    rng: Random
    stalled: Callable[[str], bool]
    """Whether nobody reads a topic now."""
    watched: bool = False
    """Whether workers look after what stands still, and after their topics."""
    on_died: Callable[[Worker], None] = lambda worker: None
    """Told when a worker has ended of its own accord."""
    disks: Disks = field(default_factory=Disks)
    died: list[str] = field(default_factory=list)
    """Why processes ended of their own accord."""

    def stand_ins(self) -> ExitStack:
        """The program with stand-ins for its clients, its executor and its disks."""
        chance = Random(self.rng.getrandbits(64))
        stack = ExitStack()
        for name, stand_in in {
            "streams.engine.engine.ChangelogReader": lambda _: Reader(self.kafka),
            "streams.engine.engine.ThreadPoolExecutor": lambda *_: SlowExecutor(self.loop, chance),
            "streams.engine.engine.AIOKafkaClient": lambda network: Client(self.group, network),
            "streams.engine.broker.transactions.WorkerProducer": self._producer,
            "streams.engine.outbox.Batch": Batch,
            "streams.engine.database.RocksStore": self.disks.open,
            "uuid.uuid4": lambda: UUID(int=chance.getrandbits(128), version=4),
        }.items():
            stack.enter_context(patch(name, stand_in))
        return stack

    def _producer(self, client: dict[str, Any], transactional_id: str) -> Producer:
        return Producer(self.group, client["network"], transactional_id)


class Observer:
    """Nobody looks at the metrics; notices are read as the person on call would."""

    def __init__(self) -> None:
        self.transactions = self.discards = 0

    def transaction(self, tasks: int, seconds: float) -> None:
        """A transaction is durable."""
        self.transactions += 1

    def committed(self, task: str, effects: Effects, records: int) -> None:
        """What a task had in it."""
        for notice in effects.notices:
            assert notice.level == "info" or notice.fields.get("recommendation"), notice

    def discarded(self, tasks: str, why: str) -> None:
        """Decisions were thrown away."""
        self.discards += 1

    def stands_still(self, task: str, why: str, seconds: float) -> None:
        """A task's transactions are aborted again and again."""

    def dropped_fetch(self, task: str, source: str, start: int, expected: int) -> None:
        """A fetch did not continue what was decided."""


class _App:
    """As much of a Faust app as timers need."""

    def __init__(self, engine: Engine, consumer: Host) -> None:
        self.engine = engine
        self.consumer = consumer
        self.timers: list[tuple[float, Callable[[], Awaitable[None]]]] = []

    def timer(self, interval: float, name: str) -> Callable[[Any], Any]:
        """Notes a timer."""

        def note(timer: Callable[[], Awaitable[None]]) -> Any:
            self.timers.append((interval, timer))
            return timer

        return note


class Worker:
    """A process with everything of a worker in it. `directory` outlives it."""

    def __init__(self, cluster: Cluster, name: str, directory: Path, rng: Random, skew_ms: int = 0) -> None:
        self.cluster = cluster
        self.directory = directory
        self.process = Process(name, skew_ms)
        self.network = Network(cluster.loop, rng, cluster.weather)
        self.observer = Observer()
        self.host: Host | None = None
        self._rng = rng
        self._context = contextvars.Context()
        self._context.run(PROCESS.set, self.process)

    @property
    def alive(self) -> bool:
        """It was not killed and did not end."""
        return not self.process.dead

    def start(self) -> None:
        """The process begins."""
        self.cluster.loop.call_soon(self._compose, context=self._context)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.dead = True

    def freeze(self) -> None:
        """SIGSTOP."""
        self.process.frozen = True

    def thaw(self) -> None:
        """SIGCONT."""
        self.cluster.loop.thaw(self.process)

    def stop(self) -> None:
        """SIGTERM."""
        if self.host is not None:
            self.cluster.loop.call_soon(self.host.stop, context=self._context)

    def die(self, why: str) -> None:
        """The process ends itself."""
        self.process.dead = True
        self.cluster.died.append(f"{self.process.name} at {self.cluster.loop.now_ms}: {why}")
        self.cluster.on_died(self)
        raise Died(why)

    async def guard(self, work: Awaitable[Any]) -> Any:
        """What an agent or a service of the host raises ends the process."""
        try:
            return await work
        except Exception as error:
            if self.process.dead:
                raise
            self.cluster.loop.call_exception_handler({"message": "a worker failed", "exception": error})
            self.die(f"failed: {error!r}")

    def _compose(self) -> None:
        cluster, network = self.cluster, self.network
        options = EngineOptions({}, {"network": network}, "", cluster.tasks, self.directory)
        engine = Engine(options, _stages(cluster.terms, cluster.tasks), self.observer, self.die)
        lease = Lease(engine, SESSION_S)
        sender: Any = Sender(cluster.kafka, network)
        brokers = BrokerTime(sender.to_partition)
        sender.on_appended = brokers.on_appended
        gateway = Gateway(
            _fluent_options(cluster.terms),
            lease_expires_at=lease.expires_at,
            transport=cluster.fluent.transport(),
            clock=cluster.loop.time,
            now_ms=brokers.now_ms,
        )
        queue = RequestQueue(gateway, check_documents=False)
        requests = FluentRequests(FLUENT_REQUESTS, queue, sender)
        client = Client(cluster.group, network)
        self.host = Host(
            engine, requests, cluster.group, client, network, self._rng, CALL_TIMEOUT_S, self.guard,
            stalled=cluster.stalled, lease_sent=lambda at: setattr(lease, "_began_at", at),
        )  # fmt: skip
        self._time(_App(engine, self.host), brokers, sender, requests)
        self.host.start()

    def _time(self, app: Any, brokers: BrokerTime, sender: Any, requests: FluentRequests) -> None:
        engine = app.engine
        timers = Timers(sender.to_partition, brokers, engine.watermark, self.cluster.terms.max_backlog_ms)
        timers.register(app, LOOK_EVERY_S)
        if self.cluster.watched:
            Upkeep(app, Mock(decided=0), requests, NO_LIMIT).register()
        for every_s, timer in app.timers:
            self.process.tasks.append(asyncio.ensure_future(self.guard(_again_and_again(every_s, timer))))


async def _again_and_again(every_s: float, timer: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(every_s)
        await timer()


def _same(topic: str) -> str:
    return topic


def _stages(terms: Terms, tasks: int) -> dict[str, Stage]:
    commands = {
        stage.topic: stage for stage in (each.stage(_same) for each in (orders, promotions, reservations))
    }
    return {**commands, **intake.stages(_same, terms, {}, commands, tasks)}


def _fluent_options(terms: Terms) -> FluentOptions:
    return FluentOptions(
        base_url="http://127.0.0.1",
        **LOGIN,
        requests_per_second=1_000.0,
        max_in_flight=100,
        call_timeout_s=CALL_TIMEOUT_S,
        connect_timeout_s=CALL_TIMEOUT_S,
        hold_timeout_s=terms.hold_timeout_ms / 1_000,
    )
