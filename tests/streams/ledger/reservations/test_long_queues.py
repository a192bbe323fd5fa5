"""Long queues: decided in order and in bounded steps, whatever comes meanwhile."""

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
    Ledger,
    claim_of,
    decided,
    decode,
    of,
)

WAITERS = 10_000


def test_a_hold_that_is_refused_after_the_deadline_was_none_for_a_long_queue_either() -> None:
    ledger = Ledger()
    ledger.reserve(3, expires_in_ms=30_000)
    for n in range(MAX_CLAIMS + 10):
        ledger.step(claim_of(f"O-{n}"))
    ledger.after(35_000)
    out = ledger.do(c.HoldFailed(*IDS, 1, "INSUFFICIENT_INVENTORY", "Fluent has 2 units available."))
    assert {answer.reason for answer in of(c.LineDecided, out)} == {"NO_RESERVATION"}
    assert (ledger.row().state, of(ReleaseRequest, out)) == ("REJECTED", [])


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


def test_a_long_queue_takes_as_many_continues_as_it_needs() -> None:
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
