"""Placing: claims out, the ledger's answers in, and the giving back of an incomplete order's lines."""

from __future__ import annotations

from schemas.reasons import Reason
from schemas.topics import SKU_COMMANDS
from streams.ledger.commands import Claim, LineCancelled, LineDecided, encode
from streams.ledger.effects import Send
from streams.ledger.inputs import PlaceOrder
from streams.ledger.orders import undecided
from streams.ledger.orders.cancelling import ask_back
from streams.ledger.orders.publishing import publish_order
from streams.ledger.orders.state import (
    CANCELLED,
    COMPENSATING,
    CONFLICT,
    DECIDED,
    DECIDING,
    UNHEARD_OF,
    WITHHELD,
    Line,
    Order,
    sub_key,
)
from streams.ledger.orders.turn import OrderTurn

INCOMPLETE_ORDER = Reason.INCOMPLETE_ORDER.value


def same_content(order: Order, command: PlaceOrder) -> bool:
    """Whether an event says what the order's first event said, whatever the order of its lines."""
    lines = order.lines
    if len(lines) != len(command.lines):
        return False
    for sku, quantity in command.lines:
        line = lines.get(sku)
        if line is None or line.quantity != quantity:
            return False
    return True


def claim(turn: OrderTurn, command: PlaceOrder) -> None:
    """Ask the ledger for the lines, one Claim per SKU, without the units that earlier cancels withhold."""
    terms = command.terms
    if turn.row is UNHEARD_OF:
        turn.row = Order(DECIDING, {}, terms.orders_kept_ms, command.source, terms.all_or_nothing)
    else:
        _begin_cut(turn, command)
    lines, sends = turn.row.lines, turn.effects.sends
    pending = 0
    for sku, quantity in command.lines:
        line = lines.get(sku)
        if line is None:
            lines[sku] = Line(quantity)
        elif line.withheld == quantity:
            continue
        else:
            quantity -= line.withheld
        pending += 1
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
    turn.row.pending = pending
    undecided.begin(turn, terms)


def _begin_cut(turn: OrderTurn, command: PlaceOrder) -> None:
    """An order of which only cancels are known begins with the lines that they have left."""
    order, terms = turn.row, command.terms
    order.state = DECIDING
    order.lines = _withheld_lines(turn, command)
    order.retention_ms = terms.orders_kept_ms
    order.source = command.source
    order.all_or_nothing = terms.all_or_nothing


def _withheld_lines(turn: OrderTurn, command: PlaceOrder) -> dict[str, Line]:
    """The lines of an order that earlier cancels have cut: what was cancelled is not claimed."""
    lines: dict[str, Line] = {}
    for sku, quantity in command.lines:
        known = turn.rows.get(WITHHELD, sub_key(turn.key, sku.encode()))
        withheld = 0 if known is None else min(known.units, quantity)
        if turn.row.withheld_all:
            withheld = quantity
        lines[sku] = Line(quantity, withheld, 0, CANCELLED if withheld == quantity else None)
    return lines


def collect(turn: OrderTurn, answer: LineDecided) -> None:
    """One SKU is decided; the last one makes the outcome or, all-or-nothing, starts the giving back.

    The ledger answers from its record when it took units under this ref before, for an order that is
    forgotten here. If that was another quantity, the units are not this order's; what was given back
    meanwhile is not either.
    """
    order = turn.row
    line = order.lines.get(answer.sku)
    if line is None or line.reason is not None:
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
        conclude(turn)


def conclude(turn: OrderTurn) -> None:
    """Every line is decided."""
    order = turn.row
    undecided.conclude(turn)
    if order.all_or_nothing and len(order.lines) > 1:
        taken = {sku: line.left for sku, line in order.lines.items() if line.left}
        complete = all(line.reason == "" or not line.claimed for line in order.lines.values())
        if taken and not complete:
            order.state = COMPENSATING
            order.operation += 1
            order.pending = len(taken)
            ask_back(turn, taken, compensation=True)
            return
    order.state = DECIDED
    undecided.end(turn)
    publish_order(turn)


def collect_compensation(turn: OrderTurn, answer: LineCancelled) -> None:
    """One taken line was given back; the last one makes the outcome."""
    order = turn.row
    line = order.lines.get(answer.sku)
    if line is None or line.reason != "":
        return
    line.reason = INCOMPLETE_ORDER
    line.left = 0
    order.pending -= 1
    if not order.pending:
        order.state = DECIDED
        publish_order(turn)
