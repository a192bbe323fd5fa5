"""The worker's protocol: tasks that come and go, one transaction at a time. Every method is an event."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from streams.engine.ownership import Membership, Ownership, ids_to_fence
from streams.engine.protocol.actions import (
    Action,
    AwaitStable,
    Close,
    Commit,
    Discard,
    FenceOff,
    FindOwners,
    LetGo,
    ProtocolError,
    Register,
    Restore,
    StandsStill,
    TakeIds,
    Wait,
)
from streams.engine.protocol.pace import Company, Pace, Pacer
from streams.engine.protocol.task import Phase, TaskState

Owners = Mapping[str, Ownership | None]


@dataclass(slots=True)
class WorkerProtocol:
    """The life of one worker. Every event returns the actions that it causes, in order."""

    pace: Pace = field(default_factory=Pace)
    ids: tuple[str, ...] = ()
    """The transactional ids in use; none before the first are taken, and after a transaction that failed."""
    member: Membership | None = None
    """What the group granted; None while it rebalances."""
    tasks: dict[str, TaskState] = field(default_factory=dict)
    in_flight: Commit | None = None
    letting_go: bool = False
    attempt: int = 0
    """Numbers the steps of taking over: answers to steps of an earlier attempt count for nothing."""
    _granted: Membership | None = None
    _taking_ids: bool = False
    _sources: dict[str, TaskState] = field(default_factory=dict)
    _pacer: Pacer = field(init=False)
    _company: Company = field(default_factory=Company)

    def __post_init__(self) -> None:
        self._pacer = Pacer(self.pace)

    def granted(self, member: Membership, tasks: Mapping[str, tuple[str, ...]]) -> list[Action]:
        """A generation of the group grants exactly these tasks, with these sources."""
        if self.in_flight is not None:
            raise ProtocolError("tasks were granted while a transaction is in flight")
        if not member.valid:
            return []  # thrown out already; the group will be joined again
        if self._granted is not None and not member.continues(self._granted):
            self.ids = ()  # whoever had our tasks meanwhile has fenced them
        self.member = self._granted = member
        self.attempt += 1
        closed = [name for name, task in self.tasks.items() if tasks.get(name) != task.sources]
        kept = {name: task for name, task in self.tasks.items() if name not in closed}
        self.tasks = {name: kept.get(name) or TaskState(name, tasks[name], member) for name in tasks}
        for task in kept.values():
            task.granted_again(member)
        self._sources = {source: task for task in self.tasks.values() for source in task.sources}
        return [*map(Close, closed), *self._proceed()]

    def rebalancing(self, now: float) -> list[Action]:
        """The group rebalances, or the worker stops: commit what is decided, take nothing new in."""
        self.member = None
        self.attempt += 1
        actions: list[Action] = []
        self._notice_drift()
        for task in self.tasks.values():
            task.phase = Phase.SUSPENDED
            if task.moved and (task.suspect or not task.registered):
                actions += self._forget([task])
        return actions + self._maybe_commit(now) + self._maybe_let_go()

    def released(self) -> list[Action]:
        """The worker stops, and `quiet` is true."""
        names, self.tasks, self._sources = list(self.tasks), {}, {}
        return [Close(name) for name in names]

    @property
    def quiet(self) -> bool:
        """Suspended, and nothing is in flight: the group may give the tasks to others."""
        return (
            self.member is None
            and self.in_flight is None
            and not self.letting_go
            and not any(task.moved for task in self.tasks.values())
        )

    def ids_taken(self, ids: tuple[str, ...]) -> list[Action]:
        """The producers are initialised. Whatever was or is being registered names other ids."""
        self.ids, self._taking_ids = ids, False
        self.attempt += 1
        return self._proceed()

    def _proceed(self) -> list[Action]:
        """The next steps towards running tasks: with new ids first, then those that stay, then the others."""
        if self.member is None:
            return []
        if not self.ids:
            taking, self._taking_ids = self._taking_ids, True
            return [] if taking else [TakeIds()]
        stay = [t for t in self._in(Phase.REGISTERING, Phase.RUNNING) if not t.registered]
        fresh = tuple(task.name for task in self._in(Phase.TAKING_OVER))
        actions: list[Action] = [FindOwners(self.attempt, fresh, self.member)] if fresh else []
        return [*self._register(stay), *actions]

    def _register(self, tasks: list[TaskState]) -> list[Action]:
        if not tasks or self.member is None:
            return []
        positions = {source: at for task in tasks for source, at in task.committed.items()}
        names = tuple(task.name for task in tasks)
        return [Register(self.attempt, names, self.member, positions)]

    def owners_found(self, attempt: int, owners: Owners) -> list[Action]:
        """Who the offsets name, by source. The newest generation of each task counts, unless it let go."""
        if attempt != self.attempt:
            return []
        fresh = self._in(Phase.TAKING_OVER)
        named = {each for task in fresh for each in ids_to_fence(map(owners.get, task.sources))}
        to_fence = tuple(sorted(named - set(self.ids)))
        return [FenceOff(attempt, to_fence)] if to_fence else self.fenced_off(attempt)

    def fenced_off(self, attempt: int) -> list[Action]:
        """Former owners can do nothing any more."""
        if attempt != self.attempt:
            return []
        return [AwaitStable(attempt, tuple(task.name for task in self._in(Phase.TAKING_OVER)))]

    def stable(self, attempt: int, offsets: Mapping[str, int]) -> list[Action]:
        """The stable offsets, by source; a source without one is left out."""
        if attempt != self.attempt:
            return []
        actions: list[Action] = []
        for task in self._in(Phase.TAKING_OVER):
            task.stable = {source: offsets[source] for source in task.sources if source in offsets}
            task.fell_short = 0
            actions.append(Restore(attempt, task.name))
        return actions

    def restored(
        self, attempt: int, name: str, positions: Mapping[str, int], rowless: frozenset[str] = frozenset()
    ) -> list[Action]:
        """A task's rows are there. `positions` has all its sources, the `rowless` where their log begins."""
        if attempt != self.attempt:
            return []
        task = self.tasks[name]
        task.committed = {source: positions[source] for source in task.sources}
        task.rowless = rowless
        task.forget()
        if not task.caught_up:
            task.fell_short += 1
            return [Restore(attempt, name, task.fell_short)]
        task.intact, task.phase = True, Phase.REGISTERING
        return [Discard(name), *self._register([task])]

    def registered(self, attempt: int, names: Iterable[str], now: float) -> list[Action]:
        """The group knows us as the owner of these tasks."""
        if attempt != self.attempt:
            return []
        actions = [action for name in names for action in self.tasks[name].is_registered()]
        return actions + self._maybe_commit(now)

    def refused(self, attempt: int) -> list[Action]:
        """The group has moved on: what is decided cannot be committed, and the next grant is waited for."""
        return self._suspend() if attempt == self.attempt else []

    def _suspend(self) -> list[Action]:
        self.member = None
        self.attempt += 1
        for task in self.tasks.values():
            task.phase = Phase.SUSPENDED
        return self._forget(self.tasks.values())

    def let_go(self) -> list[Action]:
        """The offsets say that nothing of ours is open; where they could not be told, we will be fenced."""
        self.letting_go = False
        return []

    def received(self, source: str, start: int, following: int, *, empty: bool = False) -> list[Action]:
        """A fetch moved the consumer from `start` to `following` of a source."""
        task = self._sources.get(source)
        return [] if task is None else task.received(source, start, following, empty=empty)

    def decided(self, name: str, records: int, now: float) -> list[Action]:
        """A batch of a task was decided."""
        task = self.tasks[name]
        task.pending += records
        task.moved = True
        return self._maybe_commit(now)

    def pace_elapsed(self, now: float) -> list[Action]:
        """The time that a `Wait` asked for is over."""
        return self._maybe_commit(now)

    def drifted(self, now: float) -> list[Action]:
        """Write down positions that moved over records without content, although nothing was decided."""
        self._notice_drift()
        return self._maybe_commit(now)

    def _notice_drift(self) -> None:
        for task in self._in(Phase.RUNNING):
            task.moved |= task.drifted(self.in_flight.offsets if self.in_flight else {})

    def _maybe_commit(self, now: float) -> list[Action]:
        if self.in_flight is not None or not self.ids:
            return []
        moved = [task for task in self.tasks.values() if task.moved and task.registered]
        if not moved:
            return []
        suspended = self.member is None
        wait = 0.0 if suspended else self._pacer.wait_s(now, sum(task.pending for task in moved))
        if wait > 0:
            return [Wait(wait)]
        chosen = self._company.choose(moved, now)
        if not chosen:
            return [Wait(max(0.001, min(task.retry_at for task in moved) - now))]
        self._pacer.began(now)
        offsets = {source: at for task in chosen for source, at in task.take().items()}
        self.in_flight = Commit(tuple(task.name for task in chosen), chosen[0].member, offsets)
        return [self.in_flight]

    def transaction_committed(self, now: float) -> list[Action]:
        """The transaction in flight is durable."""
        done = self._landed()
        actions: list[Action] = []
        for task in (self.tasks[name] for name in done.tasks):
            actions += task.seeks() if task.suspect and task.running else []  # it took nothing in meanwhile
            task.settle({source: at for source, at in done.offsets.items() if source in task.committed})
        self._company.committed()
        self._pacer.ended(now)
        return [*actions, *self._maybe_commit(now), *self._maybe_let_go()]

    def transaction_aborted(self, why: str, now: float) -> list[Action]:
        """Nothing of the transaction in flight will ever be seen: its tasks go back to their last commit."""
        tasks = [self.tasks[name] for name in self._landed().tasks]
        culprit = self._company.aborted(tasks, now)
        actions = self._forget(tasks)
        if culprit is not None:
            actions.append(StandsStill(culprit.name, why, culprit.retry_at - now))
        return actions + self._take_new_ids()

    def transaction_refused(self) -> list[Action]:
        """It was aborted because the group has moved on."""
        self._landed()
        return self._suspend() + self._take_new_ids()

    def outcome_unknown(self) -> list[Action]:
        """Nobody can say whether it was committed, or we were fenced: take everything over again."""
        self._landed()
        for task in self.tasks.values():
            task.intact = False
            task.phase = Phase.SUSPENDED if self.member is None else Phase.TAKING_OVER
        return self._forget(self.tasks.values()) + self._take_new_ids()

    def _take_new_ids(self) -> list[Action]:
        self.ids = ()
        self.attempt += 1  # steps that are under way name the old ids
        for task in self.tasks.values():
            task.registered = False
        if self.member is not None:
            return self._proceed()
        return self._forget(task for task in self.tasks.values() if task.moved)

    def _landed(self) -> Commit:
        done, self.in_flight = self.in_flight, None
        if done is None:
            raise ProtocolError("a transaction ended but none is in flight")
        return done

    def _maybe_let_go(self) -> list[Action]:
        """Suspended and idle: say so beside the offsets, so that the next owner need not fence us."""
        tasks = [task for task in self.tasks.values() if task.registered]
        if not tasks or not self.quiet:
            return []
        self.letting_go = True
        for task in tasks:
            task.registered = False
        positions = {source: at for task in tasks for source, at in task.committed.items()}
        return [LetGo(tuple(task.name for task in tasks), tasks[0].member, positions)]

    def _forget(self, tasks: Iterable[TaskState]) -> list[Action]:
        actions: list[Action] = []
        for task in tasks:
            task.forget()
            actions += [Discard(task.name), *(task.seeks() if task.running else [])]
        return actions

    def _in(self, *phases: Phase) -> list[TaskState]:
        return [task for task in self.tasks.values() if task.phase in phases]
