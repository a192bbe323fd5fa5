"""Claims: an order's line takes units of a reservation, whole or not at all.

`on_claim` is the hot path of the whole system, which is why it spells out what elsewhere is a helper.
"""

from __future__ import annotations

from streams.ledger.commands import Claim, Keep, Recall
from streams.ledger.reservations.decision import (
    forget_after_close,
    reason_behind_others,
    reason_for,
    record_decision,
)
from streams.ledger.reservations.figures import publish_soon
from streams.ledger.reservations.publishing import publish_decision, tell_line, tell_recalled
from streams.ledger.reservations.queue import wait
from streams.ledger.reservations.settling import ripen_again
from streams.ledger.reservations.state import (
    ACTIVE,
    BY_WATERMARK,
    CLAIMS,
    FORGET,
    RELEASING,
    RESERVATIONS,
    TAKEN,
    UNKNOWN,
    WAITERS,
    WAITING,
    ClaimRow,
    claim_key,
    waiter_key,
)
from streams.ledger.reservations.turn import ReservationTurn, arm


def on_claim(turn: ReservationTurn, command: Claim) -> None:
    """Decide a claim, or let it wait; a repeat is answered from the row with the same bytes.

    A repeat comes from an order that the orders stage has forgotten: the answer is what it still holds, and
    is kept as long as the order, which is remembered anew.
    """
    rows, row = turn.rows, turn.row
    order_ref, quantity, withheld = command.order_ref, command.quantity, command.withheld
    key = claim_key(turn.key, order_ref)
    claim = rows.get(CLAIMS, key)
    if claim is not None:
        _repeat(turn, command, claim)
        return
    units = quantity - withheld
    if withheld and not units:
        _take_nothing(turn, command)
        return
    reason_now = reason_for if row.head == row.tail else reason_behind_others
    reason = reason_now(row, units, command.placed_at_ms)
    if reason == WAITING:
        wait(turn, command)
        return
    if command.retention_ms > row.kept_ms:
        row.kept_ms = command.retention_ms
    times = row.settle_at_ms, row.report_at_ms, row.forget_at_ms
    ripe_at_ms = record_decision(row, units, reason, turn.now_ms)
    claim = ClaimRow(quantity, reason, turn.now_ms, withheld, 0, ripe_at_ms)
    rows.put(CLAIMS, key, claim)
    if not row.figures_noted:
        publish_soon(turn)
    if times != (row.settle_at_ms, row.report_at_ms, row.forget_at_ms):
        arm(rows, turn.key, row, turn.now_ms)
    rows.put(RESERVATIONS, turn.key, row)
    turn.effects.count(reason)
    if command.source is None:
        tell_line(turn, order_ref, claim)
    else:
        publish_decision(turn, order_ref, claim, command.source, quantity)


def on_recall(turn: ReservationTurn, command: Recall) -> None:
    """Answer from the claim's record, or see to it that the answer follows the decision.

    The order is remembered anew from now on, so the claim is kept as long.
    """
    claim = turn.rows.get(CLAIMS, claim_key(turn.key, command.order_ref))
    if claim is None:
        tell_recalled(turn, command.order_ref, ClaimRow(0, ""))
    elif claim.reason != WAITING:
        claim.order_changed_at_ms = turn.now_ms
        turn.rows.put(CLAIMS, claim_key(turn.key, command.order_ref), claim)
        tell_recalled(turn, command.order_ref, claim)
    else:
        waiter = turn.rows.get(WAITERS, waiter_key(turn.key, claim.seq))
        if waiter is not None:
            waiter.recalled = True
            turn.rows.put(WAITERS, waiter_key(turn.key, claim.seq), waiter)


def on_keep(turn: ReservationTurn, command: Keep) -> None:
    """What an order has taken is kept as long as the order, which is remembered from now on.

    Nor is it to be settled before the whole delay has passed, where the order is only told of it now.
    """
    row, key = turn.row, claim_key(turn.key, command.order_ref)
    claim = turn.rows.get(CLAIMS, key)
    units = claim.quantity - claim.cancelled if claim is not None and claim.reason == TAKEN else 0
    if claim is None or not units:
        return
    claim.order_changed_at_ms = turn.now_ms
    if command.unripe and row.settle_delay_ms and row.state in (ACTIVE, RELEASING):
        claim.ripe_at_ms = ripen_again(turn, units, claim.ripe_at_ms)
        turn.finish()
    turn.rows.put(CLAIMS, key, claim)


def _take_nothing(turn: ReservationTurn, command: Claim) -> None:
    """A line of which cancels have left nothing needs no decision, and is remembered like any other."""
    row, key = turn.row, claim_key(turn.key, command.order_ref)
    claim = ClaimRow(command.quantity, TAKEN, turn.now_ms, command.withheld)
    turn.rows.put(CLAIMS, key, claim)
    row.kept_ms = max(row.kept_ms, command.retention_ms)
    if row.state is UNKNOWN:
        row.unknown_claims += 1
        BY_WATERMARK.set(turn.rows, turn.now_ms + command.retention_ms, FORGET, key)
    else:
        forget_after_close(row, turn.now_ms)
    turn.finish()
    tell_line(turn, command.order_ref, claim)


def _repeat(turn: ReservationTurn, command: Claim, claim: ClaimRow) -> None:
    if claim.reason == WAITING:
        key = waiter_key(turn.key, claim.seq)
        waiter = turn.rows.get(WAITERS, key)
        if waiter is not None:
            waiter.owe(command.source, command.quantity)
            turn.rows.put(WAITERS, key, waiter)
        return
    claim.order_changed_at_ms = turn.now_ms
    turn.rows.put(CLAIMS, claim_key(turn.key, command.order_ref), claim)
    if command.retention_ms > turn.row.kept_ms:
        turn.row.kept_ms = command.retention_ms
        turn.finish()
    if command.source is None:
        tell_line(turn, command.order_ref, claim, again=True)
    else:
        publish_decision(turn, command.order_ref, claim, command.source, command.quantity)
