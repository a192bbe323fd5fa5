"""Cancels that overtake their order: grace, NO_ORDER, and what the order may still take."""

from __future__ import annotations

from msgspec import structs

from schemas.topics import ORDER_OUTCOMES
from streams.ledger.commands import Cancel, Claim
from tests.streams.ledger.orders.support import (
    START_MS,
    TERMS,
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
    taken,
)

GRACE_MS = TERMS.claim_grace_ms


def claims(bench: Bench, lines: tuple[tuple[str, int], ...]) -> list[tuple[str, int]]:
    """(sku, units) of what the order takes when it comes; it asks for lines of which nothing is left, too."""
    commands = [command for command in asked(bench.place(lines)) if isinstance(command, Claim)]
    assert [(command.sku, command.quantity) for command in commands] == list(lines)
    units = [(command.sku, command.quantity - command.withheld) for command in commands]
    return [(sku, count) for sku, count in units if count]


def test_a_cancel_waits_for_its_order_for_the_grace() -> None:
    bench = Bench()
    assert bench.cancel((("SKU-1", 1),), "RMA-1") == []
    assert bench.deadline_ms() == START_MS + GRACE_MS
    assert bench.tick(GRACE_MS - 1) == []
    (send,) = bench.tick(1)
    assert send.value == (
        b'{"orderRef":"ORD-1","promotionId":"FLASH-1","outcome":"REJECTED","reason":"NO_ORDER",'
        b'"consumeResults":[],"decidedAt":"2023-11-14T22:13:25.000Z","revision":1,"cancelResults":['
        b'{"sku":"SKU-1","quantity":1,"cancelled":false,"reason":"NO_ORDER"}],"cancellationRef":"RMA-1"}'
    )
    assert offset_of(send) == 1
    assert bench.tick(1) == []


def test_an_order_that_comes_within_the_grace_is_decided_and_then_cancelled() -> None:
    bench = Bench()
    bench.cancel((("SKU-1", 1),))
    bench.now_ms += GRACE_MS
    assert claims(bench, (("SKU-1", 3),)) == [("SKU-1", 3)]
    assert bench.tick(1) == []
    sends = bench.decided("SKU-1", 3)
    assert only_outcome(sends)["revision"] == 1
    assert [plain(command)[1:3] for command in asked(sends) if isinstance(command, Cancel)] == [("SKU-1", 1)]
    assert only_outcome(bench.given_back("SKU-1", 1))["revision"] == 2


def test_the_repeat_of_an_orphan_cancel_gets_the_same_bytes() -> None:
    bench = Bench()
    bench.cancel()
    assert bench.cancel() == []
    sends = bench.tick(GRACE_MS)
    sends += bench.cancel()
    assert [offset_of(send) for send in sends] == [1, 2, 3]
    assert len({send.value for send in sends}) == 1


def test_an_orphan_cancels_ref_with_other_content_is_a_conflict() -> None:
    bench = Bench()
    bench.cancel((("SKU-1", 1),), "RMA-1")
    assert len(dead_letters(bench.cancel((("SKU-1", 2),), "RMA-1"))) == 1
    assert len(outcomes(bench.tick(GRACE_MS))) == 1


def test_each_cancel_of_an_unknown_order_has_its_own_grace() -> None:
    bench = Bench()
    bench.cancel((("SKU-1", 1),))
    bench.tick(1_000)
    bench.cancel((("SKU-1", 2),))
    assert [offset_of(send) for send in bench.tick(GRACE_MS - 1_000)] == [1]
    assert bench.deadline_ms() == START_MS + GRACE_MS + 1_000
    sends = bench.tick(1_000)
    assert [offset_of(send) for send in sends] == [2]
    assert only_outcome(sends)["revision"] == 2


def test_an_order_that_was_cancelled_whole_takes_nothing() -> None:
    bench = Bench()
    bench.cancel()
    bench.tick(GRACE_MS)
    sends = bench.place((("SKU-1", 2), ("SKU-2", 1)))
    assert [plain(command)[1:3] for command in asked(sends)] == [("SKU-1", 2), ("SKU-2", 1)]
    outcome = only_outcome(sends)
    assert (outcome["outcome"], outcome["revision"]) == ("REJECTED", 2)
    assert refusals(outcome) == [("SKU-1", 2, "CANCELLED"), ("SKU-2", 1, "CANCELLED")]


def test_units_cancelled_beforehand_are_not_taken_and_the_rest_is() -> None:
    bench = Bench()
    bench.cancel((("SKU-1", 2), ("SKU-2", 4)))
    bench.cancel((("SKU-1", 1),))
    bench.tick(GRACE_MS)
    assert claims(bench, (("SKU-1", 5), ("SKU-2", 3), ("SKU-3", 1))) == [("SKU-1", 2), ("SKU-3", 1)]
    bench.decided("SKU-1", 2)
    outcome = only_outcome(bench.decided("SKU-3", 1))
    assert outcome["outcome"] == "PARTIAL"
    assert outcome["consumeResults"][0] == taken("SKU-1", 2)
    assert refusals(outcome) == [("SKU-1", 3, "CANCELLED"), ("SKU-2", 3, "CANCELLED")]


def test_an_order_cut_beforehand_is_still_known_by_its_whole_content() -> None:
    bench = Bench()
    bench.cancel((("SKU-1", 2),))
    bench.tick(GRACE_MS)
    claims(bench, (("SKU-1", 5),))
    bench.decided("SKU-1", 3)
    assert len(outcomes(bench.place((("SKU-1", 5),)))) == 1
    assert len(dead_letters(bench.place((("SKU-1", 3),)))) == 1


def test_after_the_order_has_come_its_orphan_cancel_is_a_repeat() -> None:
    bench = Bench()
    bench.cancel((("SKU-1", 2),))
    bench.tick(GRACE_MS)
    claims(bench, (("SKU-1", 5),))
    bench.decided("SKU-1", 3)
    sends = bench.cancel((("SKU-1", 2),))
    assert asked(sends) == []
    assert only_outcome(sends)["revision"] == 2


def test_a_cancel_of_what_was_cut_beforehand_is_answered_cancelled() -> None:
    bench = Bench()
    bench.cancel((("SKU-1", 2), ("SKU-2", 1)), "RMA-1")
    bench.tick(GRACE_MS)
    claims(bench, (("SKU-1", 5), ("SKU-2", 1)))
    bench.decided("SKU-1", 3)
    outcome = only_outcome(bench.cancel((("SKU-1", 4), ("SKU-2", 1)), "RMA-2"))
    assert cancels(outcome) == [("SKU-1", 4, "CANCELLED"), ("SKU-2", 1, "CANCELLED")]
    bench.cancel()
    outcome = only_outcome(bench.given_back("SKU-1", 3))
    assert cancels(outcome) == [("SKU-1", 3, ""), ("SKU-2", 1, "CANCELLED")]


def test_what_the_customer_cancelled_does_not_make_an_order_incomplete() -> None:
    bench = Bench(WHOLE)
    bench.cancel((("SKU-2", 1),))
    bench.tick(GRACE_MS)
    assert claims(bench, (("SKU-1", 5), ("SKU-2", 1))) == [("SKU-1", 5)]
    outcome = only_outcome(bench.decided("SKU-1", 5))
    assert outcome["outcome"] == "PARTIAL"
    assert refusals(outcome) == [("SKU-2", 1, "CANCELLED")]


def test_a_compensation_of_an_order_cut_beforehand_gives_back_what_it_took() -> None:
    bench = Bench(WHOLE)
    bench.cancel((("SKU-1", 2),))
    bench.tick(GRACE_MS)
    claims(bench, (("SKU-1", 5), ("SKU-2", 1)))
    bench.decided("SKU-1", 3)
    assert [plain(command)[1:3] for command in asked(bench.decided("SKU-2", 1, "ENDED"))] == [("SKU-1", 3)]
    outcome = only_outcome(bench.given_back("SKU-1", 3))
    assert outcome["outcome"] == "REJECTED"
    assert refusals(outcome) == [
        ("SKU-1", 3, "INCOMPLETE_ORDER"),
        ("SKU-1", 2, "CANCELLED"),
        ("SKU-2", 1, "ENDED"),
    ]


def test_a_cancel_still_in_its_grace_waits_while_a_late_order_is_decided() -> None:
    bench = Bench()
    bench.cancel((("SKU-1", 1),), "RMA-1")
    bench.tick(GRACE_MS)
    bench.cancel((("SKU-1", 2),), "RMA-2")
    bench.cancel((("SKU-1", 1),), "RMA-1")
    assert claims(bench, (("SKU-1", 5),)) == [("SKU-1", 4)]
    sends = bench.decided("SKU-1", 4)
    assert only_outcome(sends)["revision"] == 2
    assert [plain(command)[1:3] for command in asked(sends)] == [("SKU-1", 2)]
    sends = bench.given_back("SKU-1", 2)
    assert [offset_of(send) for send in sends if send.topic == ORDER_OUTCOMES] == [2, 3]
    assert [outcome["revision"] for outcome in outcomes(sends)] == [3, 3]


def test_the_person_on_call_reads_about_a_cancel_without_an_order() -> None:
    bench = Bench()
    bench.cancel()
    bench.tick(GRACE_MS)
    (notice,) = bench.effects.notices
    assert notice.level == "warning"
    assert notice.fields["order"] == "ORD-1"
    assert notice.fields["reason"] == "NO_ORDER"
    assert notice.fields["recommendation"]


def test_an_order_that_cancels_came_before_is_remembered_as_long_as_its_own_terms_say() -> None:
    bench = Bench()
    bench.cancel((("SKU-1", 1),))
    bench.tick(GRACE_MS)
    bench.terms = structs.replace(TERMS, retention_ms=2 * TERMS.orders_kept_ms)
    claims(bench, (("SKU-1", 2), ("SKU-2", 1)))
    bench.decided("SKU-1", 1)
    first = bench.decided("SKU-2", 1)
    bench.tick(TERMS.orders_kept_ms + 120_000)
    sends = bench.place((("SKU-1", 2), ("SKU-2", 1)))
    assert asked(sends) == [] and [send.value for send in sends] == [send.value for send in first]
