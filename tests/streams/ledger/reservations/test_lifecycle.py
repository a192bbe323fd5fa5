from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from schemas.drift import DriftKind
from schemas.topics import FLUENT_REQUESTS
from streams.ledger import commands as c
from streams.ledger.fluent_requests import HoldRequest, ReleaseRequest, VerifyRequest, reservation_ref
from streams.ledger.reservations.ticks import MAX_DOUBLINGS
from streams.ledger.terms import Terms
from tests.streams.ledger.reservations.stage import (
    HOUR_MS,
    IDS,
    NOON_MS,
    PROMOTION,
    TERMS,
    Ledger,
    active,
    closed,
    decided,
    decode,
    fields,
    figures_in,
    of,
    pending,
    rejected,
    releasing,
)

REF = reservation_ref(*IDS)


def test_a_reserve_asks_fluent_for_the_hold_under_a_ref_that_every_repeat_shares() -> None:
    ledger = Ledger()
    out = ledger.reserve(100)
    assert out == [HoldRequest(*IDS, 1, REF, 100, NOON_MS + HOUR_MS, b'{"a":1}')]
    assert ledger.reserve(100) == []


def test_a_confirmed_hold_answers_the_reserve_and_reports_the_figures() -> None:
    ledger = Ledger()
    ledger.reserve(100)
    reserved, told = ledger.do(c.HoldConfirmed(*IDS, 1, 100))
    assert reserved == c.LineReserved(*IDS, 100, REF, NOON_MS + HOUR_MS)
    assert fields(told.figures) == {
        "version": 1, "state": "ACTIVE", "reserved": 100, "consumed": 0, "cancelled": 0, "released": 0,
        "rejected_units": 0, "rejected_orders": 0, "held": 100, "fluent_status": "ACTIVE",
        "checked_at_ms": NOON_MS, "drift_units": 0, "drift_kind": None, "of_age_at_ms": 0,
        "at_ms": NOON_MS,
    }  # fmt: skip


@pytest.mark.parametrize(("confirmed", "reserved"), [(100, 100), (60, 60), (140, 100)])
def test_never_more_is_sold_than_was_confirmed_or_than_was_asked_for(confirmed: int, reserved: int) -> None:
    ledger = Ledger()
    ledger.reserve(100)
    [answer] = of(c.LineReserved, ledger.do(c.HoldConfirmed(*IDS, 1, confirmed)))
    assert answer.quantity == ledger.row().reserved == reserved


def test_a_hold_of_nothing_is_a_refusal() -> None:
    ledger = Ledger()
    ledger.reserve(100)
    reserved = of(c.LineReserved, ledger.do(c.HoldConfirmed(*IDS, 1, 0)))[0]
    assert (reserved.reason, ledger.row().state) == ("INSUFFICIENT_INVENTORY", "REJECTED")


def test_a_failed_hold_answers_the_reserve_with_the_reason_and_the_error() -> None:
    ledger = Ledger()
    ledger.reserve(100)
    out = ledger.do(c.HoldFailed(*IDS, 1, "INSUFFICIENT_INVENTORY", "Fluent has 60 available."))
    expected = c.LineReserved(
        *IDS, 100, REF, NOON_MS + HOUR_MS, "INSUFFICIENT_INVENTORY", "Fluent has 60 available."
    )
    assert of(c.LineReserved, out) == [expected]
    assert [figures.state for figures in figures_in(out)] == ["REJECTED"]


def test_a_refused_hold_is_verified_once_after_a_while_and_not_at_once() -> None:
    ledger = Ledger()
    ledger.reserve(100)
    ledger.do(c.HoldFailed(*IDS, 1, "INSUFFICIENT_INVENTORY", "Fluent has 60 available."))
    assert of(VerifyRequest, ledger.after(TERMS.verify_ms - 1)) == []
    assert [request.closed for request in of(VerifyRequest, ledger.after(1))] == [True]


def test_a_reason_that_nobody_knows_is_told_as_fluent_unavailable() -> None:
    ledger = Ledger()
    ledger.reserve(100)
    [answer] = of(c.LineReserved, ledger.do(c.HoldFailed(*IDS, 1, "SOMETHING_ELSE", "no")))
    assert answer.reason == "FLUENT_UNAVAILABLE"


def test_a_close_ends_the_drift_and_says_that_it_was_looked_at_now() -> None:
    ledger = Ledger()
    ledger.open(100)
    ledger.do(c.Verified(*IDS, 1, 93, 7, DriftKind.FOREIGN_CHANGE))
    ledger.end()
    ledger.now_ms += 1_500
    [told] = figures_in(ledger.do(c.ReleaseConfirmed(*IDS, ledger.row().number)))
    assert (told.state, told.held, told.fluent_status) == ("CLOSED", 0, "INACTIVE")
    assert (told.drift_units, told.drift_kind, told.checked_at_ms) == (0, None, ledger.now_ms)


@pytest.mark.parametrize("before", [active, releasing, closed, rejected], ids=lambda f: f.__name__)
def test_a_repeated_reserve_gets_the_answer_of_the_first_one(before: Callable[[Ledger], None]) -> None:
    ledger = Ledger()
    before(ledger)
    first = next(send.value for send in ledger.sent if send.topic == "promotion-commands")
    ledger.sent.clear()
    ledger.reserve(100)
    assert [send.value for send in ledger.sent] == [first]


@pytest.mark.parametrize("reason", ["ENDED", "EXPIRED"])
def test_a_close_without_an_answer_about_the_hold_releases_what_fluent_may_be_about_to_hold(
    reason: str,
) -> None:
    ledger = Ledger()
    pending(ledger)
    if reason == "ENDED":
        ledger.end()
    out = ledger.after(TERMS.hold_timeout_ms)
    [answer] = of(c.LineReserved, out)
    assert answer.reason == reason
    how = {"ENDED": "was ended", "EXPIRED": "expired"}[reason]
    assert answer.error == f"The promotion {how} before Fluent confirmed the hold of 100 units of SKU-1."
    assert of(ReleaseRequest, out) == [ReleaseRequest(*IDS, 2, REF, 0, False)]
    assert ledger.do(c.HoldConfirmed(*IDS, 1, 100)) == []
    out = ledger.do(c.ReleaseConfirmed(*IDS, 2))
    assert [(figures.state, figures.reserved) for figures in figures_in(out)] == [("CLOSED", 0)]
    assert of(dict, out) == []
    assert of(c.LineReserved, ledger.reserve())[0].reason == reason


def test_an_end_before_its_reserve_holds_nothing_and_is_remembered() -> None:
    ledger = Ledger()
    ledger.end()
    out = ledger.reserve(100)
    assert [(answer.reason, answer.quantity) for answer in out] == [("ENDED", 100)]
    assert of(HoldRequest, out) == []
    assert (ledger.after(HOUR_MS), ledger.published[-1]["status"]) == ([], "CLOSED")


@pytest.mark.parametrize(("ended_at_ms", "reason"), [(0, "EXPIRED"), (NOON_MS - 2_001, "ENDED")])
def test_a_reserve_for_which_nothing_can_come_in_time_any_more_holds_nothing(
    ended_at_ms: int, reason: str
) -> None:
    ledger = Ledger()
    ledger.do(c.Tick(NOON_MS))
    out = ledger.do(c.Reserve(*IDS, 5, NOON_MS - 2_000, TERMS, b"", ended_at_ms))
    assert [answer.reason for answer in of(c.LineReserved, out)] == [reason]
    assert of(HoldRequest, out) == []
    assert ledger.row().state == "CLOSED"
    assert ledger.claim("O-1", placed_at_ms=NOON_MS - 60_000) == [decided("O-1", reason)]


def test_a_reserve_whose_promotion_was_ended_first_holds_nothing_and_counts_whom_it_turns_away() -> None:
    """Seen by reading: its ledger did not hear of it at all, so that the FINAL report said that nobody had
    been turned away, and each order was told so only after its grace."""
    ledger = Ledger()
    assert ledger.claim("O-1", 3) == []
    out = ledger.do(c.Reserve(*IDS, 5, NOON_MS + HOUR_MS, TERMS, ended_at_ms=NOON_MS - 1, ended_first=True))
    assert [(told.reason, told.error) for told in of(c.LineReserved, out)] == [
        ("ENDED", "Promotion FLASH-1 was ended before it was started.")
    ]
    assert (decided("O-1", "NO_RESERVATION", 3) in out, of(HoldRequest, out)) == (True, [])
    assert ledger.claim("O-2", 2) == [decided("O-2", "NO_RESERVATION", 2)]
    [*_, newest] = figures_in(ledger.after(TERMS.report_interval_ms))
    assert (newest.state, newest.rejected_units, newest.rejected_orders) == ("REJECTED", 5, 2)


def test_a_reserve_from_a_backlog_holds_its_units_for_the_orders_that_wait_behind_it() -> None:
    """Its time is over by the clock, not by the watermark."""
    ledger = Ledger()
    expires_at_ms = NOON_MS - HOUR_MS
    assert of(HoldRequest, ledger.do(c.Reserve(*IDS, 5, expires_at_ms, TERMS)))
    ledger.do(c.HoldConfirmed(*IDS, 1, 5))
    assert ledger.claim("O-1", placed_at_ms=expires_at_ms) == [decided("O-1")]
    assert ledger.claim("O-2", placed_at_ms=expires_at_ms + 1) == [decided("O-2", "EXPIRED")]
    ledger.do(c.Tick(expires_at_ms + TERMS.expiry_grace_ms - 1))
    assert ledger.row().state == "ACTIVE"
    ledger.do(c.Tick(expires_at_ms + TERMS.expiry_grace_ms))
    assert ledger.row().state == "RELEASING"


def test_a_reserve_without_a_positive_quantity_is_invalid() -> None:
    ledger = Ledger()
    out = ledger.do(c.Reserve(*IDS, -5, NOON_MS + HOUR_MS, TERMS))
    assert [answer.reason for answer in of(c.LineReserved, out)] == ["INVALID"]
    assert ledger.row().state == "REJECTED"


def test_a_release_publishes_what_went_back_on_sale() -> None:
    ledger = Ledger()
    ledger.open(100, terms=Terms(book_sale=True))
    ledger.claim("O-1", 30)
    ledger.end()
    ledger.now_ms += 1_500
    ledger.do(c.ReleaseConfirmed(*IDS, ledger.row().number))
    record = next(send for send in ledger.sent if send.topic == "reservation-releases")
    assert record.key == b"SKU-1"
    assert (record.value or b"").decode() == json.dumps(
        {
            "promotionId": "FLASH-1", "sku": "SKU-1", "reservationRef": REF, "reserved": 100,
            "consumed": 30, "released": 70, "cause": "ENDED", "releasedAt": "2027-01-15T08:00:01.500Z",
        },
        separators=(",", ":"),
    )  # fmt: skip


def test_an_idle_reservation_expires_when_the_grace_is_over_and_not_before() -> None:
    ledger = Ledger()
    ledger.open(100, terms=Terms(report_interval_ms=10 * HOUR_MS))
    assert ledger.after(HOUR_MS + TERMS.expiry_grace_ms - 1) == []
    assert of(ReleaseRequest, ledger.after(1)) == [ReleaseRequest(*IDS, 2, REF, 0, False, confirmed=True)]


def test_without_auto_release_claims_expire_but_units_stay_held_until_the_end() -> None:
    ledger = Ledger()
    ledger.open(100, terms=Terms(auto_release=False), expires_in_ms=HOUR_MS)
    out = ledger.after(3 * HOUR_MS)
    assert of(ReleaseRequest, out) == []
    assert ledger.row().state == "ACTIVE"
    late_ms = NOON_MS + HOUR_MS + 1
    assert ledger.claim("O-1", placed_at_ms=late_ms) == [decided("O-1", "EXPIRED")]
    assert of(ReleaseRequest, ledger.end())
    assert ledger.claim("O-2", placed_at_ms=late_ms) == [decided("O-2", "EXPIRED")], "which came first"


def test_a_refused_release_is_closed_with_drift_and_no_release_record() -> None:
    ledger = Ledger()
    ledger.open(100, terms=Terms(book_sale=True))
    ledger.claim("O-1", 30)
    ledger.end()
    out = ledger.do(c.ReleaseFailed(*IDS, 2, 70, "forbidden"))
    figures = figures_in(out)[0]
    assert (figures.state, figures.drift_units, figures.drift_kind) == ("CLOSED", 70, "RELEASE_REFUSED")
    assert figures.reserved == figures.consumed + figures.released
    assert of(dict, out) == []
    assert (ledger.notices[-1].level, ledger.notices[-1].event) == ("error", "drift")
    assert ledger.notices[-1].fields["error"] == "forbidden"


def test_a_refused_release_is_published_once_a_verify_finds_nothing_held() -> None:
    ledger = Ledger()
    ledger.open(100)
    ledger.end()
    ledger.do(c.ReleaseFailed(*IDS, 2, 100, "forbidden"))
    ledger.after(TERMS.verify_ms)
    out = ledger.do(c.Verified(*IDS, 3, 0, 100, DriftKind.LATE_ACTIVATION, 100))
    assert [record["released"] for record in of(dict, out)] == [100]
    assert (ledger.row().drift_units, ledger.row().drift_kind) == (0, None)
    undone = ledger.notices[-1]
    assert (undone.event, undone.fields["corrected_units"]) == ("late_write_undone", 100)
    assert undone.fields["kind"] == "LATE_ACTIVATION"


def test_while_a_verify_finds_units_held_no_release_is_published() -> None:
    ledger = Ledger()
    ledger.open(100)
    ledger.end()
    ledger.do(c.ReleaseFailed(*IDS, 2, 100, "forbidden"))
    ledger.after(TERMS.verify_ms)
    assert of(dict, ledger.do(c.Verified(*IDS, 3, 100, 100, DriftKind.RELEASE_REFUSED))) == []


def test_a_hold_that_is_gone_amid_the_sale_is_drift_and_no_release() -> None:
    ledger = Ledger()
    ledger.open(100)
    out = ledger.do(c.Verified(*IDS, 1, 0, 100, DriftKind.FOREIGN_CHANGE))
    for _ in range(2):
        out += ledger.do(c.Verified(*IDS, 1, 60, 40, DriftKind.FOREIGN_CHANGE))
    told = [(figures.state, figures.drift_units, figures.fluent_status) for figures in figures_in(out)]
    assert told == [("ACTIVE", 100, "INACTIVE"), ("ACTIVE", 40, "ACTIVE")]
    assert of(dict, out) == []
    assert [notice.event for notice in ledger.notices] == ["drift", "drift"]


def test_ten_thousand_skus_that_expire_together_take_a_few_rounds_through_the_log() -> None:
    """Seen: two hundred deadlines a round, so fifty rounds. Nor are there more Continues than are of use."""
    ledger = Ledger()
    for n in range(10_000):
        ledger.step(c.Reserve(PROMOTION, f"SKU-{n}", 1, NOON_MS + HOUR_MS, TERMS))
        ledger.step(c.HoldConfirmed(PROMOTION, f"SKU-{n}", 1, 1))
    ledger.now_ms += HOUR_MS + TERMS.expiry_grace_ms
    inbox: list[c.SkuCommand] = [c.Tick(ledger.now_ms)]
    rounds, released = 0, 0
    while inbox:
        sent = [send for command in inbox for send in ledger.step(command)]
        released += sum(isinstance(decode(s), ReleaseRequest) for s in sent if s.topic == FLUENT_REQUESTS)
        inbox = [decode(send) for send in sent if send.own]
        assert len(inbox) <= 2**MAX_DOUBLINGS
        rounds += released < 10_000
    assert released == 10_000
    assert rounds < 12
