"""The settle delay and the hold time-out pass outside: they count only while the partition is attended.

A Tick says how much of its log was committed when it was sent; a heartbeat sees to it that there are Ticks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from schemas.topics import FLUENT_REQUESTS
from streams.ledger import commands as c
from streams.ledger.fluent_requests import SettleRequest
from streams.ledger.reservations import earliest_deadline_ms
from streams.ledger.reservations.attendance import ATTENDANCE, BEAT_MS, LATE_MS, attended_since_ms
from streams.ledger.reservations.verifying import ROUNDS
from streams.ledger.terms import Terms
from tests.streams.ledger.reservations.stage import (
    HOUR_MS,
    IDS,
    NOON_MS,
    PROMOTION,
    Ledger,
    decode,
    figures_in,
    of,
)

TERMS = Terms(report_interval_ms=10 * HOUR_MS)
DELAY_MS, TIMEOUT_MS = TERMS.settle_delay_ms, TERMS.hold_timeout_ms


SKUS = ("SKU-1", "SKU-2")


def confirmed(sku: str) -> c.HoldConfirmed:
    return c.HoldConfirmed(PROMOTION, sku, 1, 100)


def refused(sku: str) -> c.HoldFailed:
    return c.HoldFailed(PROMOTION, sku, 1, "INSUFFICIENT_INVENTORY", "There are 3.")


def next_beat_ms(ledger: Ledger) -> int | None:
    found = ledger.rows.get(ATTENDANCE, b"")
    return (found.beat_at_ms or None) if found else None


def reasons(out: list[Any]) -> list[str]:
    return [answer.reason for answer in of(c.LineDecided, out)]


def test_orders_that_wait_for_a_new_owner_are_not_told_that_fluent_is_away() -> None:
    """The worker died a moment after it had asked for the hold, and Fluent's answer is a moment behind."""
    ledger = Ledger()
    ledger.reserve(100, terms=TERMS)
    ledger.after(2 * BEAT_MS)
    ledger.now_ms += 70_000
    out = ledger.claim("O-1", placed_at_ms=NOON_MS + 10_000)
    out += ledger.do(c.Tick(0, NOON_MS + 2 * BEAT_MS))
    out += ledger.do(c.HoldConfirmed(*IDS, 1, 100))
    assert reasons(out) == [""]


def test_a_request_that_leaves_with_the_tick_that_calls_it_overdue_has_waited_for_nobody() -> None:
    """The log is a minute behind: Reserve and Tick come out of one batch."""
    ledger = Ledger()
    sent = ledger.step(c.Reserve(*IDS, 100, NOON_MS + HOUR_MS, TERMS))
    out = ledger.claim("O-1")
    for passed_ms in range(0, TIMEOUT_MS + 5_000, BEAT_MS):
        ledger.now_ms = NOON_MS + passed_ms
        out += ledger.do(c.Tick(0, NOON_MS - 1))
    assert [send.topic for send in sent] == [FLUENT_REQUESTS]
    assert reasons(out) == []
    caught_up_at_ms = ledger.now_ms
    assert reasons(ledger.at(caught_up_at_ms + TIMEOUT_MS - 1)) == []
    assert reasons(ledger.after(BEAT_MS)) == ["FLUENT_UNAVAILABLE"]


def test_where_the_partition_is_attended_a_hold_is_overdue_on_time() -> None:
    ledger = Ledger()
    ledger.reserve(100, terms=TERMS)
    ledger.claim("O-1")
    assert reasons(ledger.after(TIMEOUT_MS - 1)) == []
    assert reasons(ledger.after(1)) == ["FLUENT_UNAVAILABLE"]


def test_what_could_not_be_committed_for_long_is_not_settled_in_the_same_moment() -> None:
    """The former owner's timers went on, and the new one decides their Ticks together with the claim."""
    ledger = Ledger()
    ledger.open(100, terms=TERMS)
    sold_at_ms = ledger.now_ms
    sent = ledger.step(claim_of_one())
    for passed_ms in range(BEAT_MS, 60_000, BEAT_MS):
        ledger.now_ms = sold_at_ms + passed_ms
        sent += ledger.step(c.Tick(0, sold_at_ms - 1))
    assert of(SettleRequest, [decode(send) for send in sent]) == []
    assert of(SettleRequest, ledger.after(DELAY_MS - BEAT_MS)) == []
    assert len(of(SettleRequest, ledger.after(2 * BEAT_MS))) == 1


def test_what_could_not_be_committed_while_nobody_sent_a_tick_is_not_settled_either() -> None:
    """Then a worker thaws, commits, and sends a Tick that knows of nothing uncommitted."""
    ledger = Ledger()
    ledger.open(100, terms=TERMS)
    ledger.step(claim_of_one())
    ledger.now_ms += DELAY_MS + TERMS.settle_interval_ms
    assert of(SettleRequest, ledger.do(c.Tick(0, ledger.now_ms - 1))) == []
    assert of(SettleRequest, ledger.after(DELAY_MS - 1)) == []
    assert len(of(SettleRequest, ledger.after(1))) == 1


def test_a_log_that_waits_less_than_it_takes_to_notice_changes_nothing() -> None:
    ledger = Ledger()
    ledger.open(100, terms=TERMS)
    ledger.claim("O-1")
    ripe_at_ms = ledger.row().settle_at_ms
    while ledger.now_ms < ripe_at_ms - BEAT_MS:
        ledger.now_ms += BEAT_MS
        assert of(SettleRequest, ledger.do(c.Tick(0, ledger.now_ms - LATE_MS))) == []
    ledger.now_ms = ripe_at_ms
    assert len(of(SettleRequest, ledger.do(c.Tick(0, ledger.now_ms - LATE_MS)))) == 1


@pytest.mark.parametrize("answer", [confirmed, refused])
def test_the_heartbeat_ends_when_no_hold_is_waited_for(answer: Callable[[str], c.SkuCommand]) -> None:
    """An idle worker had one a second in each partition for the rest of the hold time-out."""
    ledger = Ledger()
    for sku in SKUS:
        ledger.do(c.Reserve(PROMOTION, sku, 100, NOON_MS + HOUR_MS, TERMS))
    ledger.do(answer(SKUS[0]))
    ledger.after(BEAT_MS)
    assert next_beat_ms(ledger) == ledger.now_ms + BEAT_MS
    ledger.do(answer(SKUS[1]))
    ledger.after(BEAT_MS)
    assert next_beat_ms(ledger) is None


def test_a_hold_that_is_waited_for_is_watched_beyond_the_time_out_of_another() -> None:
    ledger = Ledger()
    ledger.do(c.Reserve(PROMOTION, SKUS[0], 100, NOON_MS + HOUR_MS, TERMS))
    ledger.after(TIMEOUT_MS // 2)
    ledger.do(c.Reserve(PROMOTION, SKUS[1], 100, NOON_MS + HOUR_MS, TERMS))
    ledger.after(TIMEOUT_MS - BEAT_MS)
    assert next_beat_ms(ledger) == ledger.now_ms + BEAT_MS
    ledger.after(2 * BEAT_MS)
    assert next_beat_ms(ledger) is None


def test_there_are_heartbeats_while_one_of_the_two_times_runs_and_none_otherwise() -> None:
    ledger = Ledger()
    ledger.open(100, terms=Terms(report_interval_ms=10 * HOUR_MS))
    ledger.after(BEAT_MS)
    assert earliest_deadline_ms(ledger.rows) == next_round_ms(ledger)
    ledger.claim("O-1")
    assert earliest_deadline_ms(ledger.rows) == ledger.now_ms + BEAT_MS
    ledger.of_age()
    assert earliest_deadline_ms(ledger.rows) == next_round_ms(ledger)


def test_units_without_a_settle_delay_need_no_heartbeat() -> None:
    ledger = Ledger()
    ledger.open(100, terms=Terms(book_sale=True))
    ledger.after(BEAT_MS)
    ledger.now_ms += 1
    ledger.claim("O-1")
    assert ledger.row().settle_at_ms > ledger.now_ms
    assert next_beat_ms(ledger) is None


@pytest.mark.parametrize("refused", [False, True])
def test_units_are_watched_from_their_sale_on_whatever_else_is_due_before_they_are_settled(
    refused: bool,
) -> None:
    """Else an outage that is over by then goes unnoticed, and they are settled without their time."""
    ledger = Ledger()
    ledger.open(100, terms=Terms(report_interval_ms=10 * BEAT_MS))
    ledger.after(2 * BEAT_MS)
    if refused:
        ledger.claim("O-0", 101)
    assert next_beat_ms(ledger) is None
    ledger.claim("O-1")
    assert next_beat_ms(ledger) == ledger.now_ms + BEAT_MS


def test_units_are_watched_although_those_of_another_sku_come_of_age_sooner() -> None:
    ledger = Ledger()
    for sku, delay_ms in (("SKU-1", 60_000), ("SKU-2", 5_000)):
        terms = Terms(settle_delay_ms=delay_ms, report_interval_ms=10 * HOUR_MS)
        ledger.do(c.Reserve(PROMOTION, sku, 10, NOON_MS + HOUR_MS, terms))
        ledger.do(c.HoldConfirmed(PROMOTION, sku, 1, 10))
        ledger.do(c.Claim(PROMOTION, sku, 1, "O-1", NOON_MS, 5_000, HOUR_MS))
    ledger.after(50_000)
    assert next_beat_ms(ledger) == ledger.now_ms + BEAT_MS


def test_what_a_tick_between_two_heartbeats_shows_is_remembered() -> None:
    ledger = Ledger()
    ledger.open(100, terms=Terms(report_interval_ms=10 * HOUR_MS))
    ledger.claim("O-1")
    ledger.now_ms += BEAT_MS // 2
    ledger.step(c.Tick(0, ledger.now_ms - 2 * LATE_MS))
    assert attended_since_ms(ledger.rows) == ledger.now_ms


def test_a_close_that_waits_for_such_units_says_for_how_much_longer() -> None:
    """Else the report would say that Fluent is waited for."""
    ledger = Ledger()
    ledger.open(100, terms=Terms(report_interval_ms=BEAT_MS))
    ledger.claim("O-1")
    ledger.end()
    ledger.do(c.SettleConfirmed(*IDS, ledger.row().number, 1))
    ledger.after(DELAY_MS // 2)
    ledger.now_ms += DELAY_MS
    ledger.do(c.Tick(0, ledger.now_ms - DELAY_MS))
    told = figures_in(ledger.after(BEAT_MS))
    assert [figures.of_age_at_ms for figures in told] == [ledger.row().settle_at_ms]
    assert ledger.row().settle_at_ms > ledger.row().unripe_at_ms[-1]


def next_round_ms(ledger: Ledger) -> int:
    found = ledger.rows.get(ROUNDS, b"")
    return found.due_at_ms if found is not None else 0


def claim_of_one() -> c.Claim:
    return c.Claim(*IDS, 1, "O-1", NOON_MS, 5_000, HOUR_MS)
