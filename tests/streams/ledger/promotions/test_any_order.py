"""Whatever the order of starts, repeats, conflicts, ends, answers, ticks and crashes, the promises hold."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from streams.ledger.commands import Tick
from streams.ledger.promotions import publishing, reports, ticks
from tests.streams.ledger.promotions.audit import audit
from tests.streams.ledger.promotions.stage import NOON_MS, end_of, start_of
from tests.streams.ledger.promotions.world import World

PROMOTIONS = ["P", "P1", "Q"]
SEVEN = tuple((f"SKU-{number}", number + 1) for number in (3, 1, 0, 6, 5, 2, 4))
CONTENTS = (SEVEN, tuple(reversed(SEVEN)), SEVEN[:2])

promotions = st.sampled_from(PROMOTIONS)
seeds = st.integers(0, 2**32)


class AnyOrder(RuleBasedStateMachine):
    """The limits are lowered, so that seven SKUs take as many pages as ten thousand do."""

    def __init__(self) -> None:
        super().__init__()
        self.limits = pytest.MonkeyPatch()
        self.limits.setattr(publishing, "PAGE_LINES", 4)
        self.limits.setattr(reports, "PAGE_LINES", 3)
        self.limits.setattr(publishing, "MAX_EFFECTS", 18)
        self.limits.setattr(ticks, "MAX_EFFECTS", 10)
        self.world = World()
        self.offset = 0

    @rule(promotion=promotions, content=st.sampled_from([0, 0, 0, 1, 2]))
    def start(self, promotion: str, content: int) -> None:
        self.offset += 1
        self.world.log.append(start_of(CONTENTS[content], promotion=promotion, offset=self.offset))

    @rule(promotion=promotions, after_ms=st.sampled_from([-1, 0, 60_000, 3_600_000]))
    def end(self, promotion: str, after_ms: int) -> None:
        """Placed before the start, with it or after it, whichever of the two is decided first."""
        self.offset += 1
        end = end_of(promotion=promotion, offset=self.offset, placed_at_ms=NOON_MS + after_ms)
        self.world.log.append(end)

    @rule(count=st.integers(1, 10))
    def decide(self, count: int) -> None:
        for _ in range(count):
            self.world.log.decide_next()

    @rule()
    def commit(self) -> None:
        self.world.commit()

    @rule()
    def crash(self) -> None:
        self.world.log.crash()

    @precondition(lambda self: self.world.ledgers.reservations)
    @rule(seed=seeds, count=st.integers(1, 12))
    def ledgers_move(self, seed: int, count: int) -> None:
        dice = random.Random(seed)
        reservations = list(self.world.ledgers.reservations.values())
        news = [self.world.ledgers.act(dice.choice(reservations), dice) for _ in range(count)]
        mixed = [command for commands in news for command in commands]
        dice.shuffle(mixed)
        self.world.log.append(*mixed)

    @precondition(lambda self: any(one.sent for one in self.world.ledgers.reservations.values()))
    @rule(seed=seeds)
    def old_figures_come_again(self, seed: int) -> None:
        sent = [figures for one in self.world.ledgers.reservations.values() for figures in one.sent]
        self.world.log.append(random.Random(seed).choice(sent))

    @rule(
        after_ms=st.sampled_from([0, 1_000, 5_000, 60_000]),
        ticks=st.integers(0, 2),
        behind_ms=st.sampled_from([0, 0, 3_000, 2**40]),
    )
    def time_goes_on(self, after_ms: int, ticks: int, behind_ms: int) -> None:
        self.world.log.clock_ms += after_ms
        self.world.log.append(*[Tick(max(0, self.world.log.clock_ms - behind_ms))] * ticks)

    @rule()
    def the_next_deadline_comes(self) -> None:
        self.world.tick()

    @invariant()
    def the_committed_log_decided_again_gives_the_committed_rows(self) -> None:
        if self.offset % 5 == 0:
            assert self.world.log.replayed() == self.world.log.stage.store.rows

    def teardown(self) -> None:
        try:
            self.world.finish(random.Random(self.offset))
            audit(self.world.log, self.world.ledgers, PROMOTIONS)
            assert self.world.log.replayed() == self.world.log.stage.store.rows
        finally:
            self.limits.undo()


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(
    max_examples=150,
    stateful_step_count=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
