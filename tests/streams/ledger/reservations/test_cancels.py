from __future__ import annotations

import pytest

from streams.ledger import commands as c
from streams.ledger.fluent_requests import SettleRequest, reservation_ref
from streams.ledger.reservations.figures import EVERY_MS
from streams.ledger.terms import Terms
from tests.streams.ledger.reservations.stage import HOUR_MS, IDS, Ledger, cancelled, decided, figures_in, of

REF = reservation_ref(*IDS)


@pytest.mark.parametrize(("asked", "given"), [(0, 5), (2, 2), (5, 5), (9, 5), (-1, 0)])
def test_a_cancel_gives_back_what_was_asked_for_as_far_as_it_is_held(asked: int, given: int) -> None:
    ledger = Ledger()
    ledger.open(10)
    ledger.claim("O-1", 5)
    assert ledger.cancel("O-1", asked) == [cancelled("O-1", given)]
    row = ledger.row()
    assert (row.claimed, row.cancelled, row.rejected_units) == (5 - given, given, 0)


def test_cancels_together_never_give_back_more_than_the_claim_took() -> None:
    ledger = Ledger()
    ledger.open(10)
    ledger.claim("O-1", 5)
    given = [ledger.cancel("O-1", 3)[0].quantity for _ in range(3)]
    assert given == [3, 2, 0]
    assert ledger.row().claimed == 0


def test_a_cancelled_unit_can_be_sold_again() -> None:
    ledger = Ledger()
    ledger.open(1)
    ledger.claim("O-1")
    ledger.cancel("O-1")
    assert ledger.claim("O-2") == [decided("O-2")]


def test_a_cancel_of_an_unknown_or_refused_claim_gives_nothing_back() -> None:
    ledger = Ledger()
    assert ledger.cancel("O-0") == [cancelled("O-0", 0)]
    ledger.open(1)
    ledger.claim("O-1", 2)
    assert ledger.cancel("O-1") == [cancelled("O-1", 0)]
    assert ledger.cancel("O-9") == [cancelled("O-9", 0)]
    assert ledger.row().claimed == 0


def test_a_compensation_counts_as_rejected_and_not_as_cancelled() -> None:
    ledger = Ledger()
    ledger.open(10)
    ledger.claim("O-1", 5)
    ledger.cancel("O-1", 2)
    ledger.cancel("O-1", compensation=True)
    row = ledger.row()
    assert (row.claimed, row.cancelled, row.rejected_units, row.rejected_orders) == (0, 2, 3, 1)
    assert ledger.claim("O-1", 5) == [decided("O-1", "INCOMPLETE_ORDER", 5, cancelled=2, again=True)]


def test_units_that_were_given_back_are_told_within_a_second() -> None:
    ledger = Ledger()
    ledger.open(10, terms=Terms(settle_delay_ms=HOUR_MS))
    ledger.claim("O-1", 5)
    ledger.after(EVERY_MS)
    ledger.cancel("O-1", 2)
    told = figures_in(ledger.after(EVERY_MS))
    assert [(figures.consumed, figures.cancelled) for figures in told] == [(3, 2)]
    assert ledger.published[-1]["cancelled"] == 2


def test_a_compensation_that_finds_nothing_counts_no_order() -> None:
    ledger = Ledger()
    ledger.open(10)
    ledger.claim("O-1", 5)
    ledger.cancel("O-1")
    ledger.cancel("O-1", compensation=True)
    assert ledger.row().rejected_orders == 0


def test_units_cancelled_while_releasing_are_part_of_what_is_released() -> None:
    ledger = Ledger()
    ledger.open(10)
    ledger.claim("O-1", 5)
    ledger.of_age()
    ledger.end()
    ledger.cancel("O-1", 2)
    out = ledger.do(c.ReleaseConfirmed(*IDS, ledger.row().number))
    assert [(record["consumed"], record["released"]) for record in of(dict, out)] == [(3, 7)]


@pytest.mark.parametrize("compensation", [False, True])
def test_units_given_back_after_the_close_are_released_and_reported_at_once(compensation: bool) -> None:
    ledger = Ledger()
    ledger.open(10)
    ledger.claim("O-1", 5)
    ledger.close()
    out = ledger.cancel("O-1", 2, compensation=compensation)
    record = of(dict, out)[0]
    assert (record["cause"], record["reserved"], record["consumed"], record["released"]) == (
        "CANCELLED", 10, 3, 7,
    )  # fmt: skip
    figures = figures_in(out)[0]
    assert (figures.state, figures.consumed, figures.released) == ("CLOSED", 3, 7)
    assert of(SettleRequest, out) == []


def test_where_the_ledger_books_the_sale_a_cancel_after_the_close_lowers_it() -> None:
    ledger = Ledger()
    ledger.open(10, terms=Terms(book_sale=True))
    ledger.claim("O-1", 5)
    ledger.close()
    out = ledger.cancel("O-1", 2)
    assert of(SettleRequest, out) == [SettleRequest(*IDS, 3, REF, 0, 3, True)]
    assert of(SettleRequest, ledger.cancel("O-1", 1)) == []
    out = ledger.do(c.SettleConfirmed(*IDS, 3, 0))
    assert of(SettleRequest, out) == [SettleRequest(*IDS, 4, REF, 0, 2, True)]
    assert of(SettleRequest, ledger.do(c.SettleConfirmed(*IDS, 4, 0))) == []


def test_where_the_ledger_books_the_sale_a_cancel_while_releasing_lowers_it_after_the_close() -> None:
    ledger = Ledger()
    ledger.open(10, terms=Terms(book_sale=True))
    ledger.claim("O-1", 5)
    ledger.end()
    ledger.cancel("O-1", 2)
    out = ledger.do(c.ReleaseConfirmed(*IDS, 2))
    assert of(SettleRequest, out) == [SettleRequest(*IDS, 3, REF, 0, 3, True)]
