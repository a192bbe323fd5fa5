"""The trace of a promotion's start goes with what is asked of Fluent, and stays in no row after the close."""

from __future__ import annotations

from streams.ledger import commands as c
from streams.ledger.fluent_requests import HoldRequest, ReleaseRequest, SettleRequest
from streams.ledger.reservations.state import DETAILS
from tests.streams.ledger.reservations.stage import HOUR_MS, IDS, TERMS, Ledger, of

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def started(ledger: Ledger, trace: str = PARENT) -> int:
    """Ask for 100 units; returns the request's number."""
    expires_at_ms = ledger.now_ms + HOUR_MS
    out = ledger.do(c.Reserve(*IDS, 100, expires_at_ms, TERMS, b'{"a":1}', trace=trace))
    [hold] = of(HoldRequest, out)
    assert (hold.trace, hold.attributes) == (trace, b'{"a":1}')
    return int(hold.number)


def kept(ledger: Ledger) -> int:
    """How many bytes of details there are."""
    return sum(len(row) for key, row in ledger.store.rows.items() if key.startswith(DETAILS.prefix))


def test_hold_settle_and_release_carry_it_and_nothing_of_it_is_left_when_the_sale_is_closed() -> None:
    ledger = Ledger()
    ledger.do(c.HoldConfirmed(*IDS, started(ledger), 100))
    assert 0 < kept(ledger) < 80, "the attributes are not needed any more"
    ledger.claim("O-1", 40)
    [settle, *again] = of(SettleRequest, ledger.after(HOUR_MS // 2))
    assert settle.trace == PARENT and all(each == settle for each in again)
    ledger.do(c.SettleConfirmed(*IDS, settle.number, settle.remaining))
    [release] = of(ReleaseRequest, ledger.end())
    assert release.trace == PARENT
    ledger.do(c.ReleaseConfirmed(*IDS, release.number))
    assert (ledger.row().state, kept(ledger)) == ("CLOSED", 0)


def test_a_hold_that_was_never_answered_is_released_under_it_and_only_the_refusal_is_kept() -> None:
    ledger = Ledger()
    started(ledger)
    [release, *_] = of(ReleaseRequest, ledger.after(2 * HOUR_MS))
    assert release.trace == PARENT
    before = kept(ledger)
    ledger.do(c.ReleaseConfirmed(*IDS, release.number))
    assert 0 < kept(ledger) <= before - len(PARENT)


def test_a_refused_hold_and_a_start_without_a_trace_keep_none() -> None:
    refused, plain = Ledger(), Ledger()
    refused.do(c.HoldFailed(*IDS, started(refused), "INSUFFICIENT_INVENTORY", "no"))
    assert kept(refused) < len(PARENT)
    plain.do(c.HoldConfirmed(*IDS, started(plain, ""), 100))
    assert kept(plain) == 0
