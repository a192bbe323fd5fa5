from __future__ import annotations

import pytest

from streams.ledger import commands as c
from streams.ledger.effects import Effects
from streams.ledger.reservations import decide
from streams.ledger.terms import Terms
from tests.streams.ledger.reservations.stage import HOUR_MS, IDS, NOON_MS, TERMS, Ledger, claim_of, decided


def test_a_claim_takes_its_units_whole() -> None:
    ledger = Ledger()
    ledger.open(100)
    assert ledger.claim("O-1", 60) == [decided("O-1", "", 60)]
    assert ledger.row().claimed == 60


@pytest.mark.parametrize(("taken", "asked"), [(60, 41), (100, 1), (99, 2)])
def test_a_claim_for_more_than_is_left_is_exhausted_and_takes_nothing(taken: int, asked: int) -> None:
    ledger = Ledger()
    ledger.open(100)
    ledger.claim("O-1", taken)
    assert ledger.claim("O-2", asked) == [decided("O-2", "EXHAUSTED", asked)]
    row = ledger.row()
    assert (row.claimed, row.rejected_units, row.rejected_orders) == (taken, asked, 1)


def test_the_last_unit_can_be_taken() -> None:
    ledger = Ledger()
    ledger.open(3)
    ledger.claim("O-1", 2)
    assert ledger.claim("O-2", 1) == [decided("O-2")]
    assert ledger.row().claimed == 3


@pytest.mark.parametrize("quantity", [0, -5])
def test_a_claim_without_a_positive_quantity_is_invalid_and_changes_no_stock(quantity: int) -> None:
    ledger = Ledger()
    ledger.open(10)
    assert ledger.claim("O-1", quantity) == [decided("O-1", "INVALID", quantity)]
    assert ledger.row().claimed == 0


def test_a_repeat_gets_identical_bytes_and_changes_nothing() -> None:
    ledger = Ledger()
    ledger.open(2)
    ledger.claim("O-1", 2)
    ledger.claim("O-2", 1)
    first = [send.value for send in ledger.sent[-2:]]
    ledger.now_ms += 1_000
    before = c.encode(ledger.row())
    again = ledger.step(claim_of("O-1", 2)) + ledger.step(claim_of("O-2", 1))
    assert [send.value for send in again] == first
    assert c.encode(ledger.row()) == before


def test_an_order_placed_at_the_last_millisecond_is_in_time_and_one_later_is_expired() -> None:
    ledger = Ledger()
    ledger.open(10, expires_in_ms=HOUR_MS)
    ledger.now_ms += HOUR_MS + 1_000
    assert ledger.claim("O-1", placed_at_ms=NOON_MS + HOUR_MS) == [decided("O-1")]
    assert ledger.claim("O-2", placed_at_ms=NOON_MS + HOUR_MS + 1) == [decided("O-2", "EXPIRED")]


def test_expired_stands_before_exhausted() -> None:
    ledger = Ledger()
    ledger.open(1, expires_in_ms=HOUR_MS)
    ledger.claim("O-1")
    assert ledger.claim("O-2", placed_at_ms=NOON_MS + HOUR_MS + 1) == [decided("O-2", "EXPIRED")]


def test_a_late_order_is_expired_while_fluent_is_unavailable() -> None:
    ledger = Ledger()
    ledger.reserve(1, expires_in_ms=HOUR_MS)
    ledger.after(TERMS.hold_timeout_ms)
    assert ledger.claim("O-1", placed_at_ms=NOON_MS + HOUR_MS + 1) == [decided("O-1", "EXPIRED")]


@pytest.mark.parametrize("reason", ["ENDED", "EXPIRED"])
def test_after_the_close_orders_in_time_by_their_own_clock_are_refused(reason: str) -> None:
    ledger = Ledger()
    ledger.open(10, expires_in_ms=HOUR_MS)
    if reason == "ENDED":
        ledger.end()
    ledger.after(HOUR_MS + TERMS.expiry_grace_ms)
    assert ledger.claim("O-1", placed_at_ms=NOON_MS) == [decided("O-1", reason)]
    ledger.do(c.ReleaseConfirmed(*IDS, ledger.row().number))
    assert ledger.claim("O-2", placed_at_ms=NOON_MS) == [decided("O-2", reason)]


def test_the_same_order_claims_each_sku_and_promotion_on_its_own() -> None:
    ledger = Ledger()
    ledger.open(1)
    ledger.do(c.Reserve("FLASH-2", "SKU-1", 1, NOON_MS + HOUR_MS, Terms()))
    ledger.do(c.HoldConfirmed("FLASH-2", "SKU-1", 1, 1))
    assert ledger.claim("O-1") == [decided("O-1")]
    other = c.Claim("FLASH-2", "SKU-1", 1, "O-1", NOON_MS, 5_000, HOUR_MS)
    assert ledger.do(other) == [c.LineDecided("FLASH-2", "O-1", "SKU-1", 1, "")]


def test_claims_are_counted_by_reason() -> None:
    ledger = Ledger()
    ledger.open(1)
    effects = Effects()
    for order in ("O-1", "O-2", "O-3", "O-1"):
        decide(ledger.rows, claim_of(order), NOON_MS, effects)
    assert effects.reasons == {"": 1, "EXHAUSTED": 2}


def test_a_repeat_begins_the_retention_of_its_claim_anew_as_it_does_for_the_order() -> None:
    """The orders stage has forgotten the order; its second life is as long as the first."""
    ledger = Ledger()
    terms = Terms(retention_ms=HOUR_MS)
    ledger.open(10, terms=terms, expires_in_ms=1_000)
    claim = claim_of("O-1", 1, placed_at_ms=ledger.now_ms)
    claim.retention_ms = terms.claims_kept_ms
    first = ledger.do(claim)
    ledger.close()
    ledger.verify()
    ledger.after(terms.claims_kept_ms - 10 * 60_000)
    assert ledger.do(claim) == first
    ledger.after(terms.claims_kept_ms - 1)
    assert ledger.claim_row("O-1") is not None
    ledger.after(1)
    assert ledger.claim_row("O-1") is None


def test_a_repeat_that_asks_for_a_longer_retention_gets_it() -> None:
    ledger = Ledger()
    ledger.open(10)
    ledger.claim("O-1")
    again = claim_of("O-1", 1)
    again.retention_ms = 10 * TERMS.claims_kept_ms
    ledger.do(again)
    assert ledger.row().kept_ms == again.retention_ms
