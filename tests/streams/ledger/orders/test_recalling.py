"""Orders of one SKU are answered by the ledger; whoever asks again gets the same answer from this stage."""

from __future__ import annotations

import json

import pytest

from schemas.topics import ORDER_OUTCOMES
from streams.ledger.commands import Cancel, Claim, LineRecalled, Recall
from streams.ledger.effects import Send
from tests.streams.ledger.orders.support import (
    HOUR_MS,
    PROMOTION,
    Bench,
    asked,
    cancels,
    dead_letters,
    offset_of,
    only_outcome,
    outcomes,
    refusals,
    taken,
)

LINE = (("SKU-1", 2),)


def answers(sends: list[Send]) -> list[Send]:
    return [send for send in sends if send.topic == ORDER_OUTCOMES]


def test_an_order_of_one_sku_is_handed_to_the_ledger_with_the_event_that_it_answers() -> None:
    bench = Bench()
    (claim,) = asked(bench.place(LINE))
    assert isinstance(claim, Claim) and claim.source is not None
    assert (claim.source.topic, claim.source.offset) == ("order-placed", 1)


def test_a_repeat_after_the_decision_has_the_bytes_that_the_ledger_published() -> None:
    bench = Bench()
    bench.place(LINE)
    (first,) = bench.decided("SKU-1", 2)
    bench.now_ms += 60_000
    (again,) = answers(bench.place(LINE))
    assert again.value == first.value
    assert (offset_of(first), offset_of(again)) == (1, 2)


def test_the_ledger_is_asked_once_and_later_repeats_are_answered_at_once() -> None:
    bench = Bench()
    bench.accepted(LINE)
    bench.place(LINE)
    assert asked(bench.place(LINE)) == []
    assert sum(isinstance(command, Recall) for command in asked(bench.sent)) == 1


def test_a_repeat_of_a_refused_order_has_the_same_bytes() -> None:
    bench = Bench()
    bench.place(LINE)
    (first,) = bench.decided("SKU-1", 2, "EXHAUSTED")
    (again,) = answers(bench.place(LINE))
    assert again.value == first.value


def test_other_content_under_the_same_ref_is_a_conflict_whether_it_is_decided_or_not() -> None:
    bench = Bench()
    bench.place(LINE)
    assert len(dead_letters(bench.place((("SKU-1", 3),)))) == 1
    bench.decided("SKU-1", 2)
    assert len(dead_letters(bench.place((("SKU-2", 2),)))) == 1
    assert len(dead_letters(bench.place((("SKU-1", 2), ("SKU-2", 1))))) == 1
    assert not any(isinstance(command, Recall) for command in asked(bench.sent))


def test_a_cancel_after_the_decision_gives_the_units_back() -> None:
    bench = Bench()
    bench.accepted(LINE)
    sends = bench.cancel()
    (given,) = [command for command in asked(bench.sent) if isinstance(command, Cancel)]
    assert given.quantity == 2
    assert outcomes(sends) == []
    outcome = only_outcome(bench.given_back("SKU-1", 2))
    assert (outcome["outcome"], outcome["revision"]) == ("CANCELLED", 2)
    assert outcome["consumeResults"] == [taken("SKU-1", 2)]


def test_a_cancel_of_a_refused_order_finds_nothing_to_give_back() -> None:
    bench = Bench()
    bench.place(LINE)
    bench.decided("SKU-1", 2, "EXHAUSTED")
    outcome = only_outcome(bench.cancel())
    assert cancels(outcome) == [("SKU-1", 2, "NO_ORDER")]
    assert refusals(outcome) == [("SKU-1", 2, "EXHAUSTED")]


def test_what_comes_before_the_ledger_answers_the_recall_is_answered_in_log_order() -> None:
    bench = Bench()
    bench.answers_recalls = False
    bench.place(LINE)
    assert [type(command) for command in asked(bench.place(LINE))] == [Recall]
    assert bench.cancel() == []
    assert bench.place(LINE) == []
    told = bench.feed(LineRecalled(PROMOTION, "ORD-1", "SKU-1", 2, "", 0, bench.now_ms))
    assert [offset_of(send) for send in answers(told)] == [2]
    rest = answers(bench.given_back("SKU-1", 2))
    assert [offset_of(send) for send in rest] == [3, 4]
    assert rest[0].value == rest[1].value


def test_a_repeat_of_an_order_that_the_ledger_has_forgotten_is_a_new_order() -> None:
    bench = Bench()
    bench.accepted(LINE)
    bench.records.clear()
    bench.place(LINE)
    claims = [command for command in asked(bench.sent) if isinstance(command, Claim)]
    assert [(claim.quantity, claim.source is None) for claim in claims] == [(2, False), (2, True)]
    outcome = only_outcome(bench.decided("SKU-1", 2, "EXPIRED"))
    assert (refusals(outcome), outcome["revision"]) == ([("SKU-1", 2, "EXPIRED")], 1)


@pytest.mark.parametrize(("waited_ms", "left_ms"), [(1_000, 4_000), (60_000, 0)])
def test_a_forgotten_order_that_is_asked_for_anew_has_what_is_left_of_its_grace(
    waited_ms: int, left_ms: int
) -> None:
    bench = Bench()
    bench.accepted(LINE)
    bench.answers_recalls = False
    bench.place(LINE)
    bench.now_ms += waited_ms
    sends = bench.feed(LineRecalled(PROMOTION, "ORD-1", "SKU-1"))
    assert [claim.grace_ms for claim in asked(sends) if isinstance(claim, Claim)] == [left_ms]


@pytest.mark.parametrize("given_back", [4, 5])
def test_of_a_recalled_order_only_what_it_still_holds_can_be_cancelled(given_back: int) -> None:
    bench = Bench()
    bench.place((("SKU-1", 5),))
    bench.answers_recalls = False
    bench.cancel((("SKU-1", 2),))
    sends = bench.feed(LineRecalled(PROMOTION, "ORD-1", "SKU-1", 5, "", given_back, bench.now_ms))
    outcome = only_outcome(sends)
    assert [command for command in asked(sends) if isinstance(command, Cancel)] == []
    assert cancels(outcome) == [("SKU-1", 2, "CANCELLED")]
    assert refusals(outcome) == [("SKU-1", given_back, "CANCELLED")]


def test_an_order_under_a_ref_of_which_the_ledger_knows_another_quantity_is_refused_as_a_whole() -> None:
    bench = Bench()
    bench.place((("SKU-1", 5),))
    bench.answers_recalls = False
    bench.place((("SKU-1", 5),))
    sends = bench.feed(LineRecalled(PROMOTION, "ORD-1", "SKU-1", 3, "", 1, bench.now_ms))
    assert refusals(only_outcome(sends)) == [("SKU-1", 5, "CONFLICT")]


def test_a_cancel_of_an_order_that_the_ledger_has_forgotten_is_one_of_an_unknown_order() -> None:
    bench = Bench()
    bench.accepted(LINE)
    bench.records.clear()
    assert outcomes(bench.cancel()) == []
    outcome = only_outcome(bench.tick(5_000))
    assert (outcome["outcome"], outcome["reason"]) == ("REJECTED", "NO_ORDER")


def test_an_order_that_earlier_cancels_have_cut_is_collected_here() -> None:
    bench = Bench()
    bench.cancel((("SKU-1", 1),), "RMA-1")
    bench.tick(5_000)
    (claim,) = asked(bench.place(LINE))
    assert isinstance(claim, Claim)
    assert (claim.quantity, claim.withheld, claim.source) == (2, 1, None)


def test_units_that_were_given_back_before_a_forgotten_order_came_again_are_not_its_own() -> None:
    bench = Bench()
    bench.place((("SKU-1", 5), ("SKU-2", 1)))
    bench.feed_line("SKU-1", 5, cancelled=4)
    outcome = only_outcome(bench.decided("SKU-2", 1))
    assert (outcome["outcome"], refusals(outcome)) == ("PARTIAL", [("SKU-1", 4, "CANCELLED")])
    bench.cancel()
    given = [command for command in asked(bench.sent) if isinstance(command, Cancel)]
    assert [(command.sku, command.quantity) for command in given] == [("SKU-1", 1), ("SKU-2", 1)]


def test_an_order_of_one_sku_is_one_small_row_until_somebody_asks() -> None:
    bench = Bench()
    bench.accepted(LINE)
    (row,) = [value for key, value in bench.store.rows.items() if key.startswith(b"OO")]
    assert len(row) < 40
    bench.tick(HOUR_MS + 60_000)
    assert not any(key.startswith(b"OO") for key in bench.store.rows)


def test_the_headers_of_an_answer_are_those_of_its_own_event() -> None:
    bench = Bench()
    bench.accepted(LINE)
    (again,) = answers(bench.place(LINE))
    assert json.loads(again.value or b"")["orderRef"] == "ORD-1"
    assert offset_of(again) == 2


def test_a_repeated_cancel_is_never_taken_for_the_order() -> None:
    """Seen by reading: with the claim forgotten, the cancel's repeat was placed as an order of 1970."""
    bench = Bench()
    bench.answers_recalls = False
    bench.accepted(LINE)
    bench.cancel((("SKU-1", 1),), "RMA-1")
    bench.cancel((("SKU-1", 1),), "RMA-1")
    claims = sum(isinstance(command, Claim) for command in asked(bench.sent))
    bench.feed(LineRecalled(PROMOTION, "ORD-1", "SKU-1"))
    assert sum(isinstance(command, Claim) for command in asked(bench.sent)) == claims
