"""What a task may do, and when: a pure state machine. Events in, actions out; no sockets, no Faust, no clock.

A task owns one partition of one changelog and consumes one or more source partitions. The machine knows
positions and the order of steps; it never sees a record's content.

    CLOSED --assigned--> FENCING --fenced_off--> RESTORING --restored--> RUNNING <--> SUSPENDED
                            ^                                              |
                            +----------- outcome_unknown ------------------+--- fenced --> DEAD

Rules that the rest of the engine leans on:

1. Fence before restore. `init_transactions` aborts what a former owner left open and fences it (KIP-98),
   so nothing can be appended to the changelog behind a restore.
2. Accept only the exact continuation of what was decided. Anything else is dropped and the source is sought
   back: Faust delivers records from stale positions around a rebalance.
3. Never jump forward. After an abort everything undecided goes back to the last committed positions.
4. One transaction at a time; what arrives meanwhile is decided against the overlay and goes into the next.
5. An unknown commit outcome is resolved by fencing ourselves and reading the positions again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto


class State(Enum):
    """Where a task is in its life."""

    CLOSED = auto()
    FENCING = auto()
    RESTORING = auto()
    RUNNING = auto()
    SUSPENDED = auto()
    DEAD = auto()


@dataclass(frozen=True, slots=True)
class Fence:
    """Initialise the transactional producer: the former owner is fenced from here on."""


@dataclass(frozen=True, slots=True)
class Restore:
    """Read the changelog to its end, then report `restored`."""


@dataclass(frozen=True, slots=True)
class Seek:
    """Continue reading `source` at `offset`; None means at the beginning of its log."""

    source: str
    offset: int | None


@dataclass(frozen=True, slots=True)
class Decide:
    """Decide the batch that was offered, without its records below `from_offset`."""

    source: str
    from_offset: int


@dataclass(frozen=True, slots=True)
class Commit:
    """Commit everything decided so far, with these positions, as one transaction."""

    positions: dict[str, int]


@dataclass(frozen=True, slots=True)
class Wait:
    """Ask again (`pace_elapsed`) after `seconds`: more may come in for the same transaction."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Discard:
    """Forget every decision that was not committed."""


@dataclass(frozen=True, slots=True)
class Close:
    """Nothing is in flight any more: release the producer and the store."""


@dataclass(frozen=True, slots=True)
class Die:
    """Another worker owns this task: the process must not go on."""

    why: str


Action = Fence | Restore | Seek | Decide | Commit | Wait | Discard | Close | Die


@dataclass(frozen=True, slots=True)
class Pace:
    """When to commit: at once from `full` pending records on, else some time after the last commit began.

    That time is `seconds`, or `stretch` times what a commit takes lately if that is longer: a broker that is
    busy with many small transactions takes longer for each, and fewer, larger ones are the way out of that.
    """

    seconds: float = 0.008
    stretch: float = 2.5
    full: int = 1_000
    memory: float = 0.8


class ProtocolError(RuntimeError):
    """The driver reported something that can not happen in this state: a bug, not an outside condition."""


@dataclass(slots=True)
class TaskProtocol:
    """The life of one task. Every method is an event and returns the actions that it causes, in order."""

    sources: tuple[str, ...]
    pace: Pace = field(default_factory=Pace)
    state: State = State.CLOSED
    expected: dict[str, int | None] = field(default_factory=dict)
    """Next offset to decide, per source."""
    committed: dict[str, int | None] = field(default_factory=dict)
    """Next offset after the last committed transaction, per source."""
    pending: int = 0
    """Records decided since the last commit began."""
    moved: bool = False
    """Something was decided since the last commit began."""
    in_flight: dict[str, int] | None = None
    closing: bool = False
    _began_at: float = float("-inf")
    _took: float = 0.0
    """Seconds that a commit takes, as a moving average."""

    def assigned(self) -> list[Action]:
        """The task is ours: fence first. A task that we kept across a rebalance just goes on."""
        if self.state is State.SUSPENDED:
            self.state = State.RUNNING
            return self._seeks()
        self._expect(State.CLOSED)
        self.state = State.FENCING
        return [Fence()]

    def fenced_off(self) -> list[Action]:
        """The producer is initialised; no former owner can write any more."""
        self._expect(State.FENCING)
        if self.closing:
            return self._closed()
        self.state = State.RESTORING
        return [Restore()]

    def restored(self, positions: dict[str, int]) -> list[Action]:
        """The rows are there; `positions` are those of the changelog.

        A source without one starts anew, where it began before if it had begun.
        """
        self._expect(State.RESTORING)
        if self.closing:
            return self._closed()
        self.committed = {
            source: positions.get(source, self.committed.get(source)) for source in self.sources
        }
        self.expected = dict(self.committed)
        self.state = State.RUNNING
        return self._seeks()

    def began_at(self, source: str, offset: int) -> None:
        """A source without a position begins at `offset`: the beginning of its log."""
        if self.expected.get(source) is None:
            self.expected[source] = offset
            self.committed[source] = offset

    def received(self, source: str, start: int, following: int, *, empty: bool = False) -> list[Action]:
        """A fetch moved the consumer from `start` to `following`.

        An `empty` one holds no record (transaction markers, aborted records): only the position moves, and
        it is written down with the next transaction.
        """
        if self.state is not State.RUNNING or self.closing:
            return []
        expected = self.expected[source]
        if expected is None:
            expected = start
            self.committed[source] = start
        if start > expected:
            return [Seek(source, expected)]
        if following <= expected:
            return [Seek(source, expected)] if start < expected else []
        self.expected[source] = following
        return [] if empty else [Decide(source, expected)]

    def decided(self, records: int, now: float) -> list[Action]:
        """A batch was decided."""
        self.pending += records
        self.moved = True
        return self._maybe_commit(now)

    def pace_elapsed(self, now: float) -> list[Action]:
        """The time that a `Wait` asked for is over."""
        return self._maybe_commit(now)

    def transaction_committed(self, now: float) -> list[Action]:
        """The transaction in flight is durable."""
        if self.in_flight is None:
            raise ProtocolError("a commit was reported but none is in flight")
        self.committed.update(self.in_flight)
        self.in_flight = None
        memory = self.pace.memory
        self._took = memory * self._took + (1 - memory) * max(0.0, now - self._began_at)
        if self.closing and not self.moved:
            return self._closed()
        return self._maybe_commit(now)

    def transaction_aborted(self) -> list[Action]:
        """The transaction was aborted: back to the last commit, never forward."""
        self.in_flight = None
        self._forget()
        if self.closing:
            return [Discard(), *self._closed()]
        return [Discard(), *self._seeks()]

    def outcome_unknown(self) -> list[Action]:
        """Nobody can say whether the transaction was committed: fence ourselves and read it back."""
        self.in_flight = None
        self._forget()
        if self.closing:
            return [Discard(), *self._closed()]
        self.state = State.FENCING
        return [Discard(), Fence()]

    def fenced(self, why: str) -> list[Action]:
        """The broker fenced our producer: another worker owns the task."""
        self.state = State.DEAD
        return [Die(why)]

    def suspended(self, now: float) -> list[Action]:
        """A rebalance begins: commit what is decided, take nothing new in."""
        if self.state is State.RUNNING:
            self.state = State.SUSPENDED
        return self._maybe_commit(now, at_once=True)

    def revoked(self, now: float) -> list[Action]:
        """The task goes to another worker: commit what is decided, then close."""
        if self.state in (State.CLOSED, State.DEAD):
            return []
        self.closing = True
        if self.state in (State.FENCING, State.RESTORING):
            return []  # a thread is at work on producer and store; they are let go of when it is done
        if self.in_flight is None and not self.moved:
            return self._closed()
        return self._maybe_commit(now, at_once=True)

    @property
    def idle(self) -> bool:
        """Nothing is decided and uncommitted."""
        return self.in_flight is None and not self.moved

    def _maybe_commit(self, now: float, *, at_once: bool = False) -> list[Action]:
        if self.in_flight is not None or not self.moved:
            return []
        wait = self._began_at + max(self.pace.seconds, self.pace.stretch * self._took) - now
        if not at_once and not self.closing and self.pending < self.pace.full and wait > 0:
            return [Wait(wait)]
        self._began_at = now
        self.in_flight = {source: at for source, at in self.expected.items() if at is not None}
        self.pending, self.moved = 0, False
        return [Commit(dict(self.in_flight))]

    def _seeks(self) -> list[Action]:
        return [Seek(source, self.expected[source]) for source in self.sources]

    def _forget(self) -> None:
        self.expected = dict(self.committed)
        self.pending, self.moved = 0, False

    def _closed(self) -> list[Action]:
        self.state, self.closing = State.CLOSED, False
        return [Close()]

    def _expect(self, *states: State) -> None:
        if self.state not in states:
            names = " or ".join(state.name for state in states)
            raise ProtocolError(f"expected a task that is {names}, it is {self.state.name}")
