"""Many deadlines that have come at once: all are acted on, and no command does more than one may."""

from __future__ import annotations

from streams.ledger.orders.pages import PAGE_KEYS
from streams.ledger.orders.ticks import MAX_DUE
from tests.streams.ledger.orders.support import HOUR_MS, TERMS, Bench, outcomes

GRACE_MS = TERMS.claim_grace_ms
MINUTE_MS = 60_000
LINE = (("SKU-1", 2),)


def accept_others(bench: Bench) -> None:
    """Ten pages of orders of which nothing is heard any more."""
    for number in range(10 * PAGE_KEYS):
        bench.accepted(LINE, f"OTHER-{number}")


def remembered(bench: Bench) -> int:
    """How many rows of orders and cancels there are."""
    return sum(key[:2] in (b"OO", b"OC") for key in bench.store.rows)


def test_cancels_of_hundreds_of_unknown_orders_are_answered_together_in_bounded_steps() -> None:
    """The bench looks at what each command does."""
    bench = Bench()
    refs = [f"ORD-{number:03}" for number in range(MAX_DUE)]
    for ref in refs:
        bench.cancel(LINE, ref=ref)
    assert [outcome["orderRef"] for outcome in outcomes(bench.tick(GRACE_MS))] == refs


def test_a_deadline_behind_hundreds_that_want_nothing_any_more_is_acted_on_by_the_same_tick() -> None:
    bench = Bench()
    for number in range(MAX_DUE):
        bench.cancel(LINE, ref=f"ORD-{number}")
        bench.place((("SKU-1", 2), ("SKU-2", 1)), ref=f"ORD-{number}")
    bench.now_ms += 1
    bench.cancel(LINE, ref="UNKNOWN")
    assert [outcome["orderRef"] for outcome in outcomes(bench.tick(GRACE_MS))] == ["UNKNOWN"]


def cancel_again_and_again(bench: Bench) -> None:
    """So often that a command cannot forget all of it, of units that the order does not have."""
    for number in range(4_500):
        bench.cancel((("SKU-9", 1),), f"RMA-{number}")


def test_an_order_with_very_many_cancels_on_the_last_of_many_pages_is_forgotten_in_bounded_steps() -> None:
    bench = Bench()
    accept_others(bench)
    bench.accepted(LINE)
    cancel_again_and_again(bench)
    bench.tick(HOUR_MS + MINUTE_MS)
    assert remembered(bench) == 0


def test_an_order_with_very_many_cancels_and_a_deadline_of_its_own_is_forgotten_in_bounded_steps() -> None:
    bench = Bench()
    bench.accepted(LINE)
    bench.now_ms += 5 * MINUTE_MS
    accept_others(bench)
    bench.now_ms += 25 * MINUTE_MS
    cancel_again_and_again(bench)
    bench.tick(31 * MINUTE_MS)
    assert remembered(bench) == 10 * PAGE_KEYS + 1 + 4_500
    bench.tick(HOUR_MS)
    assert remembered(bench) == 0
