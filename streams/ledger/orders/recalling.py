"""Orders of one SKU: handed to the ledger, which answers them, and recalled when somebody asks again.

Most orders are of one SKU and nobody ever asks about them again. Such an order is one small row here; the
ledger decides and publishes its outcome in one transaction. A repeat or a cancel makes it an order like any
other: the ledger is asked for its record, what came meanwhile waits in the order's queue.
"""

from __future__ import annotations

from schemas.topics import SKU_COMMANDS
from streams.ledger.commands import Claim, LineRecalled, Recall, encode
from streams.ledger.effects import Effects, Send
from streams.ledger.inputs import PlaceOrder
from streams.ledger.orders.forgetting import shelve
from streams.ledger.orders.queue import drain
from streams.ledger.orders.state import (
    CANCELLED,
    CONFLICT,
    DECIDED,
    DECIDING,
    ORDERS,
    QUEUE,
    RECALLING,
    UNKNOWN,
    Handed,
    Line,
    Order,
    Waiting,
    queue_key,
)
from streams.ledger.outcomes import consume_results, encode_outcome, order_outcome
from streams.ledger.rows import Rows


def hand_over(rows: Rows, key: bytes, command: PlaceOrder, now_ms: int, effects: Effects) -> None:
    """Have the ledger decide and answer a new order of one SKU."""
    ((sku, quantity),) = command.lines
    terms = command.terms
    rows.put(ORDERS, key, Handed(sku, quantity, terms.retention_ms, now_ms))
    shelve(rows, key, now_ms + terms.retention_ms)
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
    effects.sends.append(Send(SKU_COMMANDS, sku.encode(), encode(claim)))


def recall(key: bytes, handed: Handed, effects: Effects) -> Order:
    """Ask the ledger what it decided. The caller queues what is to be answered then, and puts the order."""
    ref, promotion_id = key.decode().split("\0")
    asked = encode(Recall(promotion_id, handed.sku, ref))
    effects.sends.append(Send(SKU_COMMANDS, handed.sku.encode(), asked))
    lines = {handed.sku: Line(handed.quantity)}
    return Order(RECALLING, lines, handed.retention_ms, changed_at_ms=handed.handed_at_ms)


def recalled(
    rows: Rows, key: bytes, order: Order, answer: LineRecalled, now_ms: int, effects: Effects
) -> None:
    """The ledger's record has come: the order is as if its outcome had been published here."""
    if order.state != RECALLING:
        return
    if answer.quantity:
        _adopt(key, order, answer)
    else:
        _begin_anew(rows, key, order, now_ms, effects)
    drain(rows, key, order, now_ms, effects)
    rows.put(ORDERS, key, order)


def _adopt(key: bytes, order: Order, answer: LineRecalled) -> None:
    ref, promotion_id = key.decode().split("\0")
    quantity, cancelled, reason = order.lines[answer.sku].quantity, answer.cancelled, answer.reason
    if answer.quantity != quantity:
        cancelled, reason = 0, CONFLICT
    left = 0 if reason else quantity - cancelled
    order.lines[answer.sku] = Line(quantity, cancelled, left, reason if cancelled < quantity else CANCELLED)
    results = consume_results(answer.sku, quantity, cancelled, reason)
    order.outcome = encode_outcome(order_outcome(ref, promotion_id, results, answer.decided_at_ms))
    order.revision = 1
    order.state = DECIDED


def _begin_anew(rows: Rows, key: bytes, order: Order, now_ms: int, effects: Effects) -> None:
    """The ledger has forgotten the claim: the first repeat that waits is a new order, cancels wait for it."""
    ((sku, line),) = order.lines.items()
    repeat = _take_repeat(rows, key, order)
    if repeat is None:
        order.state, order.lines = UNKNOWN, {}
        return
    ref, promotion_id = key.decode().split("\0")
    order.state, order.source, order.pending = DECIDING, repeat.source, 1
    grace_ms = max(0, repeat.due_ms - now_ms)
    again = Claim(promotion_id, sku, line.quantity, ref, repeat.placed_at_ms, grace_ms, order.retention_ms)
    effects.sends.append(Send(SKU_COMMANDS, sku.encode(), encode(again)))


def _take_repeat(rows: Rows, key: bytes, order: Order) -> Waiting | None:
    for number in range(order.queue_head, order.queue_tail):
        event = rows.get(QUEUE, queue_key(key, number))
        if event is not None and not event.is_cancel:
            rows.delete(QUEUE, queue_key(key, number))
            return event
    return None
