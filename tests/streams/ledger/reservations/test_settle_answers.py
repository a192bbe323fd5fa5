"""What Fluent answers to a settle: confirmed or refused, and what the figures say of it."""

from __future__ import annotations

from schemas.drift import DriftKind
from streams.ledger import commands as c
from streams.ledger.fluent_requests import SettleRequest
from streams.ledger.terms import Terms
from tests.streams.ledger.reservations.stage import (
    DELAY_MS,
    HOUR_MS,
    IDS,
    INTERVAL_MS,
    QUIET,
    TERMS,
    Ledger,
    confirm,
    decided,
    figures_in,
    of,
)


def asked(out: list[object]) -> list[tuple[int, int, int]]:
    """(number, remaining, consumed) of the settles among what was sent."""
    return [(settle.number, settle.remaining, settle.consumed) for settle in of(SettleRequest, out)]


def test_units_are_not_sold_again_while_fluent_refuses_to_hold_them() -> None:
    ledger = Ledger()
    ledger.open(5, terms=QUIET)
    ledger.claim("O-1", 5)
    ledger.after(DELAY_MS + INTERVAL_MS)
    confirm(ledger)
    ledger.cancel("O-1", 2)
    ledger.after(INTERVAL_MS)
    ledger.do(c.SettleFailed(*IDS, 3, "forbidden"))
    assert ledger.claim("O-2") == [decided("O-2", "EXHAUSTED")]


def test_a_refused_settle_is_reported_and_not_tried_again_until_the_amount_changes() -> None:
    ledger = Ledger()
    ledger.open(100, terms=QUIET)
    ledger.claim("O-1", 3)
    ledger.after(DELAY_MS + INTERVAL_MS)
    [told] = ledger.do(c.SettleFailed(*IDS, 2, "forbidden"))
    assert isinstance(told, c.LineFigures)
    assert (told.figures.drift_units, told.figures.drift_kind) == (3, "SETTLE_REFUSED")
    row = ledger.row()
    assert (row.held, row.drift_units, row.drift_kind) == (100, 3, "SETTLE_REFUSED")
    assert (ledger.notices[-1].level, ledger.notices[-1].fields["error"]) == ("error", "forbidden")
    assert asked(ledger.after(HOUR_MS // 4)) == []
    ledger.claim("O-2", 1)
    assert asked(ledger.after(DELAY_MS + INTERVAL_MS)) == [(3, 96, 4)]
    confirm(ledger)
    assert (ledger.row().held, ledger.row().drift_units, ledger.row().drift_kind) == (96, 0, None)


def test_a_notice_of_drift_that_nobody_refused_names_no_error() -> None:
    ledger = Ledger()
    ledger.open(100)
    ledger.do(c.Verified(*IDS, 1, 60, 40, DriftKind.FOREIGN_CHANGE))
    assert (ledger.notices[-1].level, "error" in ledger.notices[-1].fields) == ("warning", False)


def test_a_refused_settle_differs_by_what_was_not_told_before_and_does_not_hold_up_the_next() -> None:
    ledger = Ledger()
    ledger.open(100, terms=QUIET)
    ledger.claim("O-1", 3)
    ledger.after(DELAY_MS + INTERVAL_MS)
    confirm(ledger)
    ledger.claim("O-2", 2)
    ledger.after(DELAY_MS + INTERVAL_MS)
    ledger.claim("O-3", 4)
    ledger.after(DELAY_MS + INTERVAL_MS)
    out = ledger.do(c.SettleFailed(*IDS, 3, "forbidden"))
    assert [figures.drift_units for figures in figures_in(out)] == [2]
    assert asked(out) == [(4, 91, 9)]


def test_a_refused_settle_after_the_close_differs_by_what_was_given_back() -> None:
    ledger = Ledger()
    ledger.open(10, terms=Terms(book_sale=True))
    ledger.claim("O-1", 5)
    ledger.close()
    assert [consumed for _, _, consumed in asked(ledger.cancel("O-1", 2))] == [3]
    out = ledger.do(c.SettleFailed(*IDS, ledger.row().number, "forbidden"))
    assert [figures.drift_units for figures in figures_in(out)] == [2]


def test_a_confirmed_settle_leaves_the_drift_that_a_verify_has_found() -> None:
    ledger = Ledger()
    ledger.open(100, terms=QUIET)
    ledger.do(c.Verified(*IDS, 1, 93, 7, DriftKind.FOREIGN_CHANGE))
    ledger.claim("O-1", 3)
    ledger.after(DELAY_MS + INTERVAL_MS)
    confirm(ledger)
    assert (ledger.row().drift_units, ledger.row().drift_kind) == (7, DriftKind.FOREIGN_CHANGE)


def test_what_fluent_holds_after_a_settle_is_reported_within_the_interval() -> None:
    ledger = Ledger()
    ledger.open(100, terms=Terms(ask_again_ms=10 * HOUR_MS))
    ledger.claim("O-1", 3)
    ledger.after(DELAY_MS + INTERVAL_MS)
    assert figures_in(confirm(ledger)) == []
    assert [figures.held for figures in figures_in(ledger.after(TERMS.report_interval_ms))] == [97]
