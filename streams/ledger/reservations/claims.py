"""Claims: an order's line takes units of a reservation, whole or not at all.

`on_claim` is the hot path of the whole system, which is why it spells out what elsewhere is a helper.
"""

from __future__ import annotations

from streams.ledger.commands import Claim, Recall, reservation_key
from streams.ledger.reservations.decision import reason_for, record_decision
from streams.ledger.reservations.publishing import publish_decision, tell_line, tell_recalled
from streams.ledger.reservations.queue import wait
from streams.ledger.reservations.state import (
    CLAIMS,
    RESERVATIONS,
    WAITERS,
    WAITING,
    ClaimRow,
    Reservation,
    claim_key,
    waiter_key,
)
from streams.ledger.reservations.turn import ReservationTurn, arm_sooner
from streams.ledger.turn import Turn


def on_claim(turn: Turn, command: Claim) -> None:
    """Decide a claim, or let it wait; a repeat is answered from the row with the same bytes.

    A repeat comes from an order that the orders stage has forgotten: the answer is what it still holds.
    """
    rows, effects = turn.rows, turn.effects
    promotion_id, sku, order_ref = command.promotion_id, command.sku, command.order_ref
    quantity = command.quantity
    key = reservation_key(promotion_id, sku)
    own_key = claim_key(key, order_ref)
    claim = rows.get(CLAIMS, own_key)
    if claim is not None:
        _repeat(turn, command, claim)
        return
    row = rows.get(RESERVATIONS, key) or Reservation()
    reason = reason_for(row, quantity, command.placed_at_ms) if row.head == row.tail else WAITING
    if reason == WAITING:
        wait(ReservationTurn(rows, effects, turn.now_ms, turn.log, promotion_id, sku, key, row), command)
        return
    ripe_at_ms = record_decision(row, quantity, reason, turn.now_ms)
    claim = ClaimRow(quantity, reason, turn.now_ms, 0, 0, ripe_at_ms)
    rows.put(CLAIMS, own_key, claim)
    arm_sooner(rows, key, row)
    rows.put(RESERVATIONS, key, row)
    effects.count(reason)
    if command.source is None:
        tell_line(effects, promotion_id, sku, order_ref, claim)
    else:
        publish_decision(effects, promotion_id, sku, order_ref, claim, command.source, quantity)


def on_recall(turn: Turn, command: Recall) -> None:
    """Answer from the claim's record, or see to it that the answer follows the decision."""
    subject = command.promotion_id, command.sku, command.order_ref
    key = reservation_key(command.promotion_id, command.sku)
    claim = turn.rows.get(CLAIMS, claim_key(key, command.order_ref))
    if claim is None:
        tell_recalled(turn.effects, *subject, ClaimRow(0, ""))
    elif claim.reason != WAITING:
        tell_recalled(turn.effects, *subject, claim)
    else:
        waiter = turn.rows.get(WAITERS, waiter_key(key, claim.seq))
        if waiter is not None:
            waiter.recalled = True
            turn.rows.put(WAITERS, waiter_key(key, claim.seq), waiter)


def _repeat(turn: Turn, command: Claim, claim: ClaimRow) -> None:
    subject = command.promotion_id, command.sku, command.order_ref
    if claim.reason == WAITING:
        key = waiter_key(reservation_key(command.promotion_id, command.sku), claim.seq)
        waiter = turn.rows.get(WAITERS, key)
        if waiter is not None:
            waiter.owe(command.source, command.quantity)
            turn.rows.put(WAITERS, key, waiter)
    elif command.source is None:
        tell_line(turn.effects, *subject, claim)
    else:
        publish_decision(turn.effects, *subject, claim, command.source, command.quantity)
