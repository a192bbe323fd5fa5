"""Cancels of an order that is known: whole, partial, repeated, in conflict, too early."""

from __future__ import annotations

import pytest

from streams.ledger.commands import Cancel, Lines
from tests.streams.ledger.orders.support import (
    PROMOTION,
    WHOLE,
    Bench,
    asked,
    cancels,
    dead_letters,
    offset_of,
    only_outcome,
    outcomes,
    plain,
    refusals,
)

TWO = (("SKU-1", 5), ("SKU-2", 1))


def test_a_whole_cancel_gives_back_what_was_taken() -> None:
    bench = Bench()
    bench.accepted(TWO)
    commands = asked(bench.cancel())
    assert all(isinstance(command, Cancel) for command in commands)
    assert [plain(command) for command in commands] == [
        (PROMOTION, "SKU-1", 5, "ORD-1", 1, False),
        (PROMOTION, "SKU-2", 1, "ORD-1", 1, False),
    ]
    assert bench.given_back("SKU-2", 1) == []
    (send,) = bench.given_back("SKU-1", 5)
    assert send.value == (
        b'{"orderRef":"ORD-1","promotionId":"FLASH-1","outcome":"CANCELLED","consumeResults":['
        b'{"sku":"SKU-1","quantity":5,"consumed":true},{"sku":"SKU-2","quantity":1,"consumed":true}],'
        b'"decidedAt":"2023-11-14T22:13:20.000Z","revision":2,"cancelResults":['
        b'{"sku":"SKU-1","quantity":5,"cancelled":true},{"sku":"SKU-2","quantity":1,"cancelled":true}]}'
    )
    assert dict(send.headers or [])["source-topic"] == b"order-cancelled"
    assert send.key == b"ORD-1"


def test_a_partial_cancel_leaves_the_rest_and_carries_its_reference() -> None:
    bench = Bench()
    bench.accepted(TWO)
    (command,) = asked(bench.cancel((("SKU-1", 2),), "RMA-7"))
    assert isinstance(command, Cancel)
    assert (command.sku, command.quantity) == ("SKU-1", 2)
    outcome = only_outcome(bench.given_back("SKU-1", 2))
    assert (outcome["outcome"], outcome["revision"], outcome["cancellationRef"]) == ("PARTIAL", 2, "RMA-7")
    assert cancels(outcome) == [("SKU-1", 2, "")]
    assert [line["quantity"] for line in outcome["consumeResults"]] == [5, 1]


def test_the_last_of_several_partial_cancels_makes_it_cancelled() -> None:
    bench = Bench()
    bench.accepted((("SKU-1", 5),))
    bench.cancel((("SKU-1", 2),), "RMA-1")
    assert only_outcome(bench.given_back("SKU-1", 2, 1))["outcome"] == "PARTIAL"
    bench.cancel((("SKU-1", 3),), "RMA-2")
    outcome = only_outcome(bench.given_back("SKU-1", 3, 2))
    assert (outcome["outcome"], outcome["revision"]) == ("CANCELLED", 3)


def test_a_whole_cancel_after_a_partial_one_gives_back_the_rest() -> None:
    bench = Bench()
    bench.accepted(TWO)
    bench.cancel((("SKU-2", 1), ("SKU-1", 2)))
    bench.given_back("SKU-1", 2)
    bench.given_back("SKU-2", 1)
    (command,) = asked(bench.cancel())
    assert isinstance(command, Cancel)
    assert (command.sku, command.quantity, command.operation) == ("SKU-1", 3, 2)
    outcome = only_outcome(bench.given_back("SKU-1", 3, 2))
    assert outcome["outcome"] == "CANCELLED"
    assert cancels(outcome) == [("SKU-1", 3, ""), ("SKU-2", 1, "CANCELLED")]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ((("SKU-9", 1),), [("SKU-9", 1, "NO_ORDER")]),
        ((("SKU-2", 1),), [("SKU-2", 1, "NO_ORDER")]),
        ((("SKU-1", 6),), [("SKU-1", 6, "NO_ORDER")]),
        ((("SKU-9", 1), ("SKU-1", 6)), [("SKU-9", 1, "NO_ORDER"), ("SKU-1", 6, "NO_ORDER")]),
    ],
    ids=["not in the order", "never taken", "more than was taken", "two lines"],
)
def test_units_that_the_order_never_took_are_not_asked_back(
    lines: tuple[tuple[str, int], ...], expected: list[tuple[str, int, str]]
) -> None:
    bench = Bench()
    bench.place(TWO)
    bench.decided("SKU-1", 5)
    bench.decided("SKU-2", 1, "EXHAUSTED")
    outcome = only_outcome(bench.cancel(lines))
    assert (outcome["outcome"], outcome["revision"]) == ("PARTIAL", 2)
    assert cancels(outcome) == expected


def test_units_that_were_cancelled_before_are_not_asked_back_again() -> None:
    bench = Bench()
    bench.accepted(TWO)
    bench.cancel((("SKU-1", 4),), "RMA-1")
    bench.given_back("SKU-1", 4)
    outcome = only_outcome(bench.cancel((("SKU-1", 2),), "RMA-2"))
    assert cancels(outcome) == [("SKU-1", 2, "CANCELLED")]
    assert outcome["outcome"] == "PARTIAL"
    mixed = bench.cancel((("SKU-1", 4), ("SKU-2", 1)), "RMA-3")
    assert [command.sku for command in asked(mixed) if isinstance(command, Cancel)] == ["SKU-2"]
    outcome = only_outcome(bench.given_back("SKU-2", 1, 2))
    assert cancels(outcome) == [("SKU-1", 4, "CANCELLED"), ("SKU-2", 1, "")]


def test_a_cancel_of_a_rejected_order_finds_nothing_to_give_back() -> None:
    bench = Bench()
    bench.place((("SKU-1", 5),))
    bench.decided("SKU-1", 5, "EXHAUSTED")
    outcome = only_outcome(bench.cancel())
    assert (outcome["outcome"], outcome["revision"]) == ("CANCELLED", 2)
    assert cancels(outcome) == [("SKU-1", 5, "NO_ORDER")]
    assert refusals(outcome) == [("SKU-1", 5, "EXHAUSTED")]


def test_a_line_that_was_given_back_by_a_compensation_can_not_be_cancelled_again() -> None:
    bench = Bench(WHOLE)
    bench.place(TWO)
    bench.decided("SKU-1", 5)
    bench.decided("SKU-2", 1, "EXHAUSTED")
    bench.given_back("SKU-1", 5)
    sends = bench.cancel((("SKU-1", 5),))
    assert asked(sends) == []
    assert cancels(only_outcome(sends)) == [("SKU-1", 5, "NO_ORDER")]


def test_a_cancel_repeated_is_answered_with_the_newest_record_and_gives_nothing_back() -> None:
    bench = Bench()
    bench.accepted(TWO)
    bench.cancel((("SKU-1", 2),), "RMA-1")
    bench.given_back("SKU-1", 2)
    bench.cancel((("SKU-2", 1),))
    newest = bench.given_back("SKU-2", 1, 2)[0]
    repeats = bench.cancel((("SKU-1", 2),), "RMA-1") + bench.cancel((("SKU-2", 1),)) + bench.place(TWO)
    assert [offset_of(send) for send in repeats] == [4, 5, 6]
    assert {send.value for send in repeats} == {newest.value}


def test_the_order_of_a_cancels_lines_does_not_make_it_another_cancel() -> None:
    bench = Bench()
    bench.accepted(TWO)
    bench.cancel((("SKU-1", 1), ("SKU-2", 1)))
    bench.given_back("SKU-1", 1)
    bench.given_back("SKU-2", 1)
    assert only_outcome(bench.cancel((("SKU-2", 1), ("SKU-1", 1))))["revision"] == 2


def test_a_reference_or_other_content_makes_it_another_cancel() -> None:
    bench = Bench()
    bench.accepted(TWO)
    for operation, (quantity, ref) in enumerate([(1, ""), (1, "RMA-1"), (1, "RMA-2"), (2, "")], start=1):
        assert len(asked(bench.cancel((("SKU-1", quantity),), ref))) == 1
        assert only_outcome(bench.given_back("SKU-1", quantity, operation))["revision"] == operation + 1


@pytest.mark.parametrize("answered_first", [True, False])
def test_the_same_cancellation_ref_with_other_content_is_a_conflict(answered_first: bool) -> None:
    bench = Bench()
    bench.accepted(TWO)
    bench.cancel((("SKU-1", 2),), "RMA-1")
    if answered_first:
        bench.given_back("SKU-1", 2)
    sends = bench.cancel((("SKU-1", 3),), "RMA-1")
    (letter,) = dead_letters(sends)
    assert len(sends) == 1
    headers = dict(letter.headers or [])
    assert (letter.value, letter.key) == (b"cancel 3", b"key-3")
    assert (headers["reason"], headers["source-topic"]) == (b"CONFLICT", b"order-cancelled")
    assert b"RMA-1" in headers["error"]
    assert b"ORD-1" in headers["error"]


def test_cancels_and_repeats_while_undecided_are_answered_after_it_in_log_order() -> None:
    bench = Bench()
    bench.place(TWO)
    assert bench.cancel((("SKU-1", 2),), "RMA-1") == []
    assert bench.place(TWO) == []
    assert bench.cancel() == []
    assert bench.cancel((("SKU-1", 2),), "RMA-1") == []
    assert len(dead_letters(bench.cancel((("SKU-1", 1),), "RMA-1"))) == 1
    bench.decided("SKU-1", 5)
    first = bench.decided("SKU-2", 1)
    assert [offset_of(send) for send in first if send.headers] == [1]
    assert [plain(command)[1:3] for command in asked(first)] == [("SKU-1", 2)]
    second = bench.given_back("SKU-1", 2, 1)
    assert [offset_of(send) for send in second if send.headers] == [2, 3]
    asked_back = [command for command in asked(second) if isinstance(command, Cancel)]
    assert [plain(command)[1:3] for command in asked_back] == [("SKU-1", 3), ("SKU-2", 1)]
    bench.given_back("SKU-1", 3, 2)
    third = bench.given_back("SKU-2", 1, 2)
    assert [offset_of(send) for send in third] == [4, 5]
    assert [outcome["revision"] for outcome in outcomes(first + second + third)] == [1, 2, 2, 3, 3]


def test_an_answer_to_an_earlier_operation_or_another_sku_does_not_count() -> None:
    bench = Bench()
    bench.accepted(TWO)
    bench.cancel((("SKU-1", 1),), "RMA-1")
    bench.given_back("SKU-1", 1, 1)
    bench.cancel((("SKU-1", 2), ("SKU-9", 1)), "RMA-2")
    assert bench.given_back("SKU-1", 1, 1) == []
    assert bench.given_back("SKU-2", 1, 2) == []
    assert bench.given_back("SKU-9", 1, 2) == []
    assert cancels(only_outcome(bench.given_back("SKU-1", 2, 2))) == [
        ("SKU-1", 2, ""),
        ("SKU-9", 1, "NO_ORDER"),
    ]
    assert bench.given_back("SKU-1", 2, 2) == []


def test_an_answer_that_comes_twice_counts_once() -> None:
    bench = Bench()
    bench.accepted(TWO)
    bench.cancel()
    assert bench.given_back("SKU-1", 5) == []
    assert bench.given_back("SKU-1", 5) == []
    assert cancels(only_outcome(bench.given_back("SKU-2", 1))) == [("SKU-1", 5, ""), ("SKU-2", 1, "")]


def test_what_the_ledger_does_not_hold_any_more_is_not_called_cancelled() -> None:
    bench = Bench()
    bench.accepted(TWO)
    bench.cancel()
    bench.given_back("SKU-1", 3)
    outcome = only_outcome(bench.given_back("SKU-2", 0))
    assert cancels(outcome) == [("SKU-1", 3, ""), ("SKU-1", 2, "CANCELLED"), ("SKU-2", 1, "CANCELLED")]


def test_many_waiting_cancels_of_a_long_order_stay_within_the_budget() -> None:
    bench = Bench()
    lines = tuple((f"SKU-{number}", 50) for number in range(500))
    bench.place(lines)
    for number in range(30):
        bench.cancel(tuple((f"GONE-{number}-{line}", 1) for line in range(500)), f"RMA-{number}")
    sends = [send for sku, quantity in lines for send in bench.decided(sku, quantity)] + bench.settle()
    assert [outcome["revision"] for outcome in outcomes(sends)] == list(range(1, 32))


@pytest.mark.parametrize("first", [(), (("SKU-0", 1),)])
def test_what_a_long_order_keeps_counts_for_the_budget_of_what_waits_for_it(first: Lines) -> None:
    """Each of these cancels has 500 lines to keep, as has the outcome or the first cancel before them."""
    bench = Bench()
    lines = tuple((f"SKU-{number}", 50) for number in range(500))
    bench.place(lines)
    for sku, quantity in lines[1:]:
        bench.decided(sku, quantity)
    bench.tick(bench.terms.settle_delay_ms)
    if first:
        bench.decided("SKU-0", 50)
        bench.cancel(first)
    for number in range(8):
        bench.cancel(((f"GONE-{number}", 1),), f"RMA-{number}")
    sends = bench.given_back("SKU-0", 1) if first else bench.decided("SKU-0", 50)
    assert len(outcomes(sends + bench.settle())) == 9
