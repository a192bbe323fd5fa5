"""Orders of one SKU: handed to the ledger, which answers them, and recalled when somebody asks again.

Most orders are of one SKU and nobody ever asks about them again. Such an order is one small row here; the
ledger decides and publishes its outcome in one transaction. A repeat or a cancel makes it an order like any
other: the ledger is asked for its record, what came meanwhile waits in the order's queue.
"""

from __future__ import annotations

from schemas.topics import SKU_COMMANDS
from streams.ledger.commands import Claim, LineRecalled, Recall, encode
from streams.ledger.effects import Send
from streams.ledger.inputs import PlaceOrder
from streams.ledger.orders.forgetting import shelve
from streams.ledger.orders.state import (
    CONFLICT,
    DECIDED,
    DECIDING,
    ORDERS,
    QUEUE,
    RECALLING,
    UNKNOWN,
    Handed,
    Line,
    Waiting,
    queue_key,
)
from streams.ledger.orders.turn import OrderTurn
from streams.ledger.outcomes import consume_results, encode_outcome, order_outcome


def hand_over(turn: OrderTurn, command: PlaceOrder) -> None:
    """Have the ledger decide and answer a new order of one SKU."""
    ((sku, quantity),) = command.lines
    terms, now_ms = command.terms, turn.now_ms
    kept_ms = terms.orders_kept_ms
    turn.rows.put(ORDERS, turn.key, Handed(sku, quantity, kept_ms, now_ms))
    shelve(turn, now_ms + kept_ms)
    claim = Claim(
        command.promotion_id,
        sku,
        quantity,
        command.order_ref,
        command.placed_at_ms,
        terms.claim_grace_ms,
        terms.claims_kept_ms,
        command.source,
    )
    turn.effects.sends.append(Send(SKU_COMMANDS, sku.encode(), encode(claim)))


def recall(turn: OrderTurn) -> None:
    """Ask the ledger what it decided. The caller queues what is to be answered then, and writes the order."""
    ref, promotion_id = turn.ids
    turn.row.state = RECALLING
    (sku,) = turn.row.lines
    turn.send(SKU_COMMANDS, sku.encode(), encode(Recall(promotion_id, sku, ref)))


def recalled(turn: OrderTurn, answer: LineRecalled) -> None:
    """The ledger's record has come: the order is as if its outcome had been published here."""
    if answer.quantity:
        _adopt(turn, answer)
    else:
        _begin_anew(turn)


def _adopt(turn: OrderTurn, answer: LineRecalled) -> None:
    order = turn.row
    quantity, cancelled, reason = order.lines[answer.sku].quantity, answer.cancelled, answer.reason
    if answer.quantity != quantity:
        cancelled, reason = 0, CONFLICT
    left = 0 if reason else quantity - cancelled
    order.lines[answer.sku] = Line(quantity, cancelled, left, reason)
    results = consume_results(answer.sku, quantity, cancelled, reason)
    order.outcome = encode_outcome(order_outcome(*turn.ids, results, answer.decided_at_ms))
    order.revision = 1
    order.state = DECIDED


def _begin_anew(turn: OrderTurn) -> None:
    """The ledger has forgotten the claim: the first repeat that waits is a new order, cancels wait for it."""
    order = turn.row
    ((sku, line),) = order.lines.items()
    repeat = _take_repeat(turn)
    if repeat is None:
        order.state, order.lines = UNKNOWN, {}
        return
    ref, promotion_id = turn.ids
    order.state, order.source, order.pending = DECIDING, repeat.source, 1
    grace_ms = max(0, repeat.due_ms - turn.now_ms)
    again = Claim(promotion_id, sku, line.quantity, ref, repeat.placed_at_ms, grace_ms, order.retention_ms)
    turn.send(SKU_COMMANDS, sku.encode(), encode(again))


def _take_repeat(turn: OrderTurn) -> Waiting | None:
    for number in range(turn.row.queue_head, turn.row.queue_tail):
        key = queue_key(turn.key, number)
        event = turn.rows.get(QUEUE, key)
        if event is not None and event.placed_at_ms:  # a repeat of the order, and not one of a cancel
            turn.rows.delete(QUEUE, key)
            return event
    return None
