"""Placing: claims out, the ledger's answers in, and the giving back of an incomplete order's lines."""

from __future__ import annotations

from schemas.reasons import Reason
from schemas.topics import SKU_COMMANDS
from streams.ledger.commands import Claim, LineCancelled, LineDecided, encode
from streams.ledger.effects import Effects, Send
from streams.ledger.inputs import PlaceOrder
from streams.ledger.orders.cancelling import ask_back
from streams.ledger.orders.publishing import publish_order
from streams.ledger.orders.state import (
    CANCELLED,
    COMPENSATING,
    CONFLICT,
    DECIDED,
    DECIDING,
    WITHHELD,
    Handed,
    Line,
    Order,
    sub_key,
)
from streams.ledger.rows import Rows

INCOMPLETE_ORDER = Reason.INCOMPLETE_ORDER.value


def same_content(order: Order | Handed, command: PlaceOrder) -> bool:
    """Whether an event says what the order's first event said, whatever the order of its lines."""
    if isinstance(order, Handed):
        return command.lines == ((order.sku, order.quantity),)
    lines = order.lines
    if len(lines) != len(command.lines):
        return False
    for sku, quantity in command.lines:
        line = lines.get(sku)
        if line is None or line.quantity != quantity:
            return False
    return True


def claim(order: Order, command: PlaceOrder, effects: Effects) -> None:
    """Ask the ledger for the lines, one Claim per SKU. `order.lines` says what is withheld of them."""
    terms = command.terms
    order.state = DECIDING
    order.source = command.source
    order.retention_ms = terms.retention_ms
    order.all_or_nothing = terms.all_or_nothing
    lines = order.lines
    sends = effects.sends
    for sku, quantity in command.lines:
        line = lines.get(sku)
        if line is None:
            lines[sku] = Line(quantity)
        elif line.withheld == quantity:
            continue
        else:
            quantity -= line.withheld
        order.pending += 1
        wish = Claim(
            command.promotion_id,
            sku,
            quantity,
            command.order_ref,
            command.placed_at_ms,
            terms.claim_grace_ms,
            terms.claims_kept_ms,
        )
        sends.append(Send(SKU_COMMANDS, sku.encode(), encode(wish)))


def withheld_lines(rows: Rows, key: bytes, order: Order, command: PlaceOrder) -> dict[str, Line]:
    """The lines of an order that earlier cancels have cut: what was cancelled is not claimed."""
    lines: dict[str, Line] = {}
    for sku, quantity in command.lines:
        known = rows.get(WITHHELD, sub_key(key, sku.encode()))
        withheld = 0 if known is None else min(known.units, quantity)
        if order.withheld_all:
            withheld = quantity
        lines[sku] = Line(quantity, withheld, 0, CANCELLED if withheld == quantity else None)
    return lines


def collect(rows: Rows, key: bytes, order: Order, answer: LineDecided, now_ms: int, effects: Effects) -> None:
    """One SKU is decided; the last one makes the outcome or, all-or-nothing, starts the giving back.

    The ledger answers from its record when it took units under this ref before, for an order that is
    forgotten here. If that was another quantity, the units are not this order's; what was given back
    meanwhile is not either.
    """
    line = order.lines.get(answer.sku)
    if order.state != DECIDING or line is None or line.reason is not None:
        return
    line.reason = answer.reason
    if not answer.reason:
        claimed = line.quantity - line.withheld
        if answer.quantity == claimed:
            line.left = claimed - answer.cancelled
            line.withheld += answer.cancelled
            line.reason = "" if line.left else CANCELLED
        else:
            line.reason = CONFLICT
    pending = order.pending = order.pending - 1
    if not pending:
        conclude(rows, key, order, now_ms, effects)


def conclude(rows: Rows, key: bytes, order: Order, now_ms: int, effects: Effects) -> None:
    """Every line is decided."""
    if order.all_or_nothing and len(order.lines) > 1:
        taken = {sku: line.left for sku, line in order.lines.items() if line.left}
        complete = all(line.reason == "" or not line.claimed for line in order.lines.values())
        if taken and not complete:
            order.state = COMPENSATING
            order.operation += 1
            order.pending = len(taken)
            ask_back(key, order, taken, True, effects)
            return
    order.state = DECIDED
    publish_order(rows, key, order, now_ms, effects)


def collect_compensation(
    rows: Rows, key: bytes, order: Order, answer: LineCancelled, now_ms: int, effects: Effects
) -> None:
    """One taken line was given back; the last one makes the outcome."""
    line = order.lines.get(answer.sku)
    if line is None or line.reason != "":
        return
    line.reason = INCOMPLETE_ORDER
    line.left = 0
    order.pending -= 1
    if not order.pending:
        order.state = DECIDED
        publish_order(rows, key, order, now_ms, effects)
