"""Workers on the model of Kafka: they come, freeze, wake up and die, and every record must count once."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
)

from streams.engine.ownership import Membership
from tests.streams.engine.model.broker import Broker
from tests.streams.engine.model.worker import NOBODY, Worker

TASKS: dict[str, tuple[str, ...]] = {"t0": ("a/0", "b/0"), "t1": ("a/1", "b/1")}
SOURCES = [source for sources in TASKS.values() for source in sources]

indexes = st.integers(0, 5)
steps = st.sampled_from([0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 40, 40])
failures = st.sampled_from(["", "", "", "batch", "offsets", "request", "answer"])
sources = st.sampled_from(SOURCES)


class Sale(RuleBasedStateMachine):
    """Workers come, freeze, wake up and die; the group rebalances; requests fail in every way."""

    broken: frozenset[str] = frozenset()

    def __init__(self) -> None:
        super().__init__()
        self.broker = Broker({source: [] for source in SOURCES})
        self.produced = 0
        self.born = 0
        self.members: dict[Worker, str] = {}
        """Those whom the group knows, or is about to know, by their member id."""
        self.zombies: list[Worker] = []
        self._join()
        self._share()

    def _join(self, worker: Worker | None = None) -> Worker:
        self.born += 1
        joined = worker or Worker(self.broker, f"w{self.born}", TASKS, self.broken)
        self.members[joined] = f"member-{self.born}"
        return joined

    def _share(self, shares: Iterable[int] = (0, 0), patience: int = 400) -> None:
        """A round of the group: everybody in it lets go first, then a new generation has all tasks.

        Who has not let go within the group's patience is thrown out, and does not know it.
        """
        for worker in list(self.members):
            worker.rebalancing()
            if not _let_go(worker, patience):
                self._thrown_out(worker)
        if not self.members:
            self._join()
        self.broker.generation += 1
        self.broker.members = set(self.members.values())
        workers = list(self.members)
        mine: dict[Worker, list[str]] = {worker: [] for worker in workers}
        for task, share in zip(TASKS, shares, strict=True):
            mine[workers[share % len(workers)]].append(task)
        for worker, tasks in mine.items():
            worker.granted(Membership(self.broker.generation, self.members[worker]), tasks)
            if self.born % 4:  # else it is left to the rules how far they get
                _run(worker, lambda: False, 60)

    def _thrown_out(self, worker: Worker) -> None:
        del self.members[worker]
        self.zombies.append(worker)

    def _live(self, index: int) -> Worker:
        return list(self.members)[index % len(self.members)]

    def produce(self, source: str, holes: int, records: int) -> None:
        log = self.broker.sources[source]
        log += [None] * holes
        for _ in range(records):
            log.append(self.produced)
            self.produced += 1

    @rule(holes=st.integers(0, 1), failure=failures, which=indexes, steps=steps)
    def records_come_in(self, holes: int, failure: str, which: int, steps: int) -> None:
        self._work(which, steps, holes, failure)

    def _work(self, which: int, steps: int, holes: int = 0, failure: str = "") -> None:
        """One record for each source; who reads it fetches it, and gets so far."""
        for source in SOURCES:
            self.produce(source, holes, 1)
            for worker in self.members:
                if worker.reads(source):
                    worker.fetch(source, 4)
        for worker in self.members:
            worker.fails.add(failure)
            for _ in range(steps):
                worker.step(which)

    @rule(index=indexes, source=sources, to=st.integers(0, 20), steps=steps)
    def consumer_jumps(self, index: int, source: str, to: int, steps: int) -> None:
        """Faust seeks to a stale position around a rebalance."""
        for worker in self.members:
            worker.jump(source, to)
        self._work(index, steps)

    @rule(index=indexes, which=indexes, steps=steps, drift=st.booleans())
    def a_worker_goes_on(self, index: int, which: int, steps: int, drift: bool) -> None:
        if drift:
            self._live(index).drift()
        for _ in range(steps):
            self._live(index).step(which)

    @rule(which=indexes, log=indexes)
    def a_marker_arrives(self, which: int, log: int) -> None:
        ended = [each for each in self.broker.transactions if each.outcome is not None and each.unmarked]
        if ended:
            transaction = ended[which % len(ended)]
            logs = sorted(transaction.unmarked)
            transaction.unmarked.discard(logs[log % len(logs)])

    @precondition(lambda self: len(self.members) < 3)
    @rule(shares=st.tuples(indexes, indexes))
    def a_worker_joins(self, shares: tuple[int, int]) -> None:
        self._join()
        self._share(shares)

    @rule(shares=st.tuples(indexes, indexes), patience=st.sampled_from([400, 400, 5, 2, 0]))
    def the_group_rebalances(self, shares: tuple[int, int], patience: int) -> None:
        self._share(shares, patience)

    @rule(index=indexes, shares=st.tuples(indexes, indexes), steps=steps)
    def a_worker_freezes_and_others_take_over(self, index: int, shares: tuple[int, int], steps: int) -> None:
        self._thrown_out(self._live(index))
        self._share(shares)
        self._work(index, steps)

    @rule(index=indexes, shares=st.tuples(indexes, indexes), steps=steps)
    def a_worker_is_killed(self, index: int, shares: tuple[int, int], steps: int) -> None:
        del self.members[self._live(index)]
        self._share(shares)
        self._work(index, steps)

    @precondition(lambda self: self.zombies)
    @rule(index=indexes, source=sources, steps=steps, fetches=st.booleans(), hears=st.booleans())
    def a_zombie_goes_on(self, index: int, source: str, steps: int, fetches: bool, hears: bool) -> None:
        zombie = self.zombies[index % len(self.zombies)]
        if hears:  # its consumer knows that it was thrown out; nobody has told the engine yet
            zombie.live = NOBODY
        if fetches:
            self.produce(source, 0, 1)
            zombie.fetch(source, 3)
        for _ in range(steps):
            zombie.step()

    @precondition(lambda self: self.zombies and len(self.members) < 3)
    @rule(index=indexes, shares=st.tuples(indexes, indexes), steps=steps)
    def a_zombie_comes_back(self, index: int, shares: tuple[int, int], steps: int) -> None:
        zombie = self.zombies.pop(index % len(self.zombies))
        zombie.live = NOBODY
        self._join(zombie)
        self._share(shares)
        self._work(index, steps)

    @precondition(lambda self: len(self.members) < 3)
    @rule(index=indexes, steps=steps)
    def tasks_go_away_and_come_back(self, index: int, steps: int) -> None:
        """Somebody else had them in a generation of which their former owner never heard."""
        former = self._live(index)
        self._thrown_out(former)
        self._share()
        self._work(0, steps)
        self.zombies.remove(former)
        self._join(former)
        mine = list(self.members).index(former)
        self._share((mine, mine))
        self._work(0, steps)

    @invariant()
    def every_record_counts_once_and_in_order(self) -> None:
        for task, its_sources in TASKS.items():
            decided = self.broker.decided(task)
            positions = self.broker.positions(task, len(self.broker.changelogs.get(task, [])))
            for source in its_sources:
                log = self.broker.sources[source]
                below = [each for each in log[: positions.get(source, 0)] if each is not None]
                known = set(log)
                assert [each for each in decided if each in known] == below, f"{source} of {task}"

    def teardown(self) -> None:
        """Whatever happened, a worker left alone decides everything."""
        for transaction in self.broker.transactions:
            if "time-outs" in self.broken and transaction.outcome is None:
                self.broker.initialise(transaction.producer)
            if transaction.outcome is not None:
                transaction.unmarked.clear()
        self.members.clear()
        alone = self._join()
        self._share()
        for source in SOURCES:  # a jump shows with the next record
            self.produce(source, 0, 1)
        for _ in range(40):
            _run(alone, lambda: False, 60)
            if self._decided() == self.produced:
                break
            for source in SOURCES:
                alone.fetch(source, 10)
        self.every_record_counts_once_and_in_order()
        assert self._decided() == self.produced, "something is undecided"

    def _decided(self) -> int:
        return sum(len(self.broker.decided(task)) for task in TASKS)


def _let_go(worker: Worker, patience: int) -> bool:
    _run(worker, lambda: worker.protocol.quiet, patience)
    return worker.protocol.quiet


def _run(worker: Worker, until: Callable[[], bool], steps: int = 400) -> None:
    for number in range(steps):
        if until() or not worker.step(number):
            return
