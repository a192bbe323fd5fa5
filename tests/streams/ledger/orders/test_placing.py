"""An order from its event to its outcome: claims, answers, repeats, conflicts, all-or-nothing."""

from __future__ import annotations

import pytest

from schemas.reasons import RECOMMENDATIONS, Reason
from streams.ledger.commands import Cancel, Claim, Continue, Tick
from streams.ledger.effects import Effects
from streams.ledger.orders import decide
from streams.ledger.rows import MemoryStore, Rows
from tests.streams.ledger.orders.support import (
    PROMOTION,
    START_MS,
    TERMS,
    WHOLE,
    Bench,
    asked,
    dead_letters,
    offset_of,
    only_outcome,
    outcomes,
    plain,
    refusals,
    taken,
)

TWO = (("SKU-1", 2), ("SKU-2", 1))


def test_a_new_order_claims_each_sku_with_its_time_and_terms() -> None:
    commands = asked(Bench().place(TWO))
    assert [type(command) for command in commands] == [Claim, Claim]
    assert [plain(command) for command in commands] == [
        (PROMOTION, "SKU-1", 2, "ORD-1", START_MS, TERMS.claim_grace_ms, TERMS.claims_kept_ms, None, 0),
        (PROMOTION, "SKU-2", 1, "ORD-1", START_MS, TERMS.claim_grace_ms, TERMS.claims_kept_ms, None, 0),
    ]


def test_the_outcome_comes_when_every_line_is_decided_in_the_order_of_the_event() -> None:
    bench = Bench()
    bench.place(TWO)
    assert bench.decided("SKU-2", 1) == []
    bench.now_ms += 7
    (send,) = bench.decided("SKU-1", 2)
    assert send.key == b"ORD-1"
    assert send.value == (
        b'{"orderRef":"ORD-1","promotionId":"FLASH-1","outcome":"ACCEPTED","consumeResults":['
        b'{"sku":"SKU-1","quantity":2,"consumed":true},{"sku":"SKU-2","quantity":1,"consumed":true}],'
        b'"decidedAt":"2023-11-14T22:13:20.007Z","revision":1}'
    )
    assert send.headers == [
        ("source-topic", b"order-placed"),
        ("source-partition", b"0"),
        ("source-offset", b"1"),
    ]
    assert bench.effects.outcomes == {"ACCEPTED": 1}


@pytest.mark.parametrize(
    ("first", "second", "outcome"),
    [
        ("", "", "ACCEPTED"),
        ("", "EXHAUSTED", "PARTIAL"),
        ("EXPIRED", "", "PARTIAL"),
        ("ENDED", "EXHAUSTED", "REJECTED"),
    ],
)
def test_an_order_is_accepted_partial_or_rejected(first: str, second: str, outcome: str) -> None:
    bench = Bench()
    bench.place(TWO)
    bench.decided("SKU-1", 2, first)
    decided = only_outcome(bench.decided("SKU-2", 1, second))
    assert decided["outcome"] == outcome
    consumed = [line["sku"] for line in decided["consumeResults"] if line["consumed"]]
    expected = [sku for sku, reason in (("SKU-1", first), ("SKU-2", second)) if not reason]
    assert consumed == expected


def test_a_refused_line_says_why_and_what_to_do() -> None:
    bench = Bench()
    bench.place((("SKU-1", 2),))
    (line,) = only_outcome(bench.decided("SKU-1", 2, "EXHAUSTED"))["consumeResults"]
    recommendation = RECOMMENDATIONS[Reason.EXHAUSTED]
    assert list(line.items()) == [
        ("sku", "SKU-1"),
        ("quantity", 2),
        ("consumed", False),
        ("reason", "EXHAUSTED"),
        ("recommendation", recommendation),
    ]


def test_a_repeat_gets_identical_bytes_under_its_own_headers() -> None:
    bench = Bench()
    bench.accepted(TWO)
    first = bench.sent[-1]
    bench.now_ms += 60_000
    (repeat,) = bench.place(tuple(reversed(TWO)))
    assert repeat.value == first.value
    assert repeat.key == first.key
    assert (offset_of(first), offset_of(repeat)) == (1, 2)


def test_a_repeat_before_the_decision_is_answered_after_it_in_log_order() -> None:
    bench = Bench()
    bench.place(TWO)
    assert bench.place(TWO) == []
    assert bench.place(TWO) == []
    bench.decided("SKU-1", 2)
    sends = bench.decided("SKU-2", 1, "EXHAUSTED")
    assert [offset_of(send) for send in sends] == [1, 2, 3]
    assert len({send.value for send in sends}) == 1


@pytest.mark.parametrize(
    "other",
    [(("SKU-1", 3), ("SKU-2", 1)), (("SKU-1", 2),), (("SKU-1", 2), ("SKU-3", 1)), (*TWO, ("SKU-3", 1))],
)
@pytest.mark.parametrize("decided_first", [True, False])
def test_the_same_ref_with_different_content_is_a_conflict_at_once(
    other: tuple[tuple[str, int], ...], decided_first: bool
) -> None:
    bench = Bench()
    bench.place(TWO)
    if decided_first:
        bench.decided("SKU-1", 2)
        bench.decided("SKU-2", 1)
    rows = dict(bench.store.rows)
    (letter,) = dead_letters(bench.place(other))
    headers = dict(letter.headers or [])
    assert (letter.value, letter.key) == (b"order 2", b"key-2")
    assert headers["reason"] == b"CONFLICT"
    assert b"ORD-1" in headers["error"]
    assert headers["source-offset"] == b"2"
    assert headers["recommendation"]
    assert bench.store.rows == rows
    (notice,) = bench.effects.notices
    assert (notice.level, notice.fields["order"], notice.fields["promotion"]) == (
        "warning",
        "ORD-1",
        PROMOTION,
    )


def test_the_same_ref_for_another_promotion_is_another_order() -> None:
    bench = Bench()
    bench.accepted((("SKU-1", 1),))
    bench.promotion = "FLASH-2"
    outcome = bench.accepted((("SKU-1", 5),))
    assert (outcome["promotionId"], outcome["outcome"], outcome["revision"]) == ("FLASH-2", "ACCEPTED", 1)


def test_all_or_nothing_gives_the_taken_lines_back_before_it_is_rejected() -> None:
    bench = Bench(WHOLE)
    bench.place((("SKU-1", 2), ("SKU-2", 1), ("SKU-3", 4)))
    bench.decided("SKU-1", 2)
    bench.decided("SKU-2", 1, "EXHAUSTED")
    sends = bench.decided("SKU-3", 4)
    assert outcomes(sends) == []
    compensations = asked(sends)
    assert all(isinstance(command, Cancel) for command in compensations)
    assert [plain(command) for command in compensations] == [
        (PROMOTION, "SKU-1", 2, "ORD-1", 1, True),
        (PROMOTION, "SKU-3", 4, "ORD-1", 1, True),
    ]
    assert bench.given_back("SKU-3", 4) == []
    outcome = only_outcome(bench.given_back("SKU-1", 2))
    assert outcome["outcome"] == "REJECTED"
    assert refusals(outcome) == [
        ("SKU-1", 2, "INCOMPLETE_ORDER"),
        ("SKU-2", 1, "EXHAUSTED"),
        ("SKU-3", 4, "INCOMPLETE_ORDER"),
    ]
    assert outcome["revision"] == 1


def test_all_or_nothing_needs_no_compensation_when_all_or_none_are_taken() -> None:
    bench = Bench(WHOLE)
    assert bench.accepted(TWO)["outcome"] == "ACCEPTED"
    bench.place(TWO, ref="ORD-2")
    bench.decided("SKU-1", 2, "ENDED", ref="ORD-2")
    assert only_outcome(bench.decided("SKU-2", 1, "ENDED", ref="ORD-2"))["outcome"] == "REJECTED"


def test_the_policy_is_the_one_recorded_with_the_order() -> None:
    bench = Bench(WHOLE)
    bench.place(TWO)
    bench.terms = TERMS
    bench.decided("SKU-1", 2)
    assert [type(command) for command in asked(bench.decided("SKU-2", 1, "EXHAUSTED"))] == [Cancel]


def test_what_comes_during_a_compensation_waits_for_its_outcome() -> None:
    bench = Bench(WHOLE)
    bench.place(TWO)
    bench.decided("SKU-1", 2)
    bench.decided("SKU-2", 1, "EXHAUSTED")
    assert bench.place(TWO) == []
    assert bench.cancel() == []
    sends = bench.given_back("SKU-1", 2)
    assert asked(sends) == []
    assert [offset_of(send) for send in sends] == [1, 2, 3]
    assert [outcome["outcome"] for outcome in outcomes(sends)] == ["REJECTED", "REJECTED", "CANCELLED"]


def test_a_compensation_counts_each_taken_line_once() -> None:
    bench = Bench(WHOLE)
    bench.place((("SKU-1", 2), ("SKU-2", 1), ("SKU-3", 4)))
    bench.decided("SKU-1", 2)
    bench.decided("SKU-2", 1, "EXHAUSTED")
    bench.decided("SKU-3", 4)
    for sku, quantity in (("SKU-1", 2), ("SKU-1", 2), ("SKU-2", 0), ("SKU-9", 1)):
        assert bench.given_back(sku, quantity) == []
    assert len(outcomes(bench.given_back("SKU-3", 4))) == 1


def test_answers_that_nobody_waits_for_change_nothing() -> None:
    bench = Bench(WHOLE)
    assert bench.decided("SKU-1", 2, ref="UNHEARD-OF") == []
    assert bench.given_back("SKU-1", 2, ref="UNHEARD-OF") == []
    assert bench.feed(Continue("queue", b"UNHEARD-OF\0FLASH-1")) == []
    assert bench.store.rows == {}
    bench.place(TWO)
    assert bench.decided("SKU-9", 2) == []
    bench.decided("SKU-1", 2)
    assert bench.decided("SKU-1", 2, "EXHAUSTED") == []
    assert bench.given_back("SKU-1", 2, operation=0) == []
    assert only_outcome(bench.decided("SKU-2", 1))["consumeResults"] == [taken("SKU-1", 2), taken("SKU-2", 1)]
    assert bench.decided("SKU-2", 1) == []
    assert bench.given_back("SKU-2", 1, operation=0) == []
    assert bench.feed(Continue("no such kind")) == []


def test_an_order_of_500_lines_stays_within_the_budget_of_a_command() -> None:
    bench = Bench(WHOLE)
    lines = tuple((f"SKU-{number}", 1) for number in range(500))
    assert len(asked(bench.place(lines))) == 500
    for sku, _ in lines[:-1]:
        assert bench.decided(sku, 1) == []
    assert len(asked(bench.decided("SKU-499", 1, "EXHAUSTED"))) == 499
    for sku, _ in lines[:-2]:
        assert bench.given_back(sku, 1) == []
    outcome = only_outcome(bench.given_back("SKU-498", 1))
    assert [line["sku"] for line in outcome["consumeResults"]] == [sku for sku, _ in lines]


def test_many_waiting_repeats_are_answered_in_order_over_several_commands() -> None:
    bench = Bench()
    bench.place(TWO)
    for _ in range(5_000):
        bench.place(TWO)
    bench.decided("SKU-1", 2)
    sends = bench.decided("SKU-2", 1)
    assert bench.continues
    assert bench.place(TWO) == []
    assert bench.cancel((("SKU-9", 1),)) == []
    sends += bench.settle()
    answers = [send for send in sends if send.headers]
    assert [offset_of(send) for send in answers] == list(range(1, 5_004))
    assert len({send.value for send in answers[:-1]}) == 1


def test_a_tick_without_anything_due_changes_nothing() -> None:
    bench = Bench()
    bench.accepted(TWO)
    rows = dict(bench.store.rows)
    assert bench.feed(Tick()) == []
    assert bench.store.rows == rows


def test_the_same_log_gives_the_same_answers_whatever_the_batches() -> None:
    bench = Bench()
    bench.accepted(TWO)
    bench.cancel((("SKU-1", 1),))
    bench.given_back("SKU-1", 1)
    rows = Rows(MemoryStore())
    effects = Effects()
    for command, now_ms in bench.log:
        decide(rows, command, now_ms, effects)
    assert effects.sends == bench.sent
    final = {key: value for key, value in rows.flush().items() if value is not None}
    assert final == bench.store.rows
