"""The ledger: the only place where stock moves. A pure function of one partition of `sku-commands`.

The life of a reservation:

UNKNOWN ─Reserve─► PENDING ─HoldConfirmed─► ACTIVE ──the close──► RELEASING ─ReleaseConfirmed─► CLOSED
  │                 │  │                                            ▲   └────ReleaseFailed────► (drift)
  │                 │  └───────────────── the close ────────────────┘                             ▲
  │                 └─HoldFailed─► REJECTED                                                       │
  └─ End, or a Reserve for which nothing can come in time any more: nothing is ever held ─────────┘

There is one deadline: the expiry, or the time of an End that is sooner. A claim that was placed later is
refused, whenever it comes. The close follows when the watermark has passed the deadline and its grace, no
claim waits, and Fluent has answered about the hold or had its time.

`LIFE` is the same as a table, and the code is driven by it. Claims, recalls and cancels are taken in every
state: `decision.reason_for` decides what becomes of a claim.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from schemas.topics import SKU_COMMANDS
from streams.ledger.commands import (
    Cancel,
    Claim,
    Continue,
    End,
    HoldConfirmed,
    HoldFailed,
    Keep,
    PageVerified,
    Recall,
    ReleaseConfirmed,
    ReleaseFailed,
    Reserve,
    SettleConfirmed,
    SettleFailed,
    SkuCommand,
    Tick,
    Verified,
)
from streams.ledger.effects import Effects
from streams.ledger.reservations import attendance, lifecycle, settling, verifying
from streams.ledger.reservations.cancels import on_cancel
from streams.ledger.reservations.claims import on_claim, on_keep, on_recall
from streams.ledger.reservations.forgetting import on_forget
from streams.ledger.reservations.state import (
    ACTIVE,
    BY_CLOCK,
    BY_WATERMARK,
    CLOSED,
    PENDING,
    REJECTED,
    RELEASING,
    UNKNOWN,
    State,
)
from streams.ledger.reservations.ticks import on_due
from streams.ledger.reservations.turn import ReservationTurn, Work, take, take_by_key
from streams.ledger.rows import Rows
from streams.ledger.turn import Turn

__all__ = ["LIFE", "decide", "earliest_deadline_ms", "next_watermark_deadline_ms"]


def decide(rows: Rows, command: SkuCommand, now_ms: int, effects: Effects) -> None:
    """Apply one command at `now_ms` (never less than at the command before).

    Changes `rows` and appends to `effects`; an answer for an unknown or moved-on subject changes nothing.
    """
    about: Any = command
    handle = _HANDLERS.get(type(command))
    if handle is None:
        _go_on(Turn(rows, effects, now_ms, SKU_COMMANDS), about)
    else:
        handle(take(rows, effects, now_ms, about.promotion_id, about.sku), command)


def earliest_deadline_ms(rows: Rows) -> int | None:
    """When the next Tick has something to do by the clock, or None."""
    return BY_CLOCK.earliest_ms(rows)


def next_watermark_deadline_ms(rows: Rows) -> int | None:
    """The earliest deadline (Unix ms) that waits for a Tick whose watermark has reached it, or None."""
    return BY_WATERMARK.earliest_ms(rows)


class Step(NamedTuple):
    """What a command does to a reservation, and the states to which it may lead (empty: it stays)."""

    act: Callable[[ReservationTurn, Any], None]
    leads_to: tuple[State, ...] = ()


LIFE: Mapping[State, Mapping[type, Step]] = {
    UNKNOWN: {
        Reserve: Step(lifecycle.begin, (PENDING, CLOSED, REJECTED)),
        End: Step(lifecycle.end, (CLOSED,)),
    },
    PENDING: {
        HoldConfirmed: Step(lifecycle.confirm_hold, (ACTIVE, REJECTED, RELEASING)),
        HoldFailed: Step(lifecycle.fail_hold, (REJECTED,)),
        Tick: Step(lifecycle.close_in_time, (RELEASING,)),
        End: Step(lifecycle.end, (RELEASING,)),
    },
    ACTIVE: {
        Reserve: Step(lifecycle.answer_again),
        SettleConfirmed: Step(settling.on_settle_confirmed),
        SettleFailed: Step(settling.on_settle_failed),
        Verified: Step(settling.on_verified),
        Tick: Step(lifecycle.close_in_time, (RELEASING,)),
        End: Step(lifecycle.end, (RELEASING,)),
    },
    RELEASING: {
        Reserve: Step(lifecycle.answer_again),
        SettleConfirmed: Step(settling.on_settle_confirmed),
        SettleFailed: Step(settling.on_settle_failed),
        ReleaseConfirmed: Step(lifecycle.confirm_release, (CLOSED,)),
        ReleaseFailed: Step(lifecycle.fail_release, (CLOSED,)),
    },
    CLOSED: {
        Reserve: Step(lifecycle.answer_again),
        SettleConfirmed: Step(settling.on_settle_confirmed),
        SettleFailed: Step(settling.on_settle_failed),
        Verified: Step(settling.on_verified),
    },
    REJECTED: {
        Reserve: Step(lifecycle.answer_again),
        Verified: Step(settling.on_verified),
    },
}
"""What each command does in each state. One that does not stand there changes nothing: it is a repeat, or an
answer that comes too late. `Tick` stands for the close, for which `ticks` looks."""


def _live(turn: ReservationTurn, command: Any) -> None:
    """Take the step that `LIFE` has for the command."""
    step = LIFE[turn.row.state].get(type(command))
    if step is not None:
        step.act(turn, command)
        turn.finish()


def _go_on(turn: Turn, command: Tick | Continue | PageVerified) -> None:
    """What is about the whole partition: time has passed, or some work goes on."""
    if isinstance(command, Tick):
        turn.take_in(command)
        attendance.look(turn, command)
        on_due(turn)
    elif isinstance(command, PageVerified):
        verifying.on_page_verified(turn, command)
    elif command.kind == Work.DUE:
        on_due(turn, command.subject)
    elif command.kind == Work.FORGET:
        on_forget(turn, command.subject)
    elif command.kind == Work.ROUND:
        verifying.on_round(turn, command.subject)
    elif command.kind == Work.DRAIN:
        lifecycle.on_drain(take_by_key(turn, command.subject))


_HANDLERS: Mapping[type, Callable[[ReservationTurn, Any], None]] = {
    **{command: _live for steps in LIFE.values() for command in steps if command is not Tick},
    Claim: on_claim,
    Cancel: on_cancel,
    Recall: on_recall,
    Keep: on_keep,
}
