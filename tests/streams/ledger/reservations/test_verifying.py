"""Open reservations are verified by rounds: in pages, and only what differs costs a row."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.drift import DriftKind
from streams.ledger import commands as c
from streams.ledger.fluent_requests import SettleRequest, VerifyPage, VerifyRequest
from streams.ledger.reservations import earliest_deadline_ms
from streams.ledger.reservations.state import BY_CLOCK, RESERVATIONS, VERIFY, WAKE
from streams.ledger.reservations.verifying import OPEN, ROUNDS
from streams.ledger.terms import Terms
from tests.streams.ledger.reservations.stage import (
    HOUR_MS,
    IDS,
    NOON_MS,
    PROMOTION,
    SKU,
    TERMS,
    Ledger,
    figures_in,
    of,
)

EVERY_MS = TERMS.report_interval_ms * 3 // 4
LONG = Terms(settle_delay_ms=500 * HOUR_MS)
SALE = Terms(book_sale=True, verify_ms=60_000)


def pages(ledger: Ledger, passed_ms: int = EVERY_MS) -> list[VerifyPage]:
    return of(VerifyPage, ledger.after(passed_ms))


def the_line(ledger: Ledger) -> VerifyRequest:
    [page] = pages(ledger)
    [line] = page.lines
    return line


def answer(
    ledger: Ledger, drift_units: int = 0, number: int | None = None, of_round: int | None = None
) -> list[Any]:
    """The answer to the reservation's line, in the newest round unless it is said in which."""
    found = ledger.rows.get(ROUNDS, b"")
    kind = DriftKind.FOREIGN_CHANGE if drift_units else None
    if of_round is None:
        of_round = found.number if found is not None else 0
    given = ledger.row().number if number is None else number
    return ledger.do(c.Verified(*IDS, given, 100 - drift_units, drift_units, kind, 0, of_round))


def test_a_line_says_what_should_be_held_by_the_newest_request() -> None:
    ledger = Ledger()
    ledger.open(100)
    ledger.claim("O-1", 30)
    ledger.of_age()
    line = the_line(ledger)
    assert (line.number, line.held, line.consumed, line.closed) == (2, 70, 30, False)


def test_one_that_is_closed_is_in_no_page_and_rounds_end_with_the_last() -> None:
    ledger = Ledger()
    ledger.open(100)
    ledger.close()
    assert pages(ledger) == []
    ledger.verify()
    assert ledger.rows.scan(OPEN, b"", b"\xff", 10) == []
    ledger.after(3 * TERMS.retention_ms)
    assert earliest_deadline_ms(ledger.rows) is None


def test_an_outstanding_verify_holds_up_no_settle() -> None:
    ledger = Ledger()
    ledger.open(100, terms=Terms(ask_again_ms=HOUR_MS))
    ledger.after(EVERY_MS - 1_000)
    ledger.claim("O-1", 3)
    assert len(pages(ledger, 1_000)) == 1
    assert [settle.remaining for settle in of(SettleRequest, ledger.after(EVERY_MS))] == [97]


def test_a_verify_after_the_close_holds_up_no_settle_and_follows_it() -> None:
    ledger = Ledger()
    ledger.open(100, terms=SALE)
    ledger.claim("O-1", 3)
    ledger.close()
    [verify] = of(VerifyRequest, ledger.after(SALE.verify_ms))
    [settle] = of(SettleRequest, ledger.cancel("O-1", 2))
    assert (settle.number, settle.consumed) == (verify.number + 1, 1)
    [again] = of(VerifyRequest, ledger.do(c.SettleConfirmed(*IDS, settle.number, 0)))
    assert (again.number, again.consumed, again.closed) == (settle.number + 1, 1, True)


def test_one_that_waits_for_an_answer_is_verified_after_it() -> None:
    ledger = Ledger()
    ledger.open(100, terms=Terms(ask_again_ms=HOUR_MS))
    ledger.claim("O-1", 3)
    ledger.after(TERMS.settle_delay_ms + TERMS.settle_interval_ms)
    assert pages(ledger) == []
    [page] = of(VerifyPage, ledger.do(c.SettleConfirmed(*IDS, 2, 97)))
    assert [(line.number, line.held) for line in page.lines] == [(2, 97)]
    [figures] = figures_in(answer(ledger, 7))
    assert figures.drift_units == 7


def test_one_that_is_sold_out_by_then_is_not_verified() -> None:
    ledger = Ledger()
    ledger.open(2, terms=Terms(ask_again_ms=HOUR_MS))
    ledger.claim("O-1", 2)
    ledger.after(EVERY_MS)
    assert ledger.row().verify_wanted
    assert ledger.do(c.SettleConfirmed(*IDS, 2, 0)) == []


def test_drift_that_is_gone_is_asked_about_and_cleared() -> None:
    ledger = Ledger()
    ledger.open(100, terms=LONG)
    assert not the_line(ledger).differed
    answer(ledger, 1)
    assert the_line(ledger).differed
    [figures] = figures_in(answer(ledger))
    assert (figures.drift_units, figures.held) == (0, 100)
    assert not the_line(ledger).differed


def test_an_answer_that_a_newer_request_has_overtaken_is_not_believed_but_looked_into() -> None:
    ledger = Ledger()
    ledger.open(100, terms=Terms(ask_again_ms=HOUR_MS))
    ledger.claim("O-1", 3)
    pages(ledger)
    ledger.after(1)
    assert ledger.row().request == "S"
    assert answer(ledger, 3, number=1) == []
    assert ledger.row().drift_units == 0
    [page] = of(VerifyPage, ledger.do(c.SettleConfirmed(*IDS, 2, 97)))
    assert [line.held for line in page.lines] == [97]


def test_an_answer_from_a_former_round_changes_no_figures() -> None:
    ledger = Ledger()
    ledger.open(100, terms=LONG)
    pages(ledger)
    pages(ledger)
    assert figures_in(answer(ledger, 7, of_round=1)) == []
    assert ledger.row().drift_units == 0


@pytest.mark.parametrize("rounds", [1, 3])
def test_drift_is_found_although_fluent_takes_longer_than_a_round_to_answer(rounds: int) -> None:
    """Seen: where each answer came after the next round had begun, none was ever believed."""
    ledger = Ledger()
    ledger.open(100, terms=LONG)
    [page] = pages(ledger)
    ledger.after(rounds * EVERY_MS)
    [alone] = of(VerifyPage, late(ledger, page, 7))
    assert alone.alone and [line.held for line in alone.lines] == [100]
    ledger.after(rounds * EVERY_MS)
    [figures] = figures_in(late(ledger, alone, 7))
    assert figures.drift_units == 7
    assert late(ledger, page, 7) == [], "that is known"
    [alone] = of(VerifyPage, late(ledger, page, 0))
    ledger.after(rounds * EVERY_MS)
    [figures] = figures_in(late(ledger, alone, 0))
    assert figures.drift_units == 0


def late(ledger: Ledger, page: VerifyPage, drift_units: int) -> list[Any]:
    """The answer to the page's line, as the gateway gives it."""
    return answer(ledger, drift_units, of_round=0 if page.alone else page.round)


@pytest.mark.parametrize("answered", [True, False])
def test_figures_say_when_the_hold_was_looked_at_in_a_round_of_which_every_page_was_answered(
    answered: bool,
) -> None:
    ledger = Ledger()
    ledger.open(100, terms=LONG)
    opened_at_ms = ledger.now_ms
    [page] = pages(ledger)
    looked_at_ms = ledger.now_ms
    if answered:
        ledger.do(c.PageVerified(page.round, page.page))
        ledger.do(c.PageVerified(page.round, page.page))
    ledger.claim("O-1")
    [figures] = figures_in(ledger.after(TERMS.report_interval_ms))
    assert figures.checked_at_ms == (looked_at_ms if answered else opened_at_ms)


def test_a_round_says_nothing_about_a_hold_that_is_sold_and_gone() -> None:
    ledger = Ledger()
    ledger.open(2)
    ledger.do(c.Reserve(PROMOTION, "SKU-2", 5, NOON_MS + HOUR_MS, TERMS))
    ledger.do(c.HoldConfirmed(PROMOTION, "SKU-2", 1, 5))
    ledger.claim("O-1", 2)
    ledger.of_age()
    looked_at_ms = ledger.row().checked_at_ms
    [page] = pages(ledger)
    ledger.do(c.PageVerified(page.round, page.page))
    ledger.claim("O-2")
    told = of(c.LineFigures, ledger.after(TERMS.report_interval_ms))
    assert [each.figures.checked_at_ms for each in told if each.sku == SKU] == [looked_at_ms]


def test_an_answer_about_a_page_of_a_former_round_says_nothing_about_this_one() -> None:
    ledger = Ledger()
    ledger.open(100, terms=LONG)
    [first], [_] = pages(ledger), pages(ledger)
    ledger.do(c.PageVerified(first.round, first.page))
    found = ledger.rows.get(ROUNDS, b"")
    assert found is not None and (found.unanswered, found.verified_at_ms) == ([0], 0)


def test_a_reservation_of_a_former_version_is_verified_by_rounds_from_its_next_time_on() -> None:
    """It has a time of its own, and perhaps a verify that Fluent has not answered."""
    ledger = Ledger()
    ledger.open(100, terms=LONG)
    row, key = ledger.row(), c.reservation_key(*IDS)
    for at_ms, kind, subject in BY_CLOCK.due(ledger.rows, 2**62, 10):
        BY_CLOCK.clear(ledger.rows, at_ms, kind, subject)
    ledger.rows.delete(ROUNDS, b"")
    ledger.rows.delete(OPEN, key)
    row.request, row.number = VERIFY, 2
    row.verify_at_ms = row.wake_at_ms = ledger.now_ms + 1_000
    BY_CLOCK.set(ledger.rows, row.wake_at_ms, WAKE, key)
    ledger.rows.put(RESERVATIONS, key, row)
    ledger.after(1_000)
    [page] = of(VerifyPage, ledger.do(c.Verified(*IDS, 2, 100)))
    assert [line.held for line in page.lines] == [100]
    assert the_line(ledger).held == 100
