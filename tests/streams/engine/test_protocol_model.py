"""The protocol against a model of Kafka, with every crash point: each source record counts exactly once."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from streams.engine import protocol
from streams.engine.protocol import Pace, State, TaskProtocol

SOURCE = "s/0"


@dataclass
class Broker:
    """One source log, one changelog, one transactional id."""

    source: list[int | None] = field(default_factory=list)
    """Record ids; None is a marker or an aborted record: an offset without a record."""
    effects: list[int] = field(default_factory=list)
    position: int = 0
    epoch: int = 0
    open: tuple[int, list[int], int] | None = None

    def fence(self) -> int:
        """init_transactions: an open transaction is aborted, older epochs are fenced."""
        self.epoch, self.open = self.epoch + 1, None
        return self.epoch

    def commit(self, epoch: int, effects: list[int], position: int) -> bool:
        """False when the producer was fenced."""
        if epoch != self.epoch:
            return False
        self.effects += effects
        self.position = position
        return True


class Owner:
    """A worker that drives one task; it may be a zombie without knowing it."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.task = TaskProtocol((SOURCE,), Pace(seconds=0.0))
        self.epoch = 0
        self.consumer = 0
        self.pending: list[int] = []
        self.flying: list[int] = []
        self.run(self.task.assigned())

    def run(self, actions: list[protocol.Action]) -> None:
        for action in actions:
            match action:
                case protocol.Fence():
                    self.epoch = self.broker.fence()
                    self.run(self.task.fenced_off())
                case protocol.Restore():
                    self.run(self.task.restored({SOURCE: self.broker.position}))
                case protocol.Seek(_, offset):
                    self.consumer = offset or 0
                case protocol.Decide(_, start):
                    end = self.task.expected[SOURCE] or 0
                    ids = [i for i in self.broker.source[start:end] if i is not None]
                    self.pending += ids
                    self.run(self.task.decided(len(ids), 0.0))
                case protocol.Commit():
                    self.flying, self.pending = self.pending, []
                case protocol.Discard():
                    self.flying, self.pending = [], []

    def fetch(self, count: int) -> None:
        end = min(len(self.broker.source), self.consumer + count)
        if end > self.consumer:
            start, self.consumer = self.consumer, end
            empty = all(i is None for i in self.broker.source[start:end])
            self.run(self.task.received(SOURCE, start, end, empty=empty))

    def conclude(self, how: str) -> None:
        flying = self.task.in_flight
        if flying is None:
            return
        if how == "abort":
            self.run(self.task.transaction_aborted())
            return
        durable = how != "lost" and self.broker.commit(self.epoch, self.flying, flying[SOURCE])
        if how in ("lost", "unknown"):
            self.run(self.task.outcome_unknown())
        elif durable:
            self.flying = []
            self.run(self.task.transaction_committed(0.0))
        else:
            self.run(self.task.fenced("epoch"))


class Ownership(RuleBasedStateMachine):
    """Workers come, freeze, wake up and die; fetches jump; commits fail in every way."""

    def __init__(self) -> None:
        super().__init__()
        self.broker = Broker()
        self.produced = 0
        self.owner = Owner(self.broker)
        self.zombies: list[Owner] = []

    @rule(holes=st.integers(0, 3), records=st.integers(0, 5))
    def produce(self, holes: int, records: int) -> None:
        self.broker.source += [None] * holes
        for _ in range(records):
            self.broker.source.append(self.produced)
            self.produced += 1

    @rule(count=st.integers(1, 7))
    def fetch(self, count: int) -> None:
        self.owner.fetch(count)

    @rule(to=st.integers(0, 60))
    def consumer_jumps(self, to: int) -> None:
        """Faust seeks to a stale position around a rebalance."""
        self.owner.consumer = min(to, len(self.broker.source))

    @rule(how=st.sampled_from(["commit", "commit", "commit", "abort", "unknown", "lost"]))
    def conclude(self, how: str) -> None:
        self.owner.conclude(how)

    @rule()
    def owner_is_killed(self) -> None:
        self.owner = Owner(self.broker)

    @rule()
    def owner_freezes_and_another_takes_over(self) -> None:
        self.zombies.append(self.owner)
        self.owner = Owner(self.broker)

    @rule()
    def rebalance_keeps_the_task(self) -> None:
        if self.owner.task.state is State.RUNNING:
            self.owner.run(self.owner.task.suspended(0.0))
            self.owner.run(self.owner.task.assigned())

    @precondition(lambda self: self.zombies)
    @rule(count=st.integers(1, 7), how=st.sampled_from(["commit", "abort"]))
    def zombie_goes_on(self, count: int, how: str) -> None:
        self.zombies[-1].fetch(count)
        self.zombies[-1].conclude(how)

    @invariant()
    def every_record_counts_once_and_in_order(self) -> None:
        assert self.broker.effects == list(range(len(self.broker.effects)))
        below = [i for i in self.broker.source[: self.broker.position] if i is not None]
        assert self.broker.effects == below

    def teardown(self) -> None:
        """Whatever happened, an owner left alone decides everything (a jump shows with the next record)."""
        self.owner.conclude("abort")
        if self.owner.task.state is State.DEAD:
            self.owner = Owner(self.broker)
        self.produce(0, 1)
        for _ in range(len(self.broker.source) + 3):
            self.owner.fetch(5)
            self.owner.conclude("commit")
        assert len(self.broker.effects) == self.produced


TestOwnership = Ownership.TestCase
TestOwnership.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
