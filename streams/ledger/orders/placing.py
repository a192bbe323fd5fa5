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
    """Ask the ledger for the lines, one Claim per SKU, without the units that earlier cancels withhold.

    Those of which nothing is left are asked for, too: if the order is one that was forgotten, the ledger
    knows what it has.
    """
    terms = command.terms
    if turn.row is UNHEARD_OF:
        turn.row = Order(DECIDING, {}, terms.orders_kept_ms, command.source, terms.all_or_nothing)
    else:
        _begin_cut(turn, command)
    lines, sends = turn.row.lines, turn.effects.sends
    for sku, quantity in command.lines:
        line = lines.get(sku)
        if line is None:
            line = lines[sku] = Line(quantity)
        wish = Claim(
            command.promotion_id,
            sku,
            quantity,
            command.order_ref,
            command.placed_at_ms,
            terms.claim_grace_ms,
            terms.claims_kept_ms,
            None,
            line.withheld,
        )
        sends.append(Send(SKU_COMMANDS, sku.encode(), encode(wish)))
    turn.row.pending = len(lines)
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
        lines[sku] = Line(quantity, withheld)
    return lines


def collect(turn: OrderTurn, answer: LineDecided) -> None:
    """One SKU is decided; the last one makes the outcome or, all-or-nothing, starts the giving back.

    The ledger answers from its record when it decided a line under this ref before, for an order that is
    forgotten here. That record counts, and not what came since: cancels of an order that nobody knew have
    been answered NO_ORDER. If it is of another quantity, the units are not this order's.
    """
    order = turn.row
    line = order.lines.get(answer.sku)
    if line is None or line.reason is not None:
        return
    line.reason, line.again = answer.reason, answer.again
    if answer.quantity == line.quantity:
        line.withheld = answer.cancelled
        if not answer.reason:
            line.left = line.claimed
    elif not answer.reason:
        line.reason = CONFLICT
    pending = order.pending = order.pending - 1
    if not pending:
        conclude(turn)


def conclude(turn: OrderTurn) -> None:
    """Every line is decided."""
    order = turn.row
    undecided.conclude(turn)
    if order.all_or_nothing and len(order.lines) > 1 and not _is_complete(order):
        taken = _taken_now(order)
        if taken:
            order.state = COMPENSATING
            order.operation += 1
            order.pending = len(taken)
            ask_back(turn, taken, compensation=True)
            return
    order.state = DECIDED
    undecided.end(turn)
    publish_order(turn)


def _is_complete(order: Order) -> bool:
    """Whether it has every line that it claimed."""
    return all(
        line.reason == "" or (not line.claimed and line.reason != CONFLICT) for line in order.lines.values()
    )


def _taken_now(order: Order) -> dict[str, int]:
    """Units by SKU that an incomplete order has to give back.

    What the ledger had decided before is another order's under the same ref, which was forgotten here. That
    one was told that it has the units, so they stay with it.
    """
    taken = {}
    for sku, line in order.lines.items():
        if line.left and line.again:
            line.reason, line.left = CONFLICT, 0
        elif line.left:
            taken[sku] = line.left
    return taken


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
