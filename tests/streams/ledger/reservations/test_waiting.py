from __future__ import annotations

from typing import Any

import pytest

from streams.ledger import commands as c
from streams.ledger.reservations import next_watermark_deadline_ms
from tests.streams.ledger.reservations.stage import (
    HOUR_MS,
    IDS,
    NOON_MS,
    TERMS,
    Ledger,
    cancelled,
    decided,
    decode,
    figures_in,
    of,
)


def test_claims_wait_for_the_hold_and_are_served_first_come_first_served() -> None:
    ledger = Ledger()
    ledger.reserve(3)
    assert [ledger.claim(f"O-{n}", 2) for n in range(3)] == [[], [], []]
    out = of(c.LineDecided, ledger.do(c.HoldConfirmed(*IDS, 1, 3)))
    assert out == [decided("O-0", "", 2), decided("O-1", "EXHAUSTED", 2), decided("O-2", "EXHAUSTED", 2)]


def test_a_waiting_claim_is_answered_once_however_often_it_is_repeated() -> None:
    ledger = Ledger()
    ledger.reserve(3)
    assert [ledger.claim("O-1"), ledger.claim("O-1")] == [[], []]
    assert of(c.LineDecided, ledger.do(c.HoldConfirmed(*IDS, 1, 3))) == [decided("O-1")]
    assert ledger.row().claimed == 1


def test_a_failed_hold_answers_waiting_and_later_claims_with_no_reservation() -> None:
    ledger = Ledger()
    ledger.reserve(3)
    ledger.claim("O-1")
    out = ledger.do(c.HoldFailed(*IDS, 1, "INSUFFICIENT_INVENTORY", "Fluent has 2 units available."))
    assert of(c.LineDecided, out) == [decided("O-1", "NO_RESERVATION")]
    assert ledger.claim("O-2") == [decided("O-2", "NO_RESERVATION")]


def test_after_the_hold_time_out_waiting_claims_and_new_ones_are_told_that_fluent_is_unavailable() -> None:
    ledger = Ledger()
    ledger.reserve(3)
    ledger.claim("O-1")
    assert of(c.LineDecided, ledger.after(TERMS.hold_timeout_ms - 1)) == []
    assert of(c.LineDecided, ledger.after(1)) == [decided("O-1", "FLUENT_UNAVAILABLE")]
    assert ledger.claim("O-2") == [decided("O-2", "FLUENT_UNAVAILABLE")]
    assert ledger.row().state == "PENDING"


def test_the_person_on_call_reads_how_many_claims_wait_for_a_hold_that_is_overdue() -> None:
    ledger = Ledger()
    ledger.claim("EARLY")
    ledger.after(TERMS.claim_grace_ms)
    ledger.reserve(3)
    for n in range(2):
        ledger.claim(f"O-{n}")
    ledger.after(TERMS.hold_timeout_ms)
    [notice] = [notice for notice in ledger.notices if notice.event == "hold_overdue"]
    assert (notice.level, notice.fields["waiting"]) == ("warning", 2)


def test_a_hold_confirmed_after_the_time_out_opens_the_sale_for_new_claims() -> None:
    ledger = Ledger()
    ledger.reserve(3)
    ledger.claim("O-1")
    ledger.after(TERMS.hold_timeout_ms)
    ledger.do(c.HoldConfirmed(*IDS, 1, 3))
    assert ledger.claim("O-2") == [decided("O-2")]
    assert ledger.claim("O-1") == [decided("O-1", "FLUENT_UNAVAILABLE", again=True)]


def over(ledger: Ledger, reason: str) -> list[Any]:
    """The promotion is over while Fluent has not answered about its hold; O-1, in time, waits."""
    ledger.reserve(3, expires_in_ms=30_000)
    ledger.claim("O-1")
    ledger.after(20_000)
    if reason == "ENDED":
        ledger.do(c.End(*IDS, ledger.now_ms))
    return ledger.after(15_000)


@pytest.mark.parametrize("reason", ["ENDED", "EXPIRED"])
def test_a_claim_in_time_waits_for_the_hold_beyond_the_deadline_and_the_close_for_both(reason: str) -> None:
    ledger = Ledger()
    assert of(c.LineDecided, over(ledger, reason)) == []
    assert ledger.claim("O-2") == [decided("O-2", reason)], "one that is too late is told so at once"
    assert ledger.claim("O-3", placed_at_ms=NOON_MS) == []
    out = ledger.do(c.HoldConfirmed(*IDS, 1, 3))
    assert of(c.LineDecided, out) == [decided("O-1"), decided("O-3")]
    assert (ledger.row().state, ledger.row().cause) == ("RELEASING", reason)


@pytest.mark.parametrize("reason", ["ENDED", "EXPIRED"])
def test_the_close_waits_no_longer_for_the_hold_than_the_hold_time_out(reason: str) -> None:
    ledger = Ledger()
    over(ledger, reason)
    assert ledger.at(NOON_MS + TERMS.hold_timeout_ms - 1) != [], "Fluent is asked again"
    assert ledger.row().state == "PENDING"
    out = ledger.after(1)
    assert of(c.LineDecided, out) == [decided("O-1", "FLUENT_UNAVAILABLE")]
    assert [answer.reason for answer in of(c.LineReserved, out)] == [reason]
    assert ledger.row().state == "RELEASING"


def test_a_hold_that_is_refused_after_the_deadline_was_never_a_reservation() -> None:
    ledger = Ledger()
    over(ledger, "EXPIRED")
    out = ledger.do(c.HoldFailed(*IDS, 1, "INSUFFICIENT_INVENTORY", "Fluent has 2 units available."))
    assert of(c.LineDecided, out) == [decided("O-1", "NO_RESERVATION")]
    assert ledger.row().state == "REJECTED"
    ledger.after(HOUR_MS)
    assert ledger.row().state == "REJECTED"


def test_a_claim_for_an_unknown_promotion_waits_its_grace_and_then_has_no_reservation() -> None:
    ledger = Ledger()
    assert ledger.claim("O-1") == []
    ledger.after(3_000)
    assert ledger.claim("O-2") == []
    assert ledger.after(1_999) == []
    assert ledger.after(1) == [decided("O-1", "NO_RESERVATION")]
    assert ledger.after(2_999) == []
    assert ledger.after(1) == [decided("O-2", "NO_RESERVATION")]


def test_a_reserve_in_time_adopts_the_claims_that_wait_in_their_order() -> None:
    ledger = Ledger()
    for n in range(3):
        ledger.claim(f"O-{n}")
        ledger.after(100)
    ledger.reserve(2)
    assert of(c.LineDecided, ledger.after(30_000)) == []
    out = of(c.LineDecided, ledger.do(c.HoldConfirmed(*IDS, 1, 2)))
    assert out == [decided("O-0"), decided("O-1"), decided("O-2", "EXHAUSTED")]


def test_a_start_amid_the_answers_to_an_unknown_promotions_claims_leaves_the_rest_to_fluent_alone() -> None:
    """Else the partition would be told the time again and again until Fluent answers."""
    ledger = Ledger()
    ledger.claim("O-1")
    ledger.now_ms += TERMS.claim_grace_ms
    [go_on] = [decode(send) for send in ledger.step(c.Tick(ledger.now_ms)) if send.own]
    ledger.reserve(1)
    assert ledger.do(go_on) == []
    assert next_watermark_deadline_ms(ledger.rows) == ledger.now_ms + HOUR_MS + TERMS.expiry_grace_ms
    assert of(c.LineDecided, ledger.do(c.HoldConfirmed(*IDS, 1, 1))) == [decided("O-1")]


def test_a_claim_that_had_no_reservation_stays_decided_when_the_promotion_starts() -> None:
    ledger = Ledger()
    ledger.claim("O-1")
    ledger.after(5_000)
    ledger.open(10)
    assert ledger.claim("O-1") == [decided("O-1", "NO_RESERVATION", again=True)]
    assert ledger.claim("O-2") == [decided("O-2")]
    assert ledger.row().rejected_orders == 1


def test_a_waiting_claim_that_is_cancelled_takes_nothing_and_both_are_answered() -> None:
    ledger = Ledger()
    ledger.reserve(1)
    ledger.claim("O-1")
    ledger.claim("O-2")
    assert ledger.cancel("O-1") == [decided("O-1", "CANCELLED"), cancelled("O-1", 0)]
    assert of(c.LineDecided, ledger.do(c.HoldConfirmed(*IDS, 1, 1))) == [decided("O-2")]
    assert ledger.claim("O-1") == [decided("O-1", "CANCELLED", again=True)]
    assert ledger.row().cancelled == 0


def test_a_cancelled_head_of_the_queue_does_not_hold_up_the_grace_of_the_others() -> None:
    ledger = Ledger()
    ledger.claim("O-1")
    ledger.after(1_000)
    ledger.claim("O-2")
    ledger.cancel("O-1")
    assert ledger.after(5_000) == [decided("O-2", "NO_RESERVATION")]


def test_claims_that_wait_for_a_start_are_told_that_it_was_ended_and_forgotten_in_time() -> None:
    ledger = Ledger()
    ledger.claim("O-1")
    out = ledger.end()
    assert of(c.LineDecided, out) == [decided("O-1", "ENDED")]
    assert [figures.state for figures in figures_in(out)] == ["CLOSED"]
    ledger.after(24 * HOUR_MS - 1)
    assert ledger.claim_row("O-1") is not None
    ledger.after(1)
    assert ledger.claim_row("O-1") is None


def test_an_unknown_promotion_leaves_no_row_behind_after_the_retention() -> None:
    ledger = Ledger()
    ledger.claim("O-1")
    ledger.after(1_000)
    ledger.claim("O-2")
    ledger.after(5_000)
    ledger.after(24 * HOUR_MS - 1)
    assert ledger.claim_row("O-2") is not None
    ledger.after(1)
    assert ledger.kept() == []
    assert ledger.due_ms() is None
