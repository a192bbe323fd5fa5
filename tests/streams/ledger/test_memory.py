"""A claim is remembered for longer than its order, whatever prolongs the order's memory."""

from __future__ import annotations

import pytest

from streams.ledger.commands import Claim, Keep, LineCancelled, LineRecalled, Recall, Tick
from streams.ledger.effects import Send
from streams.ledger.orders.forgetting import MINUTE_MS
from streams.ledger.terms import Terms
from tests.streams.ledger.orders.support import PROMOTION, Bench, asked, cancels, outcomes
from tests.streams.ledger.reservations.stage import (
    HOUR_MS,
    IDS,
    SKU,
    TERMS,
    Ledger,
    cancelled,
    claim_of,
    decided,
    of,
)

BOTH = (("A", 2), ("B", 1))


def remembered(sends: list[Send]) -> list[str]:
    """SKUs of which the ledger hears that the order is remembered anew, and nothing else."""
    return [command.sku for command in asked(sends) if isinstance(command, Keep) and not command.unripe]


def test_a_cancel_prolongs_the_memory_of_the_claims_of_which_it_leaves_something() -> None:
    """Seen by reading: the order was remembered from its cancel on, the claim of its other SKU only from the
    close on, so that the next cancel was answered `cancelled: false` although the units were sold."""
    bench = Bench()
    bench.accepted(BOTH)
    bench.cancel((("A", 1),))
    assert remembered(bench.given_back("A", 1)) == ["A", "B"]


def test_a_cancel_that_is_refused_as_a_whole_prolongs_all_claims_of_its_order() -> None:
    bench = Bench()
    bench.accepted(BOTH)
    sends = bench.cancel((("A", 3), ("C", 1)))
    assert cancels(outcomes(sends)[-1]) == [("A", 3, "NO_ORDER"), ("C", 1, "NO_ORDER")]
    assert remembered(sends) == ["A", "B"]


def test_a_claim_of_which_nothing_is_left_needs_no_memory() -> None:
    bench = Bench()
    bench.accepted(BOTH)
    bench.cancel((("B", 1),), "RMA-1")
    bench.given_back("B", 1)
    bench.cancel((("A", 1),), "RMA-2")
    assert remembered(bench.given_back("A", 1, operation=2)) == ["A"]


@pytest.mark.parametrize("unripe", [False, True])
def test_what_an_order_keeps_is_kept_as_long_as_the_order(unripe: bool) -> None:
    ledger = Ledger()
    ledger.open(5)
    ledger.claim("A", 5)
    ledger.close()
    ledger.verify()
    ledger.after(TERMS.claims_kept_ms - HOUR_MS)
    assert ledger.do(Keep(*IDS, "A", unripe)) == []
    ledger.after(TERMS.claims_kept_ms - HOUR_MS)
    assert cancelled("A", 3) in ledger.cancel("A", 3)
    ledger.after(TERMS.claims_kept_ms + HOUR_MS)
    assert ledger.claim_row("A") is None


def test_a_recalled_claim_is_kept_as_long_as_its_order() -> None:
    ledger = Ledger()
    ledger.open(5)
    ledger.claim("A", 5)
    ledger.close()
    ledger.verify()
    ledger.after(TERMS.claims_kept_ms - HOUR_MS)
    ledger.do(Recall(*IDS, "A"))
    ledger.after(TERMS.claims_kept_ms - HOUR_MS)
    assert cancelled("A", 3) in ledger.cancel("A", 3)
    ledger.after(TERMS.claims_kept_ms + HOUR_MS)
    assert ledger.claim_row("A") is None


def test_a_reservation_is_never_forgotten_whatever_was_claimed_before_its_start_and_after_its_close() -> None:
    """Else the same promotion could begin again, and its units be sold a second time."""
    ledger = Ledger()
    ledger.claim("EARLY")
    ledger.after(TERMS.claim_grace_ms)
    ledger.open(5)
    ledger.close()
    ledger.verify()
    ledger.after(TERMS.claims_kept_ms - HOUR_MS)
    ledger.claim("LATE")
    ledger.after(2 * TERMS.claims_kept_ms)
    assert ledger.claim_row("EARLY") is ledger.claim_row("LATE") is None
    assert ledger.row().state == "CLOSED"
    assert [answer.quantity for answer in ledger.reserve()] == [5]


def test_a_claim_whose_order_was_asked_about_again_and_again_is_forgotten_once() -> None:
    """It has two deadlines then, by the second of which it is gone already."""
    ledger = Ledger()
    ledger.claim("A", 5)
    ledger.after(TERMS.claim_grace_ms)
    ledger.open(5)
    ledger.close()
    ledger.verify()
    for _ in range(2):
        ledger.after(20 * HOUR_MS)
        ledger.do(Recall(*IDS, "A"))
    ledger.after(TERMS.claims_kept_ms - 30 * HOUR_MS)
    assert ledger.claim_row("A") is not None
    ledger.now_ms += 2 * TERMS.claims_kept_ms
    ledger.do(Tick(ledger.now_ms))
    assert ledger.claim_row("A") is None
    assert ledger.due_ms() is None


def test_claims_of_an_unknown_promotion_that_are_not_forgotten_yet_keep_its_figures() -> None:
    ledger = Ledger()
    ledger.claim("A", 2)
    ledger.after(HOUR_MS)
    ledger.claim("B", 3)
    ledger.after(24 * HOUR_MS)
    assert ledger.claim_row("A") is None
    assert (ledger.row().rejected_orders, ledger.row().rejected_units) == (2, 5)


def test_a_claim_that_waits_for_a_start_is_answered_although_an_earlier_one_is_forgotten_meanwhile() -> None:
    ledger = Ledger()
    ledger.do(claim_of("SHORT", grace_ms=0, retention_ms=HOUR_MS))
    ledger.after(1)
    ledger.do(claim_of("LONG", grace_ms=2 * HOUR_MS, retention_ms=HOUR_MS))
    ledger.after(HOUR_MS)
    assert ledger.claim_row("SHORT") is None
    assert ledger.after(HOUR_MS) == [decided("LONG", "NO_RESERVATION")]


@pytest.mark.parametrize("waits", [False, True])
def test_claims_are_kept_as_long_as_they_ask_for_although_their_start_asks_for_less(waits: bool) -> None:
    """Seen by reading: `claimRetentionHours` was raised after a start; its claims were forgotten by the
    start's terms, their orders remembered by the new ones."""
    ledger = Ledger()
    if waits:
        ledger.do(claim_of("A", 5, retention_ms=100 * HOUR_MS))
    ledger.open(5, terms=Terms(retention_ms=HOUR_MS))
    if not waits:
        ledger.do(claim_of("A", 5, retention_ms=100 * HOUR_MS))
    ledger.close()
    ledger.verify()
    ledger.after(99 * HOUR_MS)
    assert ledger.claim_row("A") is not None
    ledger.after(2 * HOUR_MS)
    assert ledger.claim_row("A") is None


def test_an_order_whose_claim_may_still_wait_is_remembered_however_short_the_retention() -> None:
    """Seen by reading: its repeat was a new order, whose claim the ledger then answered a second time."""
    bench = Bench()
    bench.terms = Terms(retention_ms=1_000)
    bench.answers_recalls = False
    bench.place((("A", 2),))
    bench.tick(bench.terms.hold_timeout_ms + bench.terms.claim_grace_ms)
    bench.tick(MINUTE_MS)
    assert [type(command) for command in asked(bench.place((("A", 2),)))] == [Recall]
    kept_ms = bench.terms.max_backlog_ms + MINUTE_MS
    assert bench.tick(kept_ms) == []
    bench.tick(kept_ms + bench.terms.hold_timeout_ms + bench.terms.claim_grace_ms)


def test_such_an_order_is_forgotten_once_its_claim_must_be_decided() -> None:
    bench = Bench()
    bench.terms = Terms(retention_ms=1_000)
    bench.accepted((("A", 2),))
    bench.tick(bench.terms.orders_kept_ms + MINUTE_MS)
    assert [type(command) for command in asked(bench.place((("A", 2),)))] == [Claim]


def test_an_order_is_remembered_while_its_claim_waits_in_a_backlog_for_a_start_and_then_for_fluent() -> None:
    """All three waits count, one after the other. Two changes to the sum that no test had noticed."""
    bench = Bench()
    bench.terms = Terms(
        retention_ms=1_000,
        max_backlog_ms=20 * MINUTE_MS,
        claim_grace_ms=5 * MINUTE_MS,
        hold_timeout_ms=7 * MINUTE_MS,
    )
    bench.answers_recalls = False
    bench.place((("A", 2),))
    bench.tick(32 * MINUTE_MS - 1)
    assert [type(command) for command in asked(bench.place((("A", 2),)))] == [Recall]


def test_a_repeat_that_is_decided_the_moment_before_its_order_is_forgotten_still_finds_the_claim() -> None:
    """The order is forgotten by the minute, and later by as long a backlog as is waited for. Two changes to
    `claims_kept_ms` that no test had noticed."""
    terms = Terms(retention_ms=3 * HOUR_MS, max_backlog_ms=2 * HOUR_MS)
    bench, ledger = Bench(terms), Ledger()
    bench.now_ms = ledger.now_ms
    bench.answers_recalls = False
    ledger.open(5, terms=terms)
    [claim] = asked(bench.place(((SKU, 2),)))
    ledger.do(claim)
    ledger.close()
    ledger.verify()
    known_ms = bench.now_ms + terms.orders_kept_ms + MINUTE_MS - 1
    bench.now_ms = known_ms + terms.max_backlog_ms
    bench.feed(Tick(known_ms - MINUTE_MS))
    [recall] = asked(bench.place(((SKU, 2),)))
    assert isinstance(recall, Recall)
    ledger.at(bench.now_ms)
    [answer] = of(LineRecalled, ledger.do(recall))
    assert (answer.promotion_id, answer.quantity, answer.reason) == (PROMOTION, 2, "")


@pytest.mark.parametrize("terms", [Terms(book_sale=True), Terms(settle_delay_ms=0), Terms()])
def test_a_claim_is_remembered_as_long_as_an_order_that_is_decided_hours_later(terms: Terms) -> None:
    """Seen by reading: another SKU's hold was asked for hours; meanwhile this one was closed, and its claims
    forgotten with it, hours before the order was. A cancel was then told that nothing was left."""
    bench, ledger = Bench(terms), Ledger()
    bench.now_ms = ledger.now_ms
    ledger.open(5, terms=terms)
    claim, _ = asked(bench.place(((SKU, 2), ("SKU-2", 1))))
    [taken] = ledger.do(claim)
    bench.feed(taken)
    ledger.close()
    ledger.verify()
    ledger.after(3 * HOUR_MS)
    bench.now_ms = ledger.now_ms
    for command in asked(bench.decided("SKU-2", 1)):
        if isinstance(command, Keep | Recall) and command.sku == SKU:
            ledger.do(command)
    assert len(outcomes(bench.sent)) == 1
    ledger.after(terms.orders_kept_ms)
    bench.tick(terms.orders_kept_ms)
    [cancel] = asked(bench.cancel(((SKU, 2),)))
    [given_back] = of(LineCancelled, ledger.do(cancel))
    assert given_back.quantity == 2
