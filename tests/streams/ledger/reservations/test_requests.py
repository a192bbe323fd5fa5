from __future__ import annotations

from collections.abc import Callable

import pytest

from schemas.drift import DriftKind
from streams.ledger import commands as c
from streams.ledger.fluent_requests import (
    HoldRequest,
    ReleaseRequest,
    VerifyPage,
    VerifyRequest,
    reservation_ref,
)
from streams.ledger.reservations import earliest_deadline_ms
from streams.ledger.terms import Terms
from tests.streams.ledger.reservations.stage import (
    HOUR_MS,
    IDS,
    NOON_MS,
    TERMS,
    Ledger,
    decode,
    figures_in,
    of,
)

REF = reservation_ref(*IDS)
REPORT_MS = TERMS.report_interval_ms


def verify(number: int, held: int, *, consumed: int = 0, closed: bool = False) -> VerifyRequest:
    return VerifyRequest(*IDS, number, REF, held, consumed, False, closed)


def test_an_unanswered_request_is_repeated_exactly_until_it_is_answered() -> None:
    ledger = Ledger()
    first = ledger.reserve(100)
    assert ledger.after(TERMS.ask_again_ms - 1) == []
    assert ledger.after(1) == first
    assert ledger.after(TERMS.ask_again_ms) == first
    ledger.do(c.HoldConfirmed(*IDS, 1, 100))
    assert of(HoldRequest, ledger.after(HOUR_MS // 2)) == []


STALE: list[Callable[[int], c.SkuCommand]] = [
    lambda number: c.HoldConfirmed(*IDS, number, 55),
    lambda number: c.HoldFailed(*IDS, number, "INVALID", "late"),
    lambda number: c.SettleConfirmed(*IDS, number, 55),
    lambda number: c.SettleFailed(*IDS, number, "late"),
    lambda number: c.ReleaseConfirmed(*IDS, number),
    lambda number: c.ReleaseFailed(*IDS, number, 55, "late"),
    lambda number: c.Verified(*IDS, number, 55, 5, DriftKind.DUPLICATE, 5),
]


@pytest.mark.parametrize("answer", STALE)
@pytest.mark.parametrize("number", [0, 1, 3, 99])
def test_an_answer_with_another_number_changes_nothing(
    answer: Callable[[int], c.SkuCommand], number: int
) -> None:
    ledger = Ledger()
    ledger.open(100)
    ledger.end()
    before = dict(ledger.store.rows)
    assert ledger.do(answer(number)) == []
    assert ledger.store.rows == before


@pytest.mark.parametrize("answer", STALE)
def test_an_answer_about_an_unknown_reservation_is_ignored(answer: Callable[[int], c.SkuCommand]) -> None:
    ledger = Ledger()
    assert ledger.do(answer(1)) == []
    assert ledger.store.rows == {}


def test_a_continue_of_a_kind_that_nobody_knows_is_ignored() -> None:
    ledger = Ledger()
    assert ledger.do(c.Continue("no such kind")) == []
    assert ledger.store.rows == {}


@pytest.mark.parametrize("answer", STALE[2:])
def test_an_answer_of_another_kind_under_the_right_number_changes_nothing(
    answer: Callable[[int], c.SkuCommand],
) -> None:
    ledger = Ledger()
    ledger.reserve(100)
    assert ledger.do(answer(1)) == []
    assert ledger.row().state == "PENDING"


@pytest.mark.parametrize("passed_ms", [0, 1, 999])
def test_a_tick_that_comes_early_or_twice_changes_nothing(passed_ms: int) -> None:
    ledger = Ledger()
    ledger.reserve(100)
    ledger.now_ms += passed_ms
    before = dict(ledger.store.rows)
    assert ledger.do(c.Tick()) + ledger.do(c.Tick()) == []
    assert ledger.store.rows == before


def test_a_tick_that_comes_late_does_everything_that_was_due() -> None:
    ledger = Ledger()
    ledger.reserve(100, expires_in_ms=TERMS.hold_timeout_ms - TERMS.expiry_grace_ms)
    ledger.claim("O-1")
    ledger.after(TERMS.hold_timeout_ms - 1)
    ledger.now_ms += 1_000
    out = ledger.do(c.Tick(ledger.now_ms))
    assert [answer.reason for answer in of(c.LineDecided, out)] == ["FLUENT_UNAVAILABLE"]
    assert ledger.row().state == "RELEASING"


def test_after_the_close_one_verify_undoes_what_may_have_come_late() -> None:
    ledger = Ledger()
    ledger.open(100)
    ledger.claim("O-1", 3)
    ledger.close()
    assert ledger.after(TERMS.verify_ms - 1) == []
    assert ledger.after(1) == [verify(4, 0, consumed=3, closed=True)]
    assert ledger.after(TERMS.ask_again_ms) == [verify(4, 0, consumed=3, closed=True)]
    assert ledger.do(c.Verified(*IDS, 4, 0)) == []
    assert of(VerifyRequest, ledger.after(100 * HOUR_MS)) == []


def test_a_late_write_that_the_verify_undid_is_noticed_and_is_no_drift_any_more() -> None:
    ledger = Ledger()
    ledger.open(100)
    ledger.close()
    ledger.after(TERMS.verify_ms)
    ledger.do(c.Verified(*IDS, 3, 0, 100, DriftKind.LATE_ACTIVATION, 100))
    assert (ledger.row().drift_units, ledger.row().drift_kind) == (0, None)
    assert (ledger.notices[-1].event, ledger.notices[-1].fields["corrected_units"]) == (
        "late_write_undone",
        100,
    )


@pytest.mark.parametrize("state", ["rejected", "ended while pending"])
def test_a_hold_that_was_asked_for_and_not_kept_is_verified_too(state: str) -> None:
    ledger = Ledger()
    ledger.reserve(100)
    if state == "rejected":
        ledger.do(c.HoldFailed(*IDS, 1, "INVALID", "no such SKU"))
    else:
        ledger.after(TERMS.hold_timeout_ms)
        ledger.close()
    number = ledger.row().number + 1
    assert of(VerifyRequest, ledger.after(TERMS.verify_ms)) == [verify(number, 0, closed=True)]


def test_while_active_the_hold_is_checked_so_often_that_drift_is_reported_within_an_interval() -> None:
    ledger = Ledger()
    ledger.open(100, expires_in_ms=1_000 * HOUR_MS, terms=Terms(settle_delay_ms=500 * HOUR_MS))
    asked_at: list[int] = []
    while len(asked_at) < 4:
        if of(VerifyPage, ledger.at(earliest_deadline_ms(ledger.rows) or 0)):
            asked_at.append(ledger.now_ms - NOON_MS)
    assert asked_at == [REPORT_MS * 3 // 4 * nth for nth in (1, 2, 3, 4)]


def test_drift_is_told_to_promotions_at_once() -> None:
    ledger = Ledger()
    ledger.open(100)
    [page] = of(VerifyPage, ledger.after(REPORT_MS * 3 // 4))
    [figures] = figures_in(ledger.do(c.Verified(*IDS, 1, 60, 40, DriftKind.FOREIGN_CHANGE, 0, page.round)))
    assert (figures.drift_units, figures.drift_kind) == (40, DriftKind.FOREIGN_CHANGE)


def test_nothing_is_verified_while_nothing_is_held_any_more() -> None:
    ledger = Ledger()
    ledger.open(2, terms=Terms(ask_again_ms=HOUR_MS))
    ledger.claim("O-1", 2)
    ledger.after(40_000)
    ledger.do(c.SettleConfirmed(*IDS, 2, 0))
    assert of(VerifyPage, ledger.after(HOUR_MS // 2)) == []


def test_drift_is_reported_and_noticed_once_with_what_to_do() -> None:
    ledger = Ledger()
    ledger.open(100)
    out: list[object] = []
    for _ in range(2):
        [page] = of(VerifyPage, ledger.after(REPORT_MS * 3 // 4))
        out += ledger.do(c.Verified(*IDS, 1, 60, 40, DriftKind.FOREIGN_CHANGE, 0, page.round))
    drift = [notice for notice in ledger.notices if notice.event == "drift"]
    assert [(notice.level, notice.fields["drift_units"]) for notice in drift] == [("warning", 40)]
    assert drift[0].fields["recommendation"]
    figures = figures_in(out)
    assert [(f.held, f.drift_units, f.drift_kind) for f in figures] == [(60, 40, DriftKind.FOREIGN_CHANGE)]


def test_thousands_of_due_deadlines_are_acted_on_in_bounded_steps() -> None:
    ledger = Ledger()
    skus = [f"SKU-{n}" for n in range(1_000)]
    for sku in skus:
        ledger.step(c.Reserve("FLASH-1", sku, 5, NOON_MS + 30_000, TERMS))
        ledger.step(c.Claim("FLASH-1", sku, 1, "O-1", NOON_MS, 5_000, HOUR_MS))
    ledger.after(TERMS.hold_timeout_ms - 1)
    ledger.now_ms += 1
    out = ledger.do(c.Tick(ledger.now_ms))
    assert sorted(answer.sku for answer in of(c.LineDecided, out)) == sorted(skus)
    assert {answer.reason for answer in of(c.LineReserved, out)} == {"EXPIRED"}
    assert len(of(c.LineReserved, out)) == 1_000


def test_deadlines_of_both_clocks_share_the_bound_of_a_command() -> None:
    ledger = Ledger()
    closes_at_ms = NOON_MS + TERMS.ask_again_ms
    for n in range(150):
        ledger.step(c.Reserve("FLASH-1", f"OVER-{n}", 5, closes_at_ms - TERMS.expiry_grace_ms, TERMS))
        ledger.step(c.HoldConfirmed("FLASH-1", f"OVER-{n}", 1, 5))
    for n in range(400):
        ledger.step(c.Reserve("FLASH-1", f"ASKED-{n}", 5, NOON_MS + HOUR_MS, TERMS))
    ledger.now_ms = closes_at_ms
    out = ledger.do(c.Tick(ledger.now_ms))
    assert len({request.sku for request in of(ReleaseRequest, out)}) == 150
    assert len({request.sku for request in of(HoldRequest, out)}) == 400


def test_each_request_is_keyed_by_its_sku_and_each_answer_by_its_own_log() -> None:
    ledger = Ledger()
    ledger.open(1)
    ledger.claim("O-1")
    ledger.cancel("O-1")
    keys = {(send.topic, send.key) for send in ledger.sent}
    assert keys == {
        ("fluent-requests", b"SKU-1"),
        ("promotion-commands", b"FLASH-1"),
        ("order-commands", b"O-1"),
    }
    assert all(decode(send) for send in ledger.sent)
