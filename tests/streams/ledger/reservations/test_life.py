"""The life of a reservation: where each command leads from each state, as the picture and the table say."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from streams.ledger import commands as c
from streams.ledger.reservations import LIFE
from tests.streams.ledger.reservations.stage import (
    IDS,
    TERMS,
    Ledger,
    active,
    closed,
    ended,
    overdue,
    pending,
    rejected,
    releasing,
    unknown,
)

Prepare = Callable[[Ledger], object]


def hold_confirmed(ledger: Ledger) -> None:
    ledger.do(c.HoldConfirmed(*IDS, 1, 100))


def hold_failed(ledger: Ledger) -> None:
    ledger.do(c.HoldFailed(*IDS, 1, "INVALID", "no such SKU"))


def release_confirmed(ledger: Ledger) -> None:
    ledger.do(c.ReleaseConfirmed(*IDS, ledger.row().number))


def release_failed(ledger: Ledger) -> None:
    ledger.do(c.ReleaseFailed(*IDS, ledger.row().number, 100, "forbidden"))


def expiry(ledger: Ledger) -> None:
    ledger.after(95_000)


def invalid(ledger: Ledger) -> None:
    ledger.reserve(0)


def too_late(ledger: Ledger) -> None:
    ledger.do(c.Tick(ledger.now_ms))
    ledger.reserve(expires_in_ms=-TERMS.expiry_grace_ms)


def hold_of_nothing(ledger: Ledger) -> None:
    ledger.do(c.HoldConfirmed(*IDS, 1, 0))


COMMANDS: dict[Prepare, type] = {
    Ledger.reserve: c.Reserve,
    too_late: c.Reserve,
    invalid: c.Reserve,
    Ledger.end: c.End,
    expiry: c.Tick,
    hold_confirmed: c.HoldConfirmed,
    hold_of_nothing: c.HoldConfirmed,
    hold_failed: c.HoldFailed,
    release_confirmed: c.ReleaseConfirmed,
    release_failed: c.ReleaseFailed,
}

CASES: list[tuple[Prepare, Prepare, str, str]] = [
    (unknown, Ledger.reserve, "PENDING", ""),
    (unknown, too_late, "CLOSED", "EXPIRED"),
    (unknown, invalid, "REJECTED", ""),
    (unknown, Ledger.end, "CLOSED", "ENDED"),
    (pending, hold_confirmed, "ACTIVE", ""),
    (pending, hold_of_nothing, "REJECTED", ""),
    (pending, hold_failed, "REJECTED", ""),
    (pending, expiry, "RELEASING", "EXPIRED"),
    (pending, Ledger.end, "PENDING", ""),
    (ended, hold_confirmed, "RELEASING", "ENDED"),
    (ended, hold_failed, "REJECTED", ""),
    (ended, expiry, "RELEASING", "ENDED"),
    (ended, Ledger.end, "PENDING", ""),
    (pending, Ledger.reserve, "PENDING", ""),
    (pending, release_confirmed, "PENDING", ""),
    (overdue, hold_confirmed, "ACTIVE", ""),
    (overdue, hold_failed, "REJECTED", ""),
    (overdue, expiry, "RELEASING", "EXPIRED"),
    (overdue, Ledger.end, "RELEASING", "ENDED"),
    (active, hold_confirmed, "ACTIVE", ""),
    (active, hold_failed, "ACTIVE", ""),
    (active, expiry, "RELEASING", "EXPIRED"),
    (active, Ledger.end, "RELEASING", "ENDED"),
    (active, Ledger.reserve, "ACTIVE", ""),
    (active, release_confirmed, "ACTIVE", ""),
    (releasing, Ledger.reserve, "RELEASING", "ENDED"),
    (releasing, hold_confirmed, "RELEASING", "ENDED"),
    (releasing, hold_failed, "RELEASING", "ENDED"),
    (releasing, expiry, "RELEASING", "ENDED"),
    (releasing, Ledger.end, "RELEASING", "ENDED"),
    (releasing, release_confirmed, "CLOSED", "ENDED"),
    (releasing, release_failed, "CLOSED", "ENDED"),
    (closed, hold_confirmed, "CLOSED", "ENDED"),
    (closed, Ledger.reserve, "CLOSED", "ENDED"),
    (closed, expiry, "CLOSED", "ENDED"),
    (closed, Ledger.end, "CLOSED", "ENDED"),
    (closed, release_confirmed, "CLOSED", "ENDED"),
    (closed, release_failed, "CLOSED", "ENDED"),
    (rejected, hold_confirmed, "REJECTED", ""),
    (rejected, Ledger.reserve, "REJECTED", ""),
    (rejected, expiry, "REJECTED", ""),
    (rejected, Ledger.end, "REJECTED", ""),
    (rejected, release_confirmed, "REJECTED", ""),
]


@pytest.mark.parametrize(
    ("before", "event", "state", "cause"), CASES, ids=lambda value: getattr(value, "__name__", value)
)
def test_every_event_leads_from_each_state_to_the_documented_one(
    before: Prepare, event: Prepare, state: str, cause: str
) -> None:
    ledger = Ledger()
    before(ledger)
    event(ledger)
    assert (ledger.row().state, ledger.row().cause) == (state, cause)


def test_the_table_of_its_life_names_these_transitions_and_no_others() -> None:
    shown = set()
    for before, event, state, _ in CASES:
        ledger = Ledger()
        before(ledger)
        if (was := ledger.row().state) != state:
            shown.add((was, COMMANDS[event], state))
    table = {
        (state, command, after)
        for state, steps in LIFE.items()
        for command, step in steps.items()
        for after in step.leads_to
    }
    assert shown == table
