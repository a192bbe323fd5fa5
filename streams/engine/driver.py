"""Carries out what the worker's protocol says, with real tasks, a real broker and a real changelog.

Everything here runs in the event loop; only restores run in threads. While one transaction is in flight the
next batch is decided against the overlay.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from typing import Any

from streams.engine.broker.coordinators import Partition
from streams.engine.broker.errors import Aborted, Fenced, OutcomeUnknown, Refused
from streams.engine.broker.transactions import Transaction, Transactions
from streams.engine.changelog import RestoreCancelled
from streams.engine.database import Database
from streams.engine.fetched import Fetched
from streams.engine.outbox import Outbox
from streams.engine.ownership import Ownership
from streams.engine.ports import Observer
from streams.engine.protocol import actions as act
from streams.engine.protocol.worker import WorkerProtocol
from streams.engine.store import StoreFailed
from streams.engine.takeover import Takeover, Unrecoverable, parse
from streams.engine.task import Task, are_full, places_of
from streams.engine.unprocessable import RecordFailed, see_through, write_down
from streams.log import get_logger

log = get_logger("engine")

LET_GO_WITHIN_S = 2.0
STARTS_ANEW = "none, once: the process ends and starts anew; when it repeats, report the trace"

Seek = Callable[[Mapping[Partition, int]], Coroutine[Any, Any, None]]


class Driver:
    """Carries out one worker's actions. `die(why)` ends the process at once."""

    def __init__(
        self,
        protocol: WorkerProtocol,
        transactions: Transactions,
        takeover: Takeover,
        changelog: str,
        wire_name: Callable[[str], str],
        observer: Observer,
        die: Callable[[str], None],
    ) -> None:
        self.protocol = protocol
        self.tasks: dict[str, Task] = {}
        self.databases: dict[str, Database] = {}
        self.seek: Seek | None = None
        self._transactions = transactions
        self._takeover = takeover
        self._changelog = changelog
        self._wire_name = wire_name
        self._observer = observer
        self._die = die
        self._changed = asyncio.Event()
        self._wake: asyncio.TimerHandle | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._steps: dict[asyncio.Task[None], threading.Event] = {}
        self._attempt = 0
        self.failing: set[str] = set()  # tasks of which a record's failure is being written down

    async def offer(self, task: Task, fetched: Fetched) -> None:
        """Take a fetch in when there is room for it, and decide it: a portion, and then the rest."""
        rest: Fetched | None = fetched
        while rest is not None:
            while task.running and are_full(self.tasks.values()):
                await self.change()
            rest = await self._take(task, rest)
            if rest is not None:
                await asyncio.sleep(0)

    async def _take(self, task: Task, fetched: Fetched) -> Fetched | None:
        """Decide a portion of a fetch; returns what is left of it.

        From the moment that the protocol has accepted a fetch, a commit covers its position: it is decided
        before anything else can run, or the position is taken back to what is decided.
        """
        if task.name in self.failing:
            return None
        empty, source, left = not fetched.records, fetched.source, None
        for action in self.protocol.received(source, fetched.start, fetched.following, empty=empty):
            if isinstance(action, act.Decide):
                try:
                    records, following = task.decide(fetched, action.from_offset)
                except RecordFailed as failed:
                    await write_down(self, task, failed)
                    return None
                if following < fetched.following and task.state is not None:
                    task.state.left_undecided(source, following)
                    left = fetched.rest(following)
                self.carry_out(self.protocol.decided(task.name, records, time.monotonic()))
                if task.gave_up:
                    await see_through(self, task)
                    return None
                continue
            if isinstance(action, act.Seek):
                self._observer.dropped_fetch(task.name, source, fetched.start, action.offset)
            self.carry_out([action])
        return left

    def carry_out(self, actions: Iterable[act.Action]) -> None:
        """Do what has to be done now, and start what takes time."""
        self._drop_former_attempts()
        seeks: dict[Partition, int] = {}
        for action in actions:
            match action:
                case act.Seek(source, offset):
                    seeks[parse(source)] = offset
                case act.Commit():
                    self._commit(action)
                case act.Wait(seconds):
                    self._wait(seconds)
                case act.Discard(task):
                    self.tasks[task].discard()
                case act.StandsStill(task, why, seconds):
                    self._observer.stands_still(task, why, seconds)
                case act.Close(task):
                    self._close(task)
                case _:
                    self._begin(action)
        if seeks and self.seek is not None:
            self.spawn(self.seek(seeks))
        self._changed.set()

    async def check_logs(self, tasks: Iterable[str]) -> None:
        """A position that a log does not hold is an error that a person must see, never a silent jump."""
        places = places_of(self.tasks[each] for each in tasks if each in self.tasks)
        await self._check(self._takeover.check_logs(places))

    async def check_topics(self) -> None:
        """A topic that was deleted and created again under us is such an error, too; so is the changelog."""
        running = [task for task in self.tasks.values() if task.running]
        await self._check(self._takeover.check_topics(places_of(running)))
        await self._check(self._takeover.check_changelog(self._changelog, running))

    async def _check(self, checked: Awaitable[None]) -> None:
        try:
            await checked
        except Unrecoverable as error:
            self._die(str(error))

    async def settled(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition about the protocol is true."""
        while not condition():
            await self.change()

    async def change(self) -> None:
        """Wait until something has happened."""
        self._changed.clear()
        await self._changed.wait()

    async def close(self) -> None:
        """Let go of producers and connections; the tasks are closed."""
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._transactions.close()
        await self._takeover.close()

    # -- steps of taking over

    def _begin(self, action: act.Action) -> None:
        cancelled = threading.Event()
        step = self.spawn(self._step(action, cancelled))
        if not isinstance(action, act.TakeIds | act.LetGo):
            self._steps[step] = cancelled
            step.add_done_callback(lambda done: self._steps.pop(done, None))

    async def _step(self, action: act.Action, cancelled: threading.Event) -> None:
        attempt = self.protocol.attempt
        try:
            following = await self._answer(action, cancelled)
        except RestoreCancelled:
            return
        except Refused as error:
            log.info("registration_refused", why=str(error))
            following = self.protocol.refused(attempt)
        except (Unrecoverable, StoreFailed) as error:
            self._die(str(error))
            return
        self.carry_out(following)

    async def _answer(self, action: act.Action, cancelled: threading.Event) -> list[act.Action]:
        takeover, protocol = self._takeover, self.protocol
        match action:
            case act.TakeIds():
                return protocol.ids_taken(await self._transactions.start())
            case act.FindOwners(attempt, tasks, member):
                return protocol.owners_found(attempt, await takeover.owners(self._sources(tasks), member))
            case act.FenceOff(attempt, ids):
                await takeover.fence(ids)
                return protocol.fenced_off(attempt)
            case act.AwaitStable(attempt, tasks):
                return protocol.stable(attempt, await takeover.stable(self._sources(tasks)))
            case act.Restore(attempt, task, again):
                positions, rowless = await takeover.restore(self.tasks[task], again, cancelled)
                self.tasks[task].begin()
                return protocol.restored(attempt, task, positions, rowless)
            case act.Register(attempt, tasks, member, positions):
                owner = Ownership(protocol.ids, member.generation)
                await takeover.register(positions, owner, member)
                log.info("tasks_registered", tasks=list(tasks), generation=member.generation, **takeover.took)
                return protocol.registered(attempt, tasks, time.monotonic())
            case act.LetGo(_, member, positions):
                owner = Ownership(protocol.ids, member.generation, let_go=True)
                await takeover.let_go(positions, owner, member, LET_GO_WITHIN_S)
                return protocol.let_go()
        raise TypeError(f"no step: {action}")

    def _sources(self, tasks: Iterable[str]) -> list[str]:
        return [source for task in tasks for source in self.tasks[task].stages]

    def _drop_former_attempts(self) -> None:
        if self._attempt == self.protocol.attempt:
            return
        self._attempt = self.protocol.attempt
        current = asyncio.current_task()
        for step, cancelled in list(self._steps.items()):
            if step is not current:
                cancelled.set()
                step.cancel()

    # -- transactions

    def _commit(self, commit: act.Commit) -> None:
        outbox = Outbox(self._transactions.partitions, self._wire_name)
        for task in map(self.tasks.__getitem__, commit.tasks):
            effects, changes = task.seal(commit.offsets)
            outbox.add_sends(effects.sends, task.partition)
            outbox.add_rows(changes, self._changelog, task.partition)
        offsets = {parse(source): offset for source, offset in commit.offsets.items()}
        self.spawn(self._conclude(commit, Transaction(outbox.batches, offsets, commit.member)))

    async def _conclude(self, commit: act.Commit, transaction: Transaction) -> None:
        began, names = time.monotonic(), ", ".join(commit.tasks)
        try:
            ends = await self._transactions.commit(transaction)
        except Aborted as error:
            self._observer.discarded(names, str(error))
            following = self.protocol.transaction_aborted(str(error), time.monotonic())
        except Refused as error:
            self._observer.discarded(names, str(error))
            following = self.protocol.transaction_refused()
        except (Fenced, OutcomeUnknown) as error:
            self._observer.discarded(names, str(error))
            following = self.protocol.outcome_unknown()
        else:
            self._landed(commit, ends)
            now = time.monotonic()
            self._observer.transaction(len(commit.tasks), now - began)
            following = self.protocol.transaction_committed(now)
        self.carry_out(following)

    def _landed(self, commit: act.Commit, ends: Mapping[Partition, int]) -> None:
        for task in map(self.tasks.__getitem__, commit.tasks):
            done = task.landed(ends[self._changelog, task.partition])
            self._observer.committed(task.name, done.effects, done.records)

    def _wait(self, seconds: float) -> None:
        if self._wake is not None:
            self._wake.cancel()
        self._wake = asyncio.get_running_loop().call_later(seconds, self._pace_elapsed)

    def _pace_elapsed(self) -> None:
        try:
            self.carry_out(self.protocol.pace_elapsed(time.monotonic()))
        except Exception as error:
            self._failed(error)

    # -- the rest

    def _close(self, name: str) -> None:
        """The database of a task that went away; a task whose sources changed keeps its own."""
        if name not in self.tasks:
            self.spawn(self._takeover.close_database(self.databases[name]))

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start what takes time. An exception of its own ends the process, so that somebody sees it."""
        running = asyncio.get_running_loop().create_task(self._guarded(work))
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        return running

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        if isinstance(error, StoreFailed):
            return self._die(str(error))  # the files are gone already: a new process reads them back
        log.exception("engine_failed", recommendation=STARTS_ANEW)
        self._die(f"the engine failed: {error!r}")
