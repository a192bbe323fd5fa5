"""Which reason is told where several hold at once: the first in the order of docs/outcomes.md.

That order is `schemas.reasons.Reason`'s.

Each fact is brought about by what brings it about in a sale; every pair of facts that can hold at once is.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import pytest

from schemas.reasons import Reason
from streams.ledger import commands as c
from streams.ledger.terms import Source
from tests.streams.ledger.orders.support import Bench, cancels, only_outcome, refusals
from tests.streams.ledger.promotions.stage import (
    Stage,
    dead_letters,
    end_before_the_start,
    refused,
    sku_results,
    start_of,
)
from tests.streams.ledger.reservations.stage import HOUR_MS, IDS, NOON_MS, TERMS, Ledger, of

Fact = Callable[[Ledger], None]
PRECEDENCE = list(Reason)
HELD = 3


def first(*reasons: Reason) -> str:
    """The one that is to be told."""
    return min(reasons, key=PRECEDENCE.index).value


class Line:
    """A claim of an order's line, placed within the sale, for units that are there."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.quantity = 1
        self.placed_at_ms = NOON_MS + 1_000
        self.held = True
        self.overdue = False
        self.ended_at_ms = 0

    def conflict(self) -> None:
        """The ledger knows another claim under this order's ref, which the orders stage has forgotten."""
        self.quantity = HELD - 1

    def no_reservation(self) -> None:
        """Fluent could not hold the units."""
        self.held = False

    def ended(self) -> None:
        """The promotion was ended before the order was placed."""
        self.ended_at_ms = self.placed_at_ms - 1

    def expired(self) -> None:
        """The order was placed after the expiry."""
        self.placed_at_ms = NOON_MS + HOUR_MS + 1
        if self.ended_at_ms:
            self.ended_at_ms = NOON_MS + HOUR_MS

    def fluent_unavailable(self) -> None:
        """Fluent has not answered about the hold within its time-out."""
        self.overdue = True

    def exhausted(self) -> None:
        """Fewer units are left."""
        self.quantity = HELD + 1

    def told(self, *, known: bool) -> str:
        """The reason that the order is told."""
        ledger = self.ledger
        ledger.reserve(HELD, expires_in_ms=HOUR_MS)
        if self.overdue:
            ledger.after(TERMS.hold_timeout_ms)
        elif self.held:
            ledger.do(c.HoldConfirmed(*IDS, 1, HELD))
        else:
            ledger.do(c.HoldFailed(*IDS, 1, "INSUFFICIENT_INVENTORY", "Fluent has none."))
        if known:
            ledger.claim("O-1", 1, placed_at_ms=NOON_MS)
        if self.ended_at_ms:
            ledger.do(c.End(*IDS, self.ended_at_ms))
        source = Source("order-placed", 0, 1)
        event = c.Claim(*IDS, self.quantity, "O-1", self.placed_at_ms, 5_000, HOUR_MS, source)
        [outcome] = of(dict, ledger.do(event))
        [result] = outcome["consumeResults"]
        return str(result.get("reason", ""))


FACTS: dict[Reason, Callable[[Line], None]] = {
    Reason.CONFLICT: Line.conflict,
    Reason.NO_RESERVATION: Line.no_reservation,
    Reason.ENDED: Line.ended,
    Reason.EXPIRED: Line.expired,
    Reason.FLUENT_UNAVAILABLE: Line.fluent_unavailable,
    Reason.EXHAUSTED: Line.exhausted,
}
NEVER_TOGETHER = [
    {Reason.NO_RESERVATION, Reason.FLUENT_UNAVAILABLE},
    {Reason.NO_RESERVATION, Reason.EXHAUSTED},
    {Reason.FLUENT_UNAVAILABLE, Reason.EXHAUSTED},
]
"""A hold is refused, unanswered or confirmed, and only where it is confirmed can its units run out."""

PAIRS = [pair for pair in combinations(FACTS, 2) if set(pair) not in NEVER_TOGETHER]


@pytest.mark.parametrize("fact", FACTS)
def test_a_line_is_told_the_one_reason_that_holds(fact: Reason) -> None:
    line = Line()
    FACTS[fact](line)
    assert line.told(known=fact is Reason.CONFLICT) == fact


@pytest.mark.parametrize("pair", PAIRS, ids=" and ".join)
def test_of_two_reasons_that_hold_a_line_is_told_the_first_in_the_documented_order(
    pair: tuple[Reason, Reason],
) -> None:
    line = Line()
    for fact in pair:
        FACTS[fact](line)
    assert line.told(known=Reason.CONFLICT in pair) == first(*pair)


@pytest.mark.parametrize("ended_after_ms", [-60_000, 0, 60_000])
@pytest.mark.parametrize("end_comes_first", [True, False])
def test_of_end_and_expiry_the_deadline_that_came_first_is_told_whichever_was_decided_first(
    ended_after_ms: int, end_comes_first: bool
) -> None:
    """Where both came at the same moment it is the end, which stands first in the documented order."""
    ledger = Ledger()
    expires_at_ms = NOON_MS + HOUR_MS
    ended_at_ms = expires_at_ms + ended_after_ms
    early = ended_at_ms if end_comes_first else 0
    ledger.do(c.Reserve(*IDS, HELD, expires_at_ms, TERMS, b"", early))
    ledger.do(c.HoldConfirmed(*IDS, 1, HELD))
    if not end_comes_first:
        ledger.do(c.End(*IDS, ended_at_ms))
    [told] = ledger.claim("O-1", placed_at_ms=expires_at_ms + 120_000)
    ledger.after(2 * HOUR_MS)
    assert told.reason == ledger.row().cause == ("EXPIRED" if ended_after_ms > 0 else "ENDED")


def test_a_cause_that_was_told_is_not_overwritten_by_an_end_that_comes_later() -> None:
    """Seen: units that stay held until the end were EXPIRED before it and ENDED after it."""
    ledger = Ledger()
    ledger.open(HELD, expires_in_ms=HOUR_MS)
    ledger.after(2 * HOUR_MS)
    told = [ledger.claim("O-1", placed_at_ms=ledger.now_ms)]
    ledger.do(c.End(*IDS, ledger.now_ms))
    told.append(ledger.claim("O-2", placed_at_ms=ledger.now_ms))
    assert [answer.reason for (answer,) in told] == ["EXPIRED", "EXPIRED"]


@pytest.mark.parametrize("reason", ["ENDED", "EXHAUSTED", "NO_RESERVATION"])
def test_units_that_a_cancel_had_taken_out_are_cancelled_whatever_became_of_the_others(reason: str) -> None:
    bench = Bench()
    bench.cancel((("SKU-1", 2),))
    bench.tick(bench.terms.claim_grace_ms)
    bench.place((("SKU-1", 2), ("SKU-2", 1)))
    told = only_outcome(bench.decided("SKU-2", 1, reason))
    assert refusals(told) == [("SKU-1", 2, first(Reason.CANCELLED, Reason(reason))), ("SKU-2", 1, reason)]


def test_another_quantity_is_a_conflict_whatever_was_cancelled_of_the_first() -> None:
    ledger = Ledger()
    ledger.open(HELD)
    ledger.claim("O-1", 2)
    ledger.cancel("O-1")
    [outcome] = of(dict, ledger.do(c.Claim(*IDS, 3, "O-1", NOON_MS, 5_000, HOUR_MS, Source("t", 0, 1))))
    assert outcome["consumeResults"][0]["reason"] == first(Reason.CONFLICT, Reason.CANCELLED)


def test_a_cancel_of_more_than_is_left_and_more_than_ever_was_is_told_that_it_was_cancelled() -> None:
    bench = Bench()
    bench.accepted((("SKU-1", 2), ("SKU-2", 1)))
    bench.cancel((("SKU-1", 1),), "RMA-1")
    bench.given_back("SKU-1", 1)
    told = only_outcome(bench.cancel((("SKU-1", 5),), "RMA-2"))
    assert cancels(told) == [("SKU-1", 5, first(Reason.CANCELLED, Reason.NO_ORDER))]


def test_a_start_that_is_invalid_and_in_conflict_is_invalid() -> None:
    stage = Stage()
    stage.take(start_of())
    other = (("SKU-9", 1),)
    [(_, headers)] = dead_letters(stage.take(start_of(other, offset=1, expires_at_ms=NOON_MS - 1)))
    assert headers["reason"] == first(Reason.INVALID, Reason.CONFLICT)


def test_a_start_that_is_invalid_and_was_ended_is_invalid() -> None:
    stage = Stage()
    stage.take(end_before_the_start())
    [(_, headers)] = dead_letters(stage.take(start_of(expires_at_ms=NOON_MS - 1)))
    assert headers["reason"] == first(Reason.INVALID, Reason.ENDED)


@pytest.mark.parametrize("ended_at_ms", [NOON_MS - HOUR_MS, NOON_MS - HOUR_MS - 1])
def test_a_reserve_whose_end_and_expiry_are_over_is_told_what_came_first(ended_at_ms: int) -> None:
    ledger = Ledger()
    ledger.do(c.Tick(NOON_MS))
    out = ledger.do(c.Reserve(*IDS, HELD, NOON_MS - HOUR_MS, TERMS, b"", ended_at_ms))
    assert [answer.reason for answer in of(c.LineReserved, out)] == [first(Reason.ENDED, Reason.EXPIRED)]


def test_a_reserve_that_is_invalid_and_expired_is_invalid() -> None:
    ledger = Ledger()
    ledger.do(c.Tick(NOON_MS))
    out = ledger.do(c.Reserve(*IDS, 0, NOON_MS - HOUR_MS, TERMS))
    assert [answer.reason for answer in of(c.LineReserved, out)] == [first(Reason.INVALID, Reason.EXPIRED)]


def test_a_repeat_of_a_promotion_that_ended_is_answered_and_another_content_is_a_conflict() -> None:
    stage = Stage()
    stage.take(end_before_the_start(), start_of(), refused("SKU-1", "ENDED"), refused("SKU-2", "ENDED"))
    assert sku_results(stage.take(start_of(offset=1))) == []
    [(_, headers)] = dead_letters(stage.take(start_of((("SKU-9", 1),), offset=2)))
    assert headers["reason"] == first(Reason.CONFLICT, Reason.ENDED)
