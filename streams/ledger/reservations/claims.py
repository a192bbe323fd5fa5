"""Claims: an order's line takes units of a reservation, whole or not at all.

`on_claim` is the hot path of the whole system, which is why it spells out what elsewhere is a helper.
"""

from __future__ import annotations

from streams.ledger.commands import Claim, reservation_key
from streams.ledger.effects import Effects
from streams.ledger.reservations.queue import enqueue
from streams.ledger.reservations.state import (
    CLAIMS,
    RESERVATIONS,
    WAITING,
    ClaimRow,
    Reservation,
    claim_key,
)
from streams.ledger.reservations.turn import Turn, arm_sooner, line_decided
from streams.ledger.reservations.verdict import reason_for, record_verdict
from streams.ledger.rows import Rows


def on_claim(rows: Rows, command: Claim, now_ms: int, effects: Effects) -> None:
    """Decide a claim, or let it wait; a repeat is answered from the row with the same bytes."""
    promotion_id, sku, quantity = command.promotion_id, command.sku, command.quantity
    key = reservation_key(promotion_id, sku)
    claim = rows.get(CLAIMS, claim_key(key, command.order_ref))
    if claim is not None:
        _repeat(command, claim, effects)
        return
    row = rows.get(RESERVATIONS, key) or Reservation()
    queued = row.head != row.tail
    reason = WAITING if queued else reason_for(row, quantity, command.placed_at_ms)
    if reason == WAITING:
        enqueue(Turn(rows, effects, now_ms, promotion_id, sku, row), command)
        return
    ripe_at_ms = record_verdict(row, quantity, reason, now_ms)
    rows.put(CLAIMS, claim_key(key, command.order_ref), ClaimRow(quantity, reason, 0, ripe_at_ms))
    arm_sooner(rows, key, row)
    rows.put(RESERVATIONS, key, row)
    effects.sends.append(line_decided(promotion_id, command.order_ref, sku, quantity, reason))
    effects.count(reason)


def _repeat(command: Claim, claim: ClaimRow, effects: Effects) -> None:
    """A claim that waits is answered once, when it is decided."""
    if claim.reason != WAITING:
        effects.sends.append(
            line_decided(command.promotion_id, command.order_ref, command.sku, claim.quantity, claim.reason)
        )
