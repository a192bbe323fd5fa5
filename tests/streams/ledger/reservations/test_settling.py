from __future__ import annotations

from streams.ledger import commands as c
from streams.ledger.fluent_requests import SettleRequest, reservation_ref
from streams.ledger.terms import Terms
from tests.streams.ledger.reservations.stage import (
    DELAY_MS,
    HOUR_MS,
    IDS,
    INTERVAL_MS,
    QUIET,
    Ledger,
    confirm,
    decided,
    of,
)

REF = reservation_ref(*IDS)
SALE = Terms(ask_again_ms=10 * HOUR_MS, report_interval_ms=10 * HOUR_MS, book_sale=True)


def settle(number: int, remaining: int, consumed: int, *, book_sale: bool = False) -> SettleRequest:
    return SettleRequest(*IDS, number, REF, remaining, consumed, book_sale)


def asked(out: list[object]) -> list[object]:
    """What was sent, but for what the promotion is told."""
    return [record for record in out if not isinstance(record, c.LineFigures)]


def test_units_are_settled_after_the_delay_and_not_before() -> None:
    ledger = Ledger()
    ledger.open(100, terms=QUIET)
    ledger.claim("O-1", 3)
    assert asked(ledger.after(DELAY_MS - 1)) == []
    assert asked(ledger.after(INTERVAL_MS)) == [settle(2, 97, 3)]


def test_a_rush_is_settled_in_one_request_per_interval() -> None:
    ledger = Ledger()
    ledger.open(1_000, terms=QUIET)
    for n in range(100):
        ledger.claim(f"O-{n}")
        ledger.now_ms += 100
    out = []
    for _ in range(10):
        out += ledger.after(INTERVAL_MS)
        if ledger.row().request:
            confirm(ledger)
    assert sum(1 for record in out if isinstance(record, SettleRequest)) <= 3
    assert (ledger.row().settled, ledger.row().held) == (100, 900)


def test_nothing_more_is_asked_while_fluent_has_not_answered_and_then_only_the_newest() -> None:
    ledger = Ledger()
    ledger.open(100, terms=QUIET)
    for order in ("O-1", "O-2", "O-3"):
        ledger.claim(order)
        ledger.after(INTERVAL_MS)
    assert asked(ledger.after(DELAY_MS)) == [settle(2, 99, 1)]
    assert of(SettleRequest, confirm(ledger)) == [settle(3, 97, 3)]


def test_where_the_ledger_books_the_sale_units_are_settled_by_the_interval_alone() -> None:
    ledger = Ledger()
    ledger.open(100, terms=SALE)
    ledger.claim("O-1", 2)
    ledger.claim("O-2", 3)
    assert asked(ledger.after(INTERVAL_MS)) == [settle(2, 95, 5, book_sale=True)]


def test_a_unit_cancelled_before_it_is_ripe_is_never_settled() -> None:
    ledger = Ledger()
    ledger.open(100, terms=QUIET)
    ledger.claim("O-1", 3)
    ledger.cancel("O-1")
    assert asked(ledger.after(HOUR_MS // 2)) == []


def test_a_cancel_of_settled_units_makes_the_hold_grow_again() -> None:
    ledger = Ledger()
    ledger.open(100, terms=QUIET)
    ledger.claim("O-1", 3)
    ledger.after(DELAY_MS + INTERVAL_MS)
    confirm(ledger)
    ledger.cancel("O-1", 2)
    assert asked(ledger.after(INTERVAL_MS)) == [settle(3, 99, 1)]


def test_settled_units_that_were_given_back_are_sold_again_once_fluent_holds_them() -> None:
    """Before that they are on sale elsewhere: the shop undoes its booking when it reads of the cancel."""
    ledger = Ledger()
    ledger.open(5, terms=QUIET)
    ledger.claim("O-1", 4)
    ledger.after(DELAY_MS + INTERVAL_MS)
    confirm(ledger)
    ledger.cancel("O-1", 3)
    assert ledger.claim("O-2", 2) == [decided("O-2", "EXHAUSTED", 2)]
    assert ledger.claim("O-3", 1) == [decided("O-3")], "one is still held"
    assert asked(ledger.after(INTERVAL_MS)) == [settle(3, 4, 1)]
    assert ledger.claim("O-4", 1) == [decided("O-4", "EXHAUSTED")]
    confirm(ledger)
    assert ledger.claim("O-5", 3) == [decided("O-5", "", 3)]


def test_units_of_an_incomplete_order_that_were_settled_are_sold_again_once_fluent_holds_them() -> None:
    ledger = Ledger()
    ledger.open(5, terms=QUIET)
    ledger.claim("O-1", 5)
    ledger.after(DELAY_MS + INTERVAL_MS)
    confirm(ledger)
    ledger.cancel("O-1", compensation=True)
    assert ledger.claim("O-2") == [decided("O-2", "EXHAUSTED")]
    ledger.after(INTERVAL_MS)
    confirm(ledger)
    assert ledger.claim("O-3") == [decided("O-3")]


def test_units_that_were_given_back_before_fluent_let_them_go_are_sold_again_at_once() -> None:
    ledger = Ledger()
    ledger.open(5, terms=QUIET)
    ledger.claim("O-1", 2)
    ledger.after(DELAY_MS + INTERVAL_MS)
    confirm(ledger)
    ledger.claim("O-2", 3)
    ledger.cancel("O-2", 2)
    assert ledger.claim("O-3", 2) == [decided("O-3", "", 2)]


def test_where_the_ledger_books_the_sale_units_that_were_given_back_are_sold_again_at_once() -> None:
    """They are booked as long as they are not held."""
    ledger = Ledger()
    ledger.open(5, terms=SALE)
    ledger.claim("O-1", 5)
    ledger.after(INTERVAL_MS)
    confirm(ledger)
    ledger.cancel("O-1")
    assert ledger.claim("O-2", 5) == [decided("O-2", "", 5)]


def test_the_hold_grows_again_at_once_but_not_twice_within_the_interval() -> None:
    ledger = Ledger()
    ledger.open(100, terms=QUIET)
    ledger.claim("O-1", 3)
    ledger.after(DELAY_MS + 2 * INTERVAL_MS)
    confirm(ledger)
    ledger.after(INTERVAL_MS)
    ledger.cancel("O-1", 1)
    assert asked(ledger.after(0)) == [settle(3, 98, 2)]
    confirm(ledger)
    ledger.cancel("O-1", 1)
    assert asked(ledger.after(INTERVAL_MS - 1)) == []
    assert asked(ledger.after(1)) == [settle(4, 99, 1)]


def test_a_cancel_of_an_old_order_does_not_settle_a_new_order_in_its_place() -> None:
    """Taken from the youngest units instead, O-2's would pass for ripe before the shop has booked them."""
    ledger = Ledger()
    ledger.open(100, terms=QUIET)
    ledger.claim("O-1", 5)
    ledger.after(DELAY_MS + INTERVAL_MS)
    confirm(ledger)
    ledger.claim("O-2", 5)
    ledger.cancel("O-1")
    assert asked(ledger.after(INTERVAL_MS)) == [settle(3, 100, 0)]
    confirm(ledger)
    assert asked(ledger.after(DELAY_MS + INTERVAL_MS)) == [settle(4, 95, 5)]


def test_a_cancel_takes_from_the_units_that_its_own_order_took() -> None:
    ledger = Ledger()
    ledger.open(100, terms=QUIET)
    ledger.claim("O-1", 5)
    ledger.after(2 * INTERVAL_MS)
    ledger.claim("O-2", 5)
    ledger.cancel("O-1")
    assert asked(ledger.after(DELAY_MS - 1)) == []
    assert asked(ledger.after(INTERVAL_MS)) == [settle(2, 95, 5)]


def test_a_release_supersedes_a_settle_in_flight() -> None:
    ledger = Ledger()
    ledger.open(100, terms=QUIET)
    ledger.claim("O-1", 3)
    ledger.after(DELAY_MS + INTERVAL_MS)
    ledger.end()
    assert ledger.do(c.SettleConfirmed(*IDS, 2, 97)) == []
    assert (ledger.row().request, ledger.row().number) == ("R", 3)


def test_units_of_an_order_that_is_still_undecided_are_not_settled_while_it_says_so() -> None:
    ledger = Ledger()
    ledger.open(100, terms=QUIET)
    ledger.claim("O-1", 3)
    ledger.claim("O-2", 2)
    out: list[object] = []
    for _ in range(3):
        out += ledger.after(DELAY_MS // 3) + ledger.do(c.Keep(*IDS, "O-1"))
    assert asked(out) == [settle(2, 98, 2)]
    confirm(ledger)
    assert asked(ledger.after(DELAY_MS - 2 * INTERVAL_MS)) == []
    assert asked(ledger.after(2 * INTERVAL_MS)) == [settle(3, 95, 5)]


def test_units_that_were_settled_before_their_order_said_that_it_is_undecided_are_held_again() -> None:
    ledger = Ledger()
    ledger.open(100, terms=QUIET)
    ledger.claim("O-1", 3)
    ledger.after(DELAY_MS + INTERVAL_MS)
    confirm(ledger)
    assert ledger.do(c.Keep(*IDS, "O-1")) == [settle(3, 100, 0)]


def test_keep_gives_units_that_were_cancelled_or_never_taken_no_new_delay() -> None:
    ledger = Ledger()
    ledger.open(3, terms=QUIET)
    ledger.claim("O-1", 3)
    ledger.claim("O-2", 1)
    ledger.cancel("O-1", 1)
    ledger.after(DELAY_MS // 2)
    for order in ("O-1", "O-2", "O-3"):
        ledger.do(c.Keep(*IDS, order))
    for passed_ms in (0, DELAY_MS // 2 + INTERVAL_MS):
        assert asked(ledger.after(passed_ms)) == []
        assert sum(ledger.row().unripe_units) == ledger.row().claimed == 2
    assert asked(ledger.after(DELAY_MS)) == [settle(2, 1, 2)]


def test_keep_of_an_order_that_has_given_all_back_changes_nothing() -> None:
    ledger = Ledger()
    ledger.open(3, terms=QUIET)
    ledger.claim("O-1", 3)
    ledger.cancel("O-1")
    before = dict(ledger.store.rows)
    ledger.now_ms += DELAY_MS
    assert ledger.do(c.Keep(*IDS, "O-1")) == []
    assert ledger.store.rows == before


def test_a_long_settle_delay_keeps_the_row_small() -> None:
    ledger = Ledger()
    ledger.open(
        100_000, terms=Terms(settle_delay_ms=HOUR_MS, report_interval_ms=HOUR_MS), expires_in_ms=9 * HOUR_MS
    )
    for n in range(1_000):
        ledger.claim(f"O-{n}")
        ledger.after(5_000)
    assert len(ledger.row().unripe_at_ms) <= 34
