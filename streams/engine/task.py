"""A task at work: carries out what its protocol says, with real rows, a real producer, a real changelog.

Decisions run in the event loop; fencing, restoring and committing run in threads, because librdkafka blocks.
While one transaction is in flight the next batch is decided against the overlay.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field

import structlog

from streams.engine import protocol
from streams.engine.fetched import Fetched
from streams.engine.ports import POSITIONS, Backend, Observer, Position
from streams.engine.protocol import Pace, TaskProtocol
from streams.engine.stage import Stage
from streams.engine.transactions import Aborted, Fenced, OutcomeUnknown
from streams.ledger.effects import Effects
from streams.ledger.rows import Rows

log = structlog.get_logger("engine.task")

MAX_PENDING = 8_000
"""Records decided ahead of the transaction in flight; more wait as they came."""

MAX_PENDING_SENDS = 100_000
"""And records sent: a command may have 2,000 effects, and a transaction has ten seconds."""

MAX_ABORTS = 20
"""So many transactions in a row that are aborted have a cause that does not pass by itself."""


@dataclass(slots=True)
class Pending:
    """What was decided since the last commit began."""

    effects: Effects = field(default_factory=Effects)
    records: int = 0

    @property
    def full(self) -> bool:
        """Whether it is as much as one transaction should carry."""
        return self.records >= MAX_PENDING or len(self.effects.sends) >= MAX_PENDING_SENDS


class Task:
    """One task. `seek(source, offset)` repositions the consumer; `die(why)` ends the process."""

    def __init__(
        self,
        name: str,
        stages: Mapping[str, Stage],
        backend: Backend,
        *,
        executor: Executor,
        seek: Callable[[str, int | None], Awaitable[None]],
        die: Callable[[str], None],
        observer: Observer,
        pace: Pace,
    ) -> None:
        self.name = name
        self.stages = dict(stages)
        self.rows = Rows(backend.store)
        self.protocol = TaskProtocol(tuple(stages), pace)
        self._backend = backend
        self._executor = executor
        self._seek = seek
        self._die = die
        self._observer = observer
        self._pending = Pending()
        self._in_flight: Pending | None = None
        self._changed = asyncio.Event()
        self._wake: asyncio.TimerHandle | None = None
        self._aborts = 0
        self._running: set[asyncio.Task[None]] = set()

    @property
    def running(self) -> bool:
        """Whether the task takes records in."""
        return self.protocol.state is protocol.State.RUNNING

    @property
    def position(self) -> Mapping[str, int | None]:
        """Next offset to decide, by source."""
        return self.protocol.expected

    @property
    def committed(self) -> Mapping[str, int | None]:
        """Next offset after the last committed transaction, by source."""
        return self.protocol.committed

    async def open(self) -> None:
        """Take the task over (or go on with it after a rebalance): returns when it takes records in."""
        if self.protocol.state in (protocol.State.CLOSED, protocol.State.SUSPENDED):
            await self._carry_out(self.protocol.assigned())
        await self._settled(lambda: self.protocol.state in (protocol.State.RUNNING, protocol.State.DEAD))

    async def suspend(self) -> None:
        """Commit what is decided and take nothing new in, until `open` or `close`."""
        await self._carry_out(self.protocol.suspended(time.monotonic()))
        await self._settled(lambda: self.protocol.idle)

    async def close(self) -> None:
        """Commit what is decided, then let go of the task."""
        await self._carry_out(self.protocol.revoked(time.monotonic()))
        closed = (protocol.State.CLOSED, protocol.State.DEAD)
        await self._settled(lambda: self.protocol.state in closed)

    async def offer(self, fetched: Fetched) -> None:
        """Take a fetch in when there is room for it, and decide it.

        From the moment that the protocol has accepted a fetch, a commit covers its position: it is decided
        before anything else can run.
        """
        while self._pending.full and self.running:
            await self._change()
        empty = not fetched.records
        for action in self.protocol.received(fetched.source, fetched.start, fetched.following, empty=empty):
            if isinstance(action, protocol.Decide):
                await self._decide(fetched, action.from_offset)
            elif isinstance(action, protocol.Seek):
                expected = action.offset or 0
                self._observer.dropped_fetch(self.name, fetched.source, fetched.start, expected)
                await self._seek(action.source, action.offset)

    async def _decide(self, fetched: Fetched, start: int) -> None:
        records = fetched.from_offset(start)
        stage = self.stages[fetched.source]
        stage.decide(fetched.partition, records, self.rows, self._pending.effects)
        self._pending.records += len(records)
        await self._carry_out(self.protocol.decided(len(records), time.monotonic()))

    async def _carry_out(self, actions: list[protocol.Action]) -> None:
        for action in actions:
            match action:
                case protocol.Fence():
                    await self._fence()
                case protocol.Restore():
                    await self._restore()
                case protocol.Seek(source, offset):
                    await self._seek(source, offset)
                case protocol.Commit(positions):
                    self._commit(positions)
                case protocol.Wait(seconds):
                    self._wait(seconds)
                case protocol.Discard():
                    self._discard()
                case protocol.Close():
                    await asyncio.get_running_loop().run_in_executor(self._executor, self._backend.close)
                case protocol.Die(why):
                    self._die(why)
        self._changed.set()

    async def _fence(self) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(self._executor, self._backend.fence)
        except Fenced as error:
            await self._carry_out(self.protocol.fenced(str(error)))
            return
        await self._carry_out(self.protocol.fenced_off())

    async def _restore(self) -> None:
        loop = asyncio.get_running_loop()
        positions = await loop.run_in_executor(self._executor, self._backend.restore)
        self.rows = Rows(self._backend.store)
        await self._carry_out(self.protocol.restored(dict(positions)))

    def _commit(self, positions: Mapping[str, int]) -> None:
        for source, offset in positions.items():
            self.rows.put(POSITIONS, source.encode(), Position(offset))
        changes = self.rows.flush()
        self._in_flight, self._pending = self._pending, Pending()
        loop = asyncio.get_running_loop()
        began = time.monotonic()
        durable = loop.run_in_executor(self._executor, self._backend.commit, self._in_flight.effects, changes)
        running = loop.create_task(self._conclude(durable, began))
        self._running.add(running)
        running.add_done_callback(self._running.discard)

    async def _conclude(self, durable: Awaitable[None], began: float) -> None:
        try:
            await durable
        except Fenced as error:
            actions = self.protocol.fenced(str(error))
        except Aborted as error:
            await self._slow_down(error)
            actions = self.protocol.transaction_aborted()
        except OutcomeUnknown as error:
            self._observer.discarded(self.name, str(error))
            actions = self.protocol.outcome_unknown()
        except Exception as error:
            log.exception("commit failed", task=self.name)
            actions = self.protocol.fenced(f"commit of {self.name} failed: {error!r}")
        else:
            actions = self._concluded(began)
        try:
            await self._carry_out(actions)
        except Exception as error:
            log.exception("task failed", task=self.name)
            self._die(f"{self.name} failed: {error!r}")

    async def _slow_down(self, error: Aborted) -> None:
        """The same batch is decided again: at once the first time, later and later after that."""
        self._observer.discarded(self.name, str(error))
        self._aborts += 1
        if self._aborts >= MAX_ABORTS:
            self._die(
                f"{self.name} can not commit: {self._aborts} transactions in a row aborted, last: {error}"
            )
        await asyncio.sleep(min(2.0, 0.01 * 2**self._aborts))

    def _concluded(self, began: float) -> list[protocol.Action]:
        done, self._in_flight = self._in_flight, None
        self.rows.committed()
        self._aborts = 0
        if done is not None:
            now = time.monotonic()
            self._observer.committed(self.name, done.effects, done.records, now - began)
        return self.protocol.transaction_committed(time.monotonic())

    def _wait(self, seconds: float) -> None:
        if self._wake is not None:
            self._wake.cancel()
        self._wake = asyncio.get_running_loop().call_later(seconds, self._pace_elapsed)

    def _pace_elapsed(self) -> None:
        try:
            self._commit_paced()
        except Exception as error:
            log.exception("task failed", task=self.name)
            self._die(f"{self.name} failed: {error!r}")

    def _commit_paced(self) -> None:
        for action in self.protocol.pace_elapsed(time.monotonic()):
            match action:
                case protocol.Commit(positions):
                    self._commit(positions)
                case protocol.Wait(seconds):
                    self._wait(seconds)
        self._changed.set()

    def _discard(self) -> None:
        self.rows.reset()
        self._pending, self._in_flight = Pending(), None

    async def _settled(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self._change()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()
