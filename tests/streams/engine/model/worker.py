"""A worker of the model: the real protocol, driven one request to the broker at a time.

It may be frozen between any two requests and go on later as a zombie. `broken` names rules of the recipe that
it does not keep, for the mutants of the test.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable

from streams.engine.ownership import Membership, Ownership
from streams.engine.protocol import actions as act
from streams.engine.protocol.pace import Pace
from streams.engine.protocol.worker import WorkerProtocol
from tests.streams.engine.model.broker import Broker, Fenced, Refused, Rows, Unstable

Steps = Generator[None, None, None]
NOBODY = Membership(-1, "")


class Failure(Exception):
    """A batch or an answer that the test makes fail."""


class Worker:
    """One process. `tasks` names the sources of every task that it may get."""

    def __init__(
        self, broker: Broker, name: str, tasks: dict[str, tuple[str, ...]], broken: frozenset[str]
    ) -> None:
        self.broker = broker
        self.name = name
        self.broken = broken
        self.protocol = WorkerProtocol(Pace(seconds=1.0))
        self._now = 0.0
        self.live = NOBODY
        """What its consumer says now that it is in the group."""
        self.fails: set[str] = set()
        """What of the next transaction fails: batch, offsets, the request to end it, the answer to that."""
        self._sources = tasks
        self._number = 0
        self._epochs: dict[str, int] = {}
        self._turn = 0
        self._consumer: dict[str, int] = {}
        self._pending: dict[str, list[int]] = {}
        self._steps: list[Steps] = []

    # -- events from outside

    def rebalancing(self) -> None:
        self._do(self.protocol.rebalancing(self._now))

    def granted(self, member: Membership, tasks: Iterable[str]) -> None:
        self.live = member
        if self.protocol.in_flight is not None:
            return  # the driver waits for it; the next grant finds it done
        self._do(self.protocol.granted(member, {task: self._sources[task] for task in tasks}))

    def reads(self, source: str) -> bool:
        """Whether one of its running tasks reads a source."""
        return any(task.running and source in task.sources for task in self.protocol.tasks.values())

    def fetch(self, source: str, count: int) -> None:
        log = self.broker.sources[source]
        start = self._consumer.get(source, 0)
        end = min(len(log), start + count)
        if end > start:
            self._consumer[source] = end
            empty = all(each is None for each in log[start:end])
            self._do(self.protocol.received(source, start, end, empty=empty))

    def jump(self, source: str, to: int) -> None:
        """Faust seeks to a stale position around a rebalance."""
        self._consumer[source] = min(to, len(self.broker.sources[source]))

    def step(self, which: int = 0) -> bool:
        """One request of one of the things that are under way; False when there are none."""
        if not self._steps:
            return False
        steps = self._steps[which % len(self._steps)]
        try:
            next(steps)
        except StopIteration:
            if steps in self._steps:
                self._steps.remove(steps)
        return True

    def drift(self) -> None:
        self._do(self.protocol.drifted(self._now))

    # -- actions

    def _do(self, actions: list[act.Action]) -> None:
        for action in actions:
            match action:
                case act.Seek(source, offset):
                    self._consumer[source] = offset
                case act.Decide(task, source, start):
                    self._decide(task, source, start)
                case act.Discard(task):
                    self._pending.pop(task, None)
                case act.Wait(seconds):
                    self._steps.append(self._wait(seconds))
                case act.StandsStill() | act.Close():
                    pass
                case act.Commit():
                    self._steps.append(self._transaction(action, self._seal(action)))
                case _:
                    self._steps.append(self._ask(action))

    def _decide(self, task: str, source: str, start: int) -> None:
        end = self.protocol.tasks[task].expected[source]
        ids = [each for each in self.broker.sources[source][start:end] if each is not None]
        self._pending.setdefault(task, []).extend(ids)
        self._do(self.protocol.decided(task, len(ids), self._now))

    def _wait(self, seconds: float) -> Steps:
        yield
        self._now += seconds
        self._do(self.protocol.pace_elapsed(self._now))

    def _seal(self, commit: act.Commit) -> dict[str, Rows]:
        state = self.protocol.tasks
        return {
            task: Rows(
                self._pending.pop(task, []),
                {source: at for source, at in commit.offsets.items() if source in state[task].sources},
            )
            for task in commit.tasks
        }

    def _ask(self, action: act.Action) -> Steps:
        broker, protocol = self.broker, self.protocol
        match action:
            case act.TakeIds():
                yield
                self._number += 1
                ids = tuple(f"{self.name}-{self._number}{letter}" for letter in "ab")
                self._epochs = {each: broker.initialise(each) for each in ids}
                self._do(protocol.ids_taken(ids))
            case act.FindOwners(attempt, tasks, member):
                yield
                try:
                    broker.check_member(member)
                except Refused:
                    self._do(protocol.refused(attempt))
                    return
                found = {s: broker.offset(s, stable=False) for s in self._of(tasks)}
                owners = {s: each.owner if each else None for s, each in found.items()}
                self._do(protocol.owners_found(attempt, owners))
            case act.FenceOff(attempt, ids):
                for each in ids if "no fence" not in self.broken else ():
                    yield
                    broker.initialise(each)
                self._do(protocol.fenced_off(attempt))
            case act.AwaitStable(attempt, tasks):
                yield from self._await_stable(attempt, tasks)
            case act.Restore(attempt, task, _):
                yield from self._restore(attempt, task)
            case act.Register(attempt, tasks, member, positions):
                yield from self._register(attempt, tasks, member, dict(positions))
            case act.LetGo(_, member, positions):
                yield
                owner = Ownership(protocol.ids, member.generation, let_go=True)
                with contextlib.suppress(Refused):
                    broker.write_offsets(positions, owner, member)
                self._do(protocol.let_go())

    def _of(self, tasks: Iterable[str]) -> list[str]:
        return [source for task in tasks for source in self._sources[task]]

    def _await_stable(self, attempt: int, tasks: tuple[str, ...]) -> Steps:
        wait = "unstable offsets" not in self.broken
        while attempt == self.protocol.attempt or "late answers" in self.broken:
            yield
            try:
                found = {s: self.broker.offset(s, stable=wait) for s in self._of(tasks)}
            except Unstable:
                continue
            self._do(self.protocol.stable(attempt, {s: each.offset for s, each in found.items() if each}))
            return

    def _restore(self, attempt: int, task: str) -> Steps:
        yield
        if "restore to the stable end" in self.broken:
            end = self.broker.stable_end(task)
        else:
            end = len(self.broker.changelogs.get(task, []))
            while self.broker.stable_end(task) < end and attempt == self.protocol.attempt:
                yield
        positions = self.broker.positions(task, end)
        if "no look at positions" in self.broken and task in self.protocol.tasks:
            self.protocol.tasks[task].stable = {}
        found = {source: positions.get(source, 0) for source in self._sources[task]}
        rowless = frozenset(found.keys() - positions.keys()) if "new logs" in self.broken else frozenset()
        self._do(self.protocol.restored(attempt, task, found, rowless))

    def _register(
        self, attempt: int, tasks: tuple[str, ...], member: Membership, positions: dict[str, int]
    ) -> Steps:
        yield
        protocol = self.protocol
        if "registers one source" in self.broken:
            positions = dict(list(positions.items())[:1])
        try:
            if "no registration" not in self.broken:
                owner = Ownership(protocol.ids, member.generation)
                self.broker.write_offsets(positions, owner, self._says(member))
        except Refused:
            self._do(protocol.refused(attempt))
            return
        yield
        self._do(protocol.registered(attempt, tasks, self._now))

    def _says(self, member: Membership) -> Membership:
        """What it tells the coordinator that it is."""
        if "no generation" in self.broken:
            return NOBODY
        return self.live if "generation of the moment" in self.broken else member

    def _transaction(self, commit: act.Commit, rows: dict[str, Rows]) -> Steps:
        protocol = self.protocol
        self._turn += 1
        producer = protocol.ids[self._turn % 2]
        fails, self.fails = self.fails, set()
        ending = False
        try:
            yield
            transaction = self.broker.begin(producer, self._epochs[producer])
            owner = Ownership(protocol.ids, commit.member.generation)
            for number, (task, each) in enumerate(rows.items()):
                yield
                if "batch" in fails and number == 0:
                    if "commits a failed batch" not in self.broken:
                        raise Failure
                    continue
                self.broker.produce(transaction, task, each)
            yield
            self._commit_offsets(transaction, commit, owner, fails)
            yield
            ending = True
            if "request" in fails:
                raise Failure
            self.broker.end(transaction, commit=True)
            yield
            if "answer" in fails:
                raise Failure
        except Refused:
            yield
            self.broker.initialise(producer)
            self._do(protocol.transaction_refused())
        except Fenced:
            self._do(protocol.outcome_unknown())
        except Failure:
            yield
            self._failed(producer, ending)
        else:
            self._do(protocol.transaction_committed(self._now))

    def _commit_offsets(
        self, transaction: object, commit: act.Commit, owner: Ownership, fails: set[str]
    ) -> None:
        member = self._says(commit.member)
        if not member.valid and "no generation" not in self.broken and member is commit.member:
            raise Refused
        try:
            if "offsets" in fails:
                raise Failure
            offsets = commit.offsets
            if "offsets of one task" in self.broken:
                offsets = {s: at for s, at in offsets.items() if s in self._sources[commit.tasks[0]]}
            self.broker.commit_offsets(transaction, offsets, owner, member)  # type: ignore[arg-type]
        except (Refused, Failure):
            if "commits failed offsets" not in self.broken:
                raise

    def _failed(self, producer: str, ending: bool) -> None:
        if not ending:
            self.broker.initialise(producer)
            self._do(self.protocol.transaction_aborted("the test", self._now))
        elif "unknown is aborted" in self.broken:
            self._do(self.protocol.transaction_aborted("unknown", self._now))
        elif "unknown is committed" in self.broken:
            self._do(self.protocol.transaction_committed(self._now))
        else:
            self._do(self.protocol.outcome_unknown())
