"""The defects of the template that this replaces, as far as the ledger answers for them: one test each."""

from __future__ import annotations

import random

from streams.ledger import commands as c
from streams.ledger.fluent_requests import HoldRequest, ReleaseRequest, reservation_ref
from streams.ledger.terms import Terms
from tests.streams.ledger.reservations.stage import HOUR_MS, IDS, NOON_MS, TERMS, Ledger, decided, of

REF = reservation_ref(*IDS)


def test_reserve_and_consume_use_different_keys() -> None:
    """Here a claim finds what the reserve of the same promotion and SKU set aside, and nothing else."""
    ledger = Ledger()
    ledger.open(5)
    assert ledger.claim("O-1", 5) == [decided("O-1", "", 5)]
    other = c.Claim("FLASH-2", "SKU-1", 1, "O-2", NOON_MS, 5_000, HOUR_MS)
    assert ledger.do(other) == []


def test_lock_is_read_then_write() -> None:
    """Here no interleaving of claims, with crashes in between, takes more than there is."""
    rng = random.Random(1)
    ledger = Ledger()
    ledger.open(50)
    for n in rng.sample(range(200), 200):
        ledger.claim(f"O-{n}")
        if rng.random() < 0.1:
            ledger.rows.reset()
    assert ledger.row().claimed == 50


def test_availability_read_before_the_lock() -> None:
    """Here Fluent is asked for the hold itself; what is available is for Fluent to say in its answer."""
    ledger = Ledger()
    assert of(HoldRequest, ledger.reserve(100))
    assert ledger.claim("O-1") == []


def test_available_never_decremented() -> None:
    ledger = Ledger()
    ledger.open(2)
    reasons = [ledger.claim(f"O-{n}")[0].reason for n in range(3)]
    assert reasons == ["", "", "EXHAUSTED"]


def test_release_creates_phantom_stock() -> None:
    """Here a release ends the hold under its ref, once; a repeat or a late answer changes nothing."""
    ledger = Ledger()
    ledger.open(10)
    out = ledger.end()
    assert of(ReleaseRequest, out) == [ReleaseRequest(*IDS, 2, REF, 0, False, confirmed=True)]
    records = ledger.do(c.ReleaseConfirmed(*IDS, 2)) + ledger.do(c.ReleaseConfirmed(*IDS, 2)) + ledger.end()
    assert [record["released"] for record in of(dict, records)] == [10]


def test_consumed_units_vanish_on_release() -> None:
    ledger = Ledger()
    ledger.open(10, terms=Terms(book_sale=True))
    ledger.claim("O-1", 4)
    assert of(ReleaseRequest, ledger.end()) == [ReleaseRequest(*IDS, 2, REF, 4, True, confirmed=True)]
    record = of(dict, ledger.do(c.ReleaseConfirmed(*IDS, 2)))[0]
    assert (record["consumed"], record["released"]) == (4, 6)


def test_a_fully_consumed_hold_stays_reserved_for_ever() -> None:
    ledger = Ledger()
    ledger.open(4)
    ledger.claim("O-1", 4)
    [record] = of(dict, ledger.close())
    assert (record["consumed"], record["released"]) == (4, 0)
    assert ledger.row().state == "CLOSED"


def test_no_order_dedupe() -> None:
    ledger = Ledger()
    ledger.open(10)
    assert ledger.claim("O-1", 2) == [decided("O-1", "", 2)]
    assert [ledger.claim("O-1", 2) for _ in range(5)] == [[decided("O-1", "", 2, again=True)]] * 5
    assert ledger.row().claimed == 2


def test_date_now_in_the_ref_reserves_twice_on_a_retry() -> None:
    ledger = Ledger()
    refs = {request.reservation_ref for request in of(HoldRequest, ledger.reserve(10))}
    for _ in range(5):
        refs |= {request.reservation_ref for request in of(HoldRequest, ledger.after(TERMS.ask_again_ms))}
    assert refs == {REF}


def test_consume_ignores_expiry() -> None:
    ledger = Ledger()
    ledger.open(10, expires_in_ms=HOUR_MS)
    assert ledger.claim("O-1", placed_at_ms=NOON_MS + HOUR_MS + 1) == [decided("O-1", "EXPIRED")]


def test_a_negative_quantity_adds_stock() -> None:
    ledger = Ledger()
    ledger.open(10)
    ledger.claim("O-1", 3)
    ledger.claim("O-2", -3)
    ledger.cancel("O-1", -3)
    assert (ledger.row().reserved, ledger.row().claimed) == (10, 3)


def test_mutation_ok_but_state_write_failed_leaves_an_orphan_hold() -> None:
    """Here the wish is a row before Fluent is asked, so an answer that was lost is asked for again."""
    ledger = Ledger()
    ledger.reserve(10)
    ledger.rows.reset()
    assert of(HoldRequest, ledger.after(TERMS.ask_again_ms)) == [
        HoldRequest(*IDS, 1, REF, 10, NOON_MS + HOUR_MS, b'{"a":1}')
    ]


def test_one_error_stops_the_rest() -> None:
    ledger = Ledger()
    for sku in ("SKU-1", "SKU-2"):
        ledger.do(c.Reserve("FLASH-1", sku, 1, NOON_MS + HOUR_MS, TERMS))
    ledger.do(c.HoldFailed("FLASH-1", "SKU-1", 1, "INVALID", "no such SKU"))
    out = ledger.do(c.HoldConfirmed("FLASH-1", "SKU-2", 1, 1))
    assert [(answer.sku, answer.reason) for answer in of(c.LineReserved, out)] == [("SKU-2", "")]


def test_expiry_up_to_ten_minutes_late() -> None:
    ledger = Ledger()
    ledger.open(10, expires_in_ms=HOUR_MS)
    ledger.after(HOUR_MS + TERMS.expiry_grace_ms)
    assert ledger.row().state == "RELEASING"
    assert ledger.now_ms == NOON_MS + HOUR_MS + TERMS.expiry_grace_ms
