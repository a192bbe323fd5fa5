"""An order that was forgotten here, and comes again: the ledger knows what was decided about it."""

from __future__ import annotations

from streams.ledger.commands import Keep, LineDecided
from streams.ledger.effects import Send
from tests.streams.ledger.orders.support import (
    PROMOTION,
    TERMS,
    WHOLE,
    Bench,
    asked,
    cancels,
    only_outcome,
    plain,
    refusals,
    taken,
)

TWO = (("SKU-1", 2), ("SKU-2", 1))


def known(bench: Bench, sku: str, quantity: int, reason: str = "", cancelled: int = 0) -> list[Send]:
    """The ledger answers from its record of a line."""
    return bench.feed(LineDecided(PROMOTION, "ORD-1", sku, quantity, reason, cancelled, again=True))


def test_another_order_under_a_forgotten_ref_takes_nothing_from_it() -> None:
    """Seed 6112: an order of 1 and 1 was accepted. Long after that one of 2 and 1 came under its ref and was
    refused for the first line; the second one's unit was given back, and sold again."""
    bench = Bench(WHOLE)
    bench.place(TWO)
    known(bench, "SKU-1", 1)
    sends = known(bench, "SKU-2", 1)
    assert asked(sends) == []
    outcome = only_outcome(sends)
    assert outcome["outcome"] == "REJECTED"
    assert refusals(outcome) == [("SKU-1", 2, "CONFLICT"), ("SKU-2", 1, "CONFLICT")]
    outcome = only_outcome(bench.cancel())
    assert cancels(outcome) == [("SKU-1", 2, "NO_ORDER"), ("SKU-2", 1, "NO_ORDER")]


def test_a_line_of_another_quantity_that_was_refused_is_refused_for_that_reason() -> None:
    bench = Bench()
    bench.place(TWO)
    known(bench, "SKU-1", 5, "EXHAUSTED")
    assert refusals(only_outcome(known(bench, "SKU-2", 1))) == [("SKU-1", 2, "EXHAUSTED")]


def test_what_another_order_under_a_forgotten_ref_has_just_taken_is_given_back() -> None:
    bench = Bench(WHOLE)
    bench.place((*TWO, ("SKU-3", 4)))
    known(bench, "SKU-1", 1)
    known(bench, "SKU-2", 1)
    sends = bench.decided("SKU-3", 4)
    assert [plain(command)[1:3] for command in asked(sends)] == [("SKU-3", 4)]
    outcome = only_outcome(bench.given_back("SKU-3", 4))
    assert [reason for _, _, reason in refusals(outcome)] == ["CONFLICT", "CONFLICT", "INCOMPLETE_ORDER"]


def test_a_forgotten_order_that_comes_again_is_what_it_was() -> None:
    bench = Bench(WHOLE)
    bench.place(TWO)
    known(bench, "SKU-1", 2, "EXHAUSTED")
    sends = known(bench, "SKU-2", 1, "INCOMPLETE_ORDER")
    assert asked(sends) == []
    assert [reason for _, _, reason in refusals(only_outcome(sends))] == ["EXHAUSTED", "INCOMPLETE_ORDER"]


def test_lines_of_two_forgotten_orders_are_no_order_with_a_part() -> None:
    """An order of the second line was accepted, one of both was refused; that one comes once more."""
    bench = Bench(WHOLE)
    bench.place(TWO)
    known(bench, "SKU-1", 2, "EXHAUSTED")
    sends = known(bench, "SKU-2", 1)
    assert asked(sends) == []
    assert [reason for _, _, reason in refusals(only_outcome(sends))] == ["EXHAUSTED", "CONFLICT"]


def test_a_conflict_makes_an_order_incomplete_even_where_cancels_have_left_nothing_of_the_line() -> None:
    bench = Bench(WHOLE)
    bench.cancel((("SKU-1", 2),))
    bench.tick(TERMS.claim_grace_ms)
    bench.forgets_nothing = True
    bench.place(TWO)
    known(bench, "SKU-1", 1)
    outcome = only_outcome(known(bench, "SKU-2", 1))
    assert (outcome["outcome"], outcome["revision"]) == ("REJECTED", 2)
    assert [reason for _, _, reason in refusals(outcome)] == ["CANCELLED", "CONFLICT"]


def test_a_cancel_that_was_answered_no_order_takes_nothing_from_a_forgotten_order() -> None:
    """Seed 6273: the order had 2 of the first SKU, of which the cancel withheld one. The ledger's 2 passed
    for another order's, and the second line was given back though the order had been accepted with it."""
    bench = Bench(WHOLE)
    bench.cancel((("SKU-1", 1),))
    bench.tick(TERMS.claim_grace_ms)
    bench.place(TWO)
    known(bench, "SKU-1", 2)
    outcome = only_outcome(known(bench, "SKU-2", 1))
    assert outcome["consumeResults"] == [taken("SKU-1", 2), taken("SKU-2", 1)]


def test_what_cancels_withheld_from_an_order_is_withheld_when_it_is_forgotten_and_comes_again() -> None:
    """Seed 6780: the line of which nothing was left was claimed anew."""
    bench = Bench(WHOLE)
    bench.place(TWO)
    known(bench, "SKU-1", 2, cancelled=2)
    outcome = only_outcome(known(bench, "SKU-2", 1))
    assert refusals(outcome) == [("SKU-1", 2, "CANCELLED")]
    assert outcome["consumeResults"][1] == taken("SKU-2", 1)


def test_nobody_renews_the_settle_delay_of_units_that_a_forgotten_order_has_had_for_long() -> None:
    """Their hold in Fluent would grow again by what the shop has booked. They are only remembered."""
    bench = Bench(TERMS)
    bench.place(TWO)
    known(bench, "SKU-1", 2)
    sends = bench.tick(TERMS.settle_delay_ms)
    keeps = [command for command in asked(sends) if isinstance(command, Keep)]
    assert [(keep.sku, keep.unripe) for keep in keeps] == [("SKU-1", False)]
