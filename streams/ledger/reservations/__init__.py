"""The ledger: the only place where stock moves. A pure function of one partition of `sku-commands`.

`decide` takes one command, changes rows and collects effects: no clock, no randomness, no I/O.
The life of a reservation is in `lifecycle`, the decision about a claim in `verdict`, what is asked of
Fluent in `requests`, what a Tick does in `timers`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from streams.ledger.commands import (
    Cancel,
    Claim,
    Continue,
    End,
    HoldConfirmed,
    HoldFailed,
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
from streams.ledger.reservations import lifecycle, reconcile
from streams.ledger.reservations.cancels import on_cancel
from streams.ledger.reservations.claims import on_claim
from streams.ledger.reservations.forgetting import FORGET_CLAIMS, on_forget
from streams.ledger.reservations.queue import DRAIN, on_drain
from streams.ledger.reservations.state import DEADLINES
from streams.ledger.reservations.timers import DUE, on_tick
from streams.ledger.reservations.turn import Turn, take, take_by_key, take_known
from streams.ledger.rows import Rows

Handler = Callable[[Rows, Any, int, Effects], None]

__all__ = ["decide", "earliest_deadline_ms"]


def decide(rows: Rows, command: SkuCommand, now_ms: int, effects: Effects) -> None:
    """Apply one command at `now_ms` (never less than at the command before).

    Changes `rows` and appends to `effects`; an answer for an unknown or moved-on subject changes nothing.
    """
    _HANDLERS[type(command)](rows, command, now_ms, effects)


def earliest_deadline_ms(rows: Rows) -> int | None:
    """When the next Tick has something to do, or None: then the partition is idle."""
    return DEADLINES.earliest_ms(rows)


def _tick(rows: Rows, _: Tick, now_ms: int, effects: Effects) -> None:
    on_tick(rows, now_ms, effects)


def _continue(rows: Rows, command: Continue, now_ms: int, effects: Effects) -> None:
    if command.kind == DUE:
        on_tick(rows, now_ms, effects)
    elif command.kind == FORGET_CLAIMS:
        on_forget(rows, command, effects)
    elif command.kind == DRAIN:
        turn = take_by_key(rows, effects, now_ms, command.subject)
        if turn is not None:
            on_drain(turn)
            turn.finish()


def _reserve(rows: Rows, command: Reserve, now_ms: int, effects: Effects) -> None:
    turn = take(rows, effects, now_ms, command.promotion_id, command.sku)
    lifecycle.on_reserve(turn, command)
    turn.finish()


def _end(rows: Rows, command: End, now_ms: int, effects: Effects) -> None:
    turn = take(rows, effects, now_ms, command.promotion_id, command.sku)
    lifecycle.on_end(turn)
    turn.finish()


def _answer(apply: Callable[[Turn, Any], None]) -> Handler:
    """A handler for one of Fluent's answers: about an unknown reservation it is ignored."""

    def handle(rows: Rows, command: Any, now_ms: int, effects: Effects) -> None:
        turn = take_known(rows, effects, now_ms, command.promotion_id, command.sku)
        if turn is not None:
            apply(turn, command)
            turn.finish()

    return handle


_HANDLERS: dict[type, Handler] = {
    Tick: _tick,
    Continue: _continue,
    Reserve: _reserve,
    Claim: on_claim,
    Cancel: on_cancel,
    End: _end,
    HoldConfirmed: _answer(lifecycle.on_hold_confirmed),
    HoldFailed: _answer(lifecycle.on_hold_failed),
    SettleConfirmed: _answer(reconcile.on_settle_confirmed),
    SettleFailed: _answer(reconcile.on_settle_failed),
    ReleaseConfirmed: _answer(lifecycle.on_release_confirmed),
    ReleaseFailed: _answer(lifecycle.on_release_failed),
    Verified: _answer(reconcile.on_verified),
}
