from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from streams.ledger import commands as c
from streams.ledger.effects import MAX_EFFECTS
from streams.ledger.fluent_requests import ReleaseRequest
from streams.ledger.reservations.queue import MAX_CLAIMS
from streams.ledger.terms import Terms
from tests.streams.ledger.reservations.stage import (
    HOUR_MS,
    IDS,
    NOON_MS,
    TERMS,
    Ledger,
    cancelled,
    claim_of,
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


WAITERS = 10_000


@pytest.mark.parametrize("ending", ["hold", "late hold", "failed", "time-out", "unknown"])
def test_ten_thousand_waiting_claims_are_decided_in_order_in_bounded_steps(ending: str) -> None:
    ledger = Ledger()
    if ending != "unknown":
        ledger.reserve(7_000, expires_in_ms=30_000 if ending == "late hold" else HOUR_MS)
    for n in range(WAITERS):
        ledger.step(claim_of(f"O-{n:05d}"))
    if ending == "late hold":
        assert of(c.LineDecided, ledger.after(50_000)) == []
    endings: dict[str, Callable[[], list[Any]]] = {
        "hold": lambda: ledger.do(c.HoldConfirmed(*IDS, 1, 7_000)),
        "late hold": lambda: ledger.do(c.HoldConfirmed(*IDS, 1, 7_000)),
        "failed": lambda: ledger.do(c.HoldFailed(*IDS, 1, "INVALID", "no such SKU")),
        "time-out": lambda: ledger.after(60_000),
        "unknown": lambda: ledger.after(5_000),
    }
    answers = of(c.LineDecided, endings[ending]())
    assert [answer.order_ref for answer in answers] == [f"O-{n:05d}" for n in range(WAITERS)]
    taken = [answer.order_ref for answer in answers if not answer.reason]
    assert taken == ([f"O-{n:05d}" for n in range(7_000)] if ending.endswith("hold") else [])
    assert (ledger.row().state == "RELEASING") == (ending == "late hold")
    assert ledger.largest_effects <= MAX_EFFECTS


def test_new_claims_queue_behind_while_waiting_ones_are_decided() -> None:
    ledger = Ledger()
    ledger.reserve(600)
    for n in range(1_000):
        ledger.step(claim_of(f"O-{n:05d}"))
    log = [send for send in ledger.step(c.HoldConfirmed(*IDS, 1, 600)) if send.own]
    answers = ledger.sent[:]
    answers += (late := ledger.step(claim_of("LATE")))
    assert [decode(send).order_ref for send in late] == ["O-00390", "O-00391"]
    while log:
        answers += (sends := ledger.step(decode(log.pop(0))))
        log += [send for send in sends if send.own]
    order = [record.order_ref for record in of(c.LineDecided, [decode(send) for send in answers])]
    assert order == [*(f"O-{n:05d}" for n in range(1_000)), "LATE"]
    assert ledger.claim("AFTER") == [decided("AFTER", "EXHAUSTED")]


def test_a_long_queue_takes_as_many_continues_as_it_needs_and_a_short_one_after_it_one() -> None:
    ledger = Ledger()
    ledger.reserve(10_000)
    for n in range(10 * MAX_CLAIMS):
        ledger.step(claim_of(f"O-{n:05d}"))
    ledger.do(c.HoldConfirmed(*IDS, 1, 10_000))
    assert sum(send.own for send in ledger.sent) == 9, "the answer of Fluent decides the first of them"
    assert ledger.row().draining == 0


def test_a_continue_that_finds_its_queue_decided_by_newcomers_does_not_close_the_sale_a_second_time() -> None:
    ledger = Ledger()
    ledger.reserve(10_000)
    for n in range(MAX_CLAIMS + 10):
        ledger.step(claim_of(f"O-{n:05d}"))
    [late] = [send for send in ledger.step(c.HoldConfirmed(*IDS, 1, 10_000)) if send.own]
    for n in range(10):
        ledger.step(claim_of(f"NEW-{n}"))
    assert ledger.row().head == ledger.row().tail
    assert of(ReleaseRequest, ledger.end()) or ledger.row().request == "S"
    before = ledger.row().number
    assert ledger.step(decode(late)) == []
    assert ledger.row().number == before


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


def test_a_hold_confirmed_while_the_time_out_is_being_told_serves_the_rest() -> None:
    ledger = Ledger()
    ledger.reserve(1_500, terms=Terms(ask_again_ms=HOUR_MS))
    for n in range(1_500):
        ledger.step(claim_of(f"O-{n:05d}"))
    ledger.after(59_999)
    ledger.now_ms += 1
    first = ledger.step(c.Tick())
    continues = [decode(send) for send in first if send.own]
    second = ledger.step(continues.pop(0))
    out = ledger.do(c.HoldConfirmed(*IDS, 1, 1_500))
    for command in continues:
        out += ledger.do(command)
    told = of(c.LineDecided, [decode(send) for send in second])
    assert {answer.reason for answer in told} == {"FLUENT_UNAVAILABLE"}
    served = of(c.LineDecided, out)
    assert {answer.reason for answer in served} == {""}
    assert len(told) + len(served) == 1_500
    assert ledger.row().head == ledger.row().tail


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


def test_a_long_queue_is_gone_soon_although_claims_keep_coming() -> None:
    """Seen: with 600 waiting and 1,000 new claims a round, the queue ended at 30,000 claims."""
    ledger = Ledger()
    ledger.reserve(20_000)
    for n in range(20_000):
        ledger.step(claim_of(f"W-{n}"))
    inbox: list[c.SkuCommand] = [c.HoldConfirmed(*IDS, 1, 20_000)]
    rounds = 0
    while inbox:
        arrivals = [claim_of(f"A-{rounds}-{n}") for n in range(1_000)] if rounds < 50 else []
        sent = [send for command in [*inbox, *arrivals] for send in ledger.step(command)]
        inbox = [decode(send) for send in sent if send.own]
        rounds += 1
    assert rounds < 10
    orders = [decode(send).order_ref for send in ledger.sent if send.topic == "order-commands"]
    assert orders[:20_000] == [f"W-{n}" for n in range(20_000)]
    assert orders[20_000:] == [f"A-{each}-{n}" for each in range(rounds) for n in range(1_000)]
