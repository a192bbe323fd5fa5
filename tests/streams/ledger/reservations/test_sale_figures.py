"""`sale-figures`: as a SKU changes, at most once a second, and never lost."""

from __future__ import annotations

import pytest

from schemas.drift import DriftKind
from streams.ledger import commands as c
from streams.ledger.reservations import figures
from streams.ledger.reservations.state import BY_CLOCK, FIGURES
from streams.ledger.rows import Rows
from streams.ledger.terms import Terms
from tests.streams.ledger.reservations.stage import HOUR_MS, IDS, NOON_MS, PROMOTION, TERMS, Ledger

QUIET = Terms(settle_delay_ms=HOUR_MS)
SECOND_MS = figures.EVERY_MS
FAR_MS = 2**62


def test_a_sku_that_changes_all_the_time_is_published_once_a_second() -> None:
    ledger = Ledger()
    ledger.open(1_000, terms=QUIET)
    for n in range(50):
        ledger.claim(f"O-{n}")
        ledger.after(SECOND_MS // 10)
    ledger.after(SECOND_MS)
    assert [each["consumed"] for each in ledger.published] == [10, 20, 30, 40, 50]
    assert {each["status"] for each in ledger.published} == {"ACTIVE"}


def test_a_record_says_everything_in_absolute_figures_and_when_they_held() -> None:
    ledger = Ledger()
    ledger.open(10, terms=QUIET)
    ledger.claim("O-1", 7)
    ledger.claim("O-2", 4)
    ledger.cancel("O-1", 2)
    ledger.after(SECOND_MS)
    assert ledger.published == [
        {
            "promotionId": "FLASH-1",
            "sku": "SKU-1",
            "status": "ACTIVE",
            "reserved": 10,
            "consumed": 5,
            "cancelled": 2,
            "released": 0,
            "rejectedUnits": 4,
            "rejectedOrders": 1,
            "expiresAt": "2027-01-15T09:00:00.000Z",
            "at": "2027-01-15T08:00:01.000Z",
        }
    ]
    assert [send.key for send in ledger.sent if send.topic == "sale-figures"] == [b"FLASH-1/SKU-1"]


def test_a_sku_that_does_not_change_is_not_published_and_brings_no_tick() -> None:
    ledger = Ledger()
    ledger.open(100, terms=QUIET)
    ledger.claim("O-1")
    ledger.after(SECOND_MS)
    assert len(ledger.published) == 1
    assert FIGURES not in [kind for _, kind, _ in BY_CLOCK.due(ledger.rows, FAR_MS, 100)]
    ledger.at(ledger.row().verify_at_ms)
    ledger.do(c.Verified(*IDS, ledger.row().number, 90, 10, DriftKind.WRONG_QUANTITY))
    ledger.claim("O-1")  # is answered once more
    ledger.after(10 * SECOND_MS)
    assert len(ledger.published) == 1


def test_the_whole_life_of_a_sku_is_told_down_to_its_last_state() -> None:
    ledger = Ledger()
    ledger.reserve(10)
    ledger.after(SECOND_MS)
    ledger.do(c.HoldConfirmed(*IDS, 1, 10))
    ledger.after(SECOND_MS)
    ledger.claim("O-1", 4)
    ledger.end()
    ledger.after(SECOND_MS)
    ledger.close()
    ledger.after(SECOND_MS)
    told = [
        (each["status"], each["reserved"], each["consumed"], each["released"]) for each in ledger.published
    ]
    assert told == [("PENDING", 0, 0, 0), ("ACTIVE", 10, 0, 0), ("CLOSING", 10, 4, 0), ("CLOSED", 10, 4, 6)]


@pytest.mark.parametrize("reason", ["INSUFFICIENT_INVENTORY", "INVALID"])
def test_a_sku_that_is_refused_is_told_as_rejected(reason: str) -> None:
    ledger = Ledger()
    ledger.claim("O-1", 3)
    ledger.reserve(10)
    ledger.do(c.HoldFailed(*IDS, 1, reason, "no"))
    ledger.after(SECOND_MS)
    assert [(each["status"], each["reserved"], each["rejectedUnits"]) for each in ledger.published] == [
        ("REJECTED", 0, 3)
    ]


def test_claims_that_are_told_that_fluent_does_not_answer_are_in_the_figures_a_second_later() -> None:
    ledger = Ledger()
    ledger.reserve(10)
    ledger.claim("O-1", 3)
    ledger.after(TERMS.hold_timeout_ms + SECOND_MS)
    told = [(each["status"], each["rejectedUnits"]) for each in ledger.published]
    assert told == [("PENDING", 0), ("PENDING", 3)]


def test_what_comes_after_the_close_is_told_as_well() -> None:
    ledger = Ledger()
    ledger.open(10)
    ledger.claim("O-1", 4)
    ledger.close()
    ledger.after(SECOND_MS)
    ledger.cancel("O-1", 1)
    ledger.after(SECOND_MS)
    last = ledger.published[-1]
    assert (last["status"], last["consumed"], last["cancelled"], last["released"]) == ("CLOSED", 3, 1, 7)


def test_a_sku_of_which_nobody_started_a_sale_is_not_published() -> None:
    ledger = Ledger()
    ledger.claim("O-1")
    ledger.after(TERMS.claim_grace_ms + SECOND_MS)
    assert ledger.published == []


def test_a_change_that_was_committed_before_a_crash_is_published_by_the_next_owner() -> None:
    ledger = Ledger()
    ledger.open(10, terms=QUIET)
    ledger.claim("O-1", 4)
    ledger.rows = Rows(ledger.store)  # another process, with what was committed
    ledger.after(SECOND_MS)
    assert [each["consumed"] for each in ledger.published] == [4]


def test_a_second_costs_no_more_with_thousands_of_skus_and_each_gets_its_turn() -> None:
    ledger = Ledger()
    skus = [f"SKU-{n:04}" for n in range(3 * figures.MAX_FIGURES)]
    for sku in skus:
        ledger.do(c.Reserve(PROMOTION, sku, 5, NOON_MS + HOUR_MS, QUIET))
        ledger.do(c.HoldConfirmed(PROMOTION, sku, 1, 5))
    a_round = figures.MAX_FIGURES
    for number in range(6):
        for sku in skus:
            ledger.do(c.Claim(PROMOTION, sku, 1, f"{sku} {number}", NOON_MS, 5_000, HOUR_MS))
        before = len(ledger.published)
        ledger.after(SECOND_MS)
        assert len(ledger.published) == before + a_round
    told = [each["sku"] for each in ledger.published]
    assert sorted(told[: 3 * a_round]) == sorted(told[3 * a_round :]) == skus


def test_skus_that_change_one_after_the_other_are_published_together() -> None:
    ledger = Ledger()
    for sku in ("SKU-1", "SKU-2"):
        ledger.do(c.Reserve(PROMOTION, sku, 5, NOON_MS + HOUR_MS, QUIET))
        ledger.after(SECOND_MS // 3)
    assert [kind for _, kind, _ in BY_CLOCK.due(ledger.rows, FAR_MS, 100)].count(FIGURES) == 1
    ledger.at(NOON_MS + SECOND_MS)
    assert [each["sku"] for each in ledger.published] == ["SKU-1", "SKU-2"]


def test_what_is_left_of_a_second_is_published_in_the_next_although_nothing_changes_any_more() -> None:
    ledger = Ledger()
    skus = [f"SKU-{n:04}" for n in range(2 * figures.MAX_FIGURES + 1)]
    for sku in skus:
        ledger.do(c.Reserve(PROMOTION, sku, 5, NOON_MS + HOUR_MS, QUIET))
    ledger.after(3 * SECOND_MS)
    assert [each["sku"] for each in ledger.published] == skus
    assert [kind for _, kind, _ in BY_CLOCK.due(ledger.rows, FAR_MS, 1_000)].count(FIGURES) == 0
