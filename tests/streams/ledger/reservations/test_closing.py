"""The close: unsold units go back on sale at once, sold ones only once somebody had the time to book them."""

from __future__ import annotations

from typing import Any

import pytest

from streams.ledger import commands as c
from streams.ledger.effects import RELEASED, Effects
from streams.ledger.fluent_requests import ReleaseRequest, SettleRequest, reservation_ref
from streams.ledger.reservations import decide
from streams.ledger.terms import Terms
from tests.streams.ledger.reservations.stage import (
    DELAY_MS,
    IDS,
    INTERVAL_MS,
    QUIET,
    TERMS,
    Ledger,
    confirm,
    figures_in,
    of,
)

REF = reservation_ref(*IDS)


def settle(number: int, remaining: int, consumed: int) -> SettleRequest:
    return SettleRequest(*IDS, number, REF, remaining, consumed)


def closing(*, old: int = 0, young: int = 0, reserved: int = 100, terms: Terms = QUIET) -> Ledger:
    """A reservation at its close, of which OLD was sold long ago and YOUNG just now."""
    ledger = Ledger()
    ledger.open(reserved, terms=terms)
    if old:
        ledger.claim("OLD", old)
        ledger.of_age()
    if young:
        ledger.claim("YOUNG", young)
    ledger.sent.clear()
    return ledger


def released(out: list[Any]) -> list[tuple[int, int, int, str]]:
    """The release records among what was sent."""
    names = ("reserved", "consumed", "released", "cause")
    return [tuple(record[name] for name in names) for record in of(dict, out)]


def test_unsold_units_are_released_at_once_and_young_ones_stay_held_until_they_are_of_age() -> None:
    ledger = closing(old=10, young=5)
    assert of(SettleRequest, ledger.end()) == [settle(3, 5, 10)]
    assert released(confirm(ledger)) == [(100, 15, 85, "ENDED")]
    assert of(ReleaseRequest, ledger.after(DELAY_MS - 1)) == []
    assert of(ReleaseRequest, ledger.after(INTERVAL_MS)) == [ReleaseRequest(*IDS, 4, REF, 15, confirmed=True)]
    out = confirm(ledger)
    assert released(out) == [], "one record a SKU"
    assert [figures.state for figures in figures_in(out)] == ["CLOSED"]


def test_how_long_the_release_took_since_the_deadline_is_measured() -> None:
    ledger = closing(old=10)
    ledger.end()
    ledger.now_ms += 1_500
    effects = Effects()
    decide(ledger.rows, c.ReleaseConfirmed(*IDS, ledger.row().number), ledger.now_ms, effects)
    assert effects.waits == [(RELEASED, QUIET.expiry_grace_ms + 1_500)]


def test_where_everything_sold_is_of_age_the_hold_ends_at_once() -> None:
    ledger = closing(old=10)
    assert of(ReleaseRequest, ledger.end()) == [ReleaseRequest(*IDS, 3, REF, 10, confirmed=True)]
    assert released(confirm(ledger)) == [(100, 10, 90, "ENDED")]


def test_units_that_come_of_age_with_the_close_do_not_hold_it_up() -> None:
    ledger = closing(young=5)
    ledger.now_ms += DELAY_MS + INTERVAL_MS
    assert of(ReleaseRequest, ledger.end()) == [ReleaseRequest(*IDS, 2, REF, 5, confirmed=True)]


def test_units_that_were_sold_in_one_moment_stay_held_together() -> None:
    ledger = closing(young=5)
    ledger.claim("AS-YOUNG", 2)
    assert of(SettleRequest, ledger.end()) == [settle(2, 7, 0)]


@pytest.mark.parametrize("moment_ms", [0, 1])
def test_where_the_ledger_books_the_sales_itself_nothing_stays_held(moment_ms: int) -> None:
    ledger = closing(terms=Terms(book_sale=True))
    ledger.now_ms += moment_ms
    ledger.claim("YOUNG", 5)
    assert of(ReleaseRequest, ledger.end()) == [ReleaseRequest(*IDS, 2, REF, 5, True, confirmed=True)]
    assert of(ReleaseRequest, ledger.cancel("YOUNG", 2)) == [], "Fluent has not answered about the first one"


def test_a_sold_out_reservation_is_held_until_its_last_unit_is_of_age() -> None:
    ledger = closing(young=5, reserved=5)
    assert of(SettleRequest, ledger.end()) == [settle(2, 5, 0)]
    assert released(confirm(ledger)) == [(5, 5, 0, "ENDED")]
    assert of(ReleaseRequest, ledger.after(DELAY_MS + INTERVAL_MS)) == [
        ReleaseRequest(*IDS, 3, REF, 5, confirmed=True)
    ]


def test_units_that_come_of_age_one_after_the_other_leave_the_hold_one_after_the_other() -> None:
    ledger = closing(young=5)
    ledger.after(DELAY_MS // 2)
    ledger.claim("YOUNGER", 3)
    assert of(SettleRequest, ledger.end()) == [settle(2, 8, 0)]
    confirm(ledger)
    assert of(SettleRequest, ledger.after(DELAY_MS // 2 + INTERVAL_MS)) == [settle(3, 3, 5)]
    confirm(ledger)
    assert of(ReleaseRequest, ledger.after(DELAY_MS // 2 + INTERVAL_MS)) == [
        ReleaseRequest(*IDS, 4, REF, 8, confirmed=True)
    ]


def test_a_young_unit_that_is_cancelled_after_the_close_is_released_at_once() -> None:
    ledger = closing(young=5)
    ledger.end()
    confirm(ledger)
    out = ledger.cancel("YOUNG", 2)
    assert of(SettleRequest, out) == [settle(3, 3, 0)]
    assert released(out) == [(100, 3, 97, "CANCELLED")]
    confirm(ledger)
    ledger.after(DELAY_MS + INTERVAL_MS)
    assert released(confirm(ledger)) == []


def test_the_last_young_unit_that_is_cancelled_ends_the_hold() -> None:
    ledger = closing(old=10, young=5)
    ledger.end()
    confirm(ledger)
    out = ledger.cancel("YOUNG")
    assert of(ReleaseRequest, out) == [ReleaseRequest(*IDS, 4, REF, 10, confirmed=True)]


def test_a_cancel_before_fluent_confirms_the_close_is_part_of_the_one_release_record() -> None:
    ledger = closing(young=5)
    ledger.end()
    assert released(ledger.cancel("YOUNG", 2)) == []
    out = confirm(ledger)
    assert released(out) == [(100, 3, 97, "ENDED")]
    assert of(SettleRequest, out) == [settle(3, 3, 0)]


def test_a_unit_of_age_that_is_cancelled_after_the_close_is_given_back_by_the_shop_that_booked_it() -> None:
    ledger = closing(old=10, young=5)
    ledger.end()
    confirm(ledger)
    out = ledger.cancel("OLD", 4)
    assert released(out) == [(100, 11, 89, "CANCELLED")]
    assert of(SettleRequest, out) == [], "the hold does not grow again"


@pytest.mark.parametrize("shares", [(5, 0), (3, 2)])
def test_the_close_supersedes_a_settle_in_flight_and_its_answer_releases_nothing(
    shares: tuple[int, int],
) -> None:
    ledger = closing(young=5)
    ledger.after(DELAY_MS + INTERVAL_MS)
    in_flight = ledger.row().number
    ledger.claim("YOUNGER", shares[0])
    ledger.end()
    assert ledger.do(c.SettleConfirmed(*IDS, in_flight, 95)) == []
    assert released(confirm(ledger)) == [(100, 5 + shares[0], 95 - shares[0], "ENDED")]


def test_units_of_an_order_that_is_decided_late_stay_held_after_the_close_as_well() -> None:
    ledger = closing(young=5)
    ledger.end()
    confirm(ledger)
    ledger.after(DELAY_MS - 1_000)
    ledger.do(c.Keep(*IDS, "YOUNG"))
    assert of(ReleaseRequest, ledger.after(DELAY_MS - INTERVAL_MS)) == []
    assert of(ReleaseRequest, ledger.after(2 * INTERVAL_MS))


def test_a_refused_settle_at_the_close_is_drift_and_the_hold_ends_all_the_same() -> None:
    ledger = closing(young=5)
    ledger.end()
    out = ledger.do(c.SettleFailed(*IDS, 2, "forbidden"))
    assert released(out) == []
    assert (ledger.row().drift_units, ledger.row().drift_kind) == (95, "SETTLE_REFUSED")
    assert of(ReleaseRequest, ledger.after(DELAY_MS + INTERVAL_MS)) == [
        ReleaseRequest(*IDS, 3, REF, 5, confirmed=True)
    ]
    assert released(confirm(ledger)) == [(100, 5, 95, "ENDED")]
    assert ledger.row().drift_units == 0


def test_a_refused_release_after_the_close_was_told_owes_no_second_record() -> None:
    ledger = closing(young=5)
    ledger.end()
    confirm(ledger)
    ledger.after(DELAY_MS + INTERVAL_MS)
    ledger.do(c.ReleaseFailed(*IDS, ledger.row().number, 5, "forbidden"))
    ledger.after(TERMS.verify_ms)
    assert released(ledger.do(c.Verified(*IDS, ledger.row().number, 0, corrected_units=5))) == []


def test_the_figures_say_until_when_sold_units_stay_held() -> None:
    ledger = closing(young=5)
    of_age_at_ms = ledger.row().unripe_at_ms[-1]
    assert [figures.of_age_at_ms for figures in figures_in(ledger.end())] == [of_age_at_ms]
    confirm(ledger)
    assert figures_in(ledger.close())[-1].of_age_at_ms == 0


def test_a_claim_that_waited_for_a_new_owner_is_not_settled_before_its_outcome_is_old_enough() -> None:
    """Its own time is that of its record, but its outcome was published when the new owner decided it."""
    ledger = Ledger()
    ledger.open(100, terms=QUIET)
    ledger.claim("O-1", 3)
    ledger.now_ms += 10 * DELAY_MS
    assert of(SettleRequest, ledger.do(c.Tick(ledger.now_ms, ledger.now_ms - 10 * DELAY_MS))) == []
    assert of(SettleRequest, ledger.after(DELAY_MS - 1)) == []
    assert of(SettleRequest, ledger.after(INTERVAL_MS)) == [settle(2, 97, 3)]


def test_an_end_of_the_future_is_repaired_by_one_that_was_placed_sooner_and_by_no_later_one() -> None:
    ledger = Ledger()
    ledger.open(10, terms=QUIET)
    now_ms = ledger.now_ms
    for ended_at_ms in (now_ms + 30 * 60_000, now_ms, now_ms + 1):
        ledger.do(c.End(*IDS, ended_at_ms))
    assert ledger.row().deadline_ms == now_ms
    answers = [ledger.claim(f"O-{late_ms}", placed_at_ms=now_ms + late_ms) for late_ms in (0, 1)]
    assert [answer.reason for (answer,) in answers] == ["", "ENDED"]
    ledger.after(QUIET.expiry_grace_ms)
    assert ledger.row().state == "RELEASING"
