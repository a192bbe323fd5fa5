"""What happens to an order: events and the ledger's answers, one thing at a time.

An event that comes while something is under way waits in the order's queue, and is answered after it, in the
order of the log.
"""

from __future__ import annotations

from streams.ledger.commands import LineCancelled, LineDecided, LineRecalled
from streams.ledger.effects import MAX_EFFECTS
from streams.ledger.inputs import CancelOrder, PlaceOrder
from streams.ledger.orders import cancelling, placing, recalling
from streams.ledger.orders.publishing import answer, conflict
from streams.ledger.orders.state import (
    BY_WATERMARK,
    CANCELLING,
    CANCELS,
    COMPENSATING,
    DECIDING,
    GRACE,
    HANDED,
    QUEUE,
    RECALLING,
    UNHEARD_OF,
    UNIT_EFFECTS,
    UNKNOWN,
    Order,
    Seen,
    Waiting,
    queue_key,
    sub_key,
)
from streams.ledger.orders.turn import OrderTurn, Work, take
from streams.ledger.turn import Turn

BYTES_PER_EFFECT = 1_024
"""A long order's record counts for more than one effect, so that a command's bytes are bounded as well."""


def on_place(turn: OrderTurn, command: PlaceOrder) -> None:
    """An order event: new, a repeat, or a conflict."""
    order = turn.row
    if order is UNHEARD_OF and len(command.lines) == 1:
        recalling.hand_over(turn, command)
    elif order.state is UNKNOWN:
        placing.claim(turn, command)
        turn.finish()
    elif placing.same_content(order, command):
        due_ms = turn.now_ms + command.terms.claim_grace_ms
        _repeat(turn, Waiting(command.source, due_ms=due_ms, placed_at_ms=command.placed_at_ms))
    else:
        conflict(turn, command, f"order {command.order_ref}")


def on_cancel(turn: OrderTurn, command: CancelOrder) -> None:
    """A cancel event: new, a repeat, or a conflict; of an order that is known or not."""
    digest = cancelling.content_digest(command.lines)
    seen_key = sub_key(turn.key, cancelling.identity(command, digest))
    seen = turn.rows.get(CANCELS, seen_key)
    if seen is None:
        turn.rows.put(CANCELS, seen_key, Seen(digest))
        _cancel(turn, command)
    elif seen.digest == digest:
        _repeat(turn, Waiting(command.source))
    else:
        conflict(turn, command, f"cancellation {command.cancellation_ref} of order {command.order_ref}")


def _cancel(turn: OrderTurn, command: CancelOrder) -> None:
    if turn.row is UNHEARD_OF:
        turn.row = Order(retention_ms=command.terms.orders_kept_ms)
    elif turn.row.state is HANDED:
        recalling.recall(turn)
    order = turn.row
    order.cancels += 1
    due_ms = turn.now_ms + command.terms.claim_grace_ms
    event = Waiting(command.source, True, due_ms, command.cancellation_ref, command.lines)
    if order.state is not UNKNOWN and order.resting and not order.waiting:
        cancelling.begin(turn, event)
    else:
        _enqueue(turn, event)
    turn.finish()


def _repeat(turn: OrderTurn, repeat: Waiting) -> None:
    if turn.row.resting and not turn.row.waiting:
        answer(turn, repeat.source)
        return
    if turn.row.state is HANDED:
        recalling.recall(turn)
    _enqueue(turn, repeat)
    turn.finish()


def on_line_decided(turn: OrderTurn, answered: LineDecided) -> None:
    """The ledger answers a Claim."""
    order = turn.row
    if order.state is DECIDING:
        sent = len(turn.effects.sends)
        placing.collect(turn, answered)
        if not order.pending:
            drain(turn, len(turn.effects.sends) - sent)
        turn.finish()


def on_line_recalled(turn: OrderTurn, answered: LineRecalled) -> None:
    """The ledger answers a Recall."""
    if turn.row.state is RECALLING:
        recalling.recalled(turn, answered)
        drain(turn)
        turn.finish()


def on_line_cancelled(turn: OrderTurn, answered: LineCancelled) -> None:
    """The ledger answers a Cancel; an answer to an earlier operation is not waited for any more."""
    state = turn.row.state
    if state not in (COMPENSATING, CANCELLING) or turn.row.operation != answered.operation:
        return
    sent = len(turn.effects.sends)
    if state is COMPENSATING:
        placing.collect_compensation(turn, answered)
    else:
        cancelling.collect(turn, answered)
    drain(turn, len(turn.effects.sends) - sent)
    turn.finish()


def resume(turn: Turn, key: bytes, spent: int = 0) -> int:
    """Go on with an order's queue, if it is known and nothing is under way. Returns the effects used."""
    known = take(turn.rows, turn.effects, turn.now_ms, key)
    if not known.row.resting or not known.row.waiting:
        return spent
    spent = drain(known, spent)
    known.finish()
    return spent + 1


def drain(turn: OrderTurn, spent: int = 0) -> int:
    """Answer queued events in order until one is under way, must wait, or the budget is used.

    Changes the row, which the caller writes. Returns the effects used, `spent` included.
    """
    order = turn.row
    while order.queue_head != order.queue_tail and order.resting:
        if spent > MAX_EFFECTS - UNIT_EFFECTS:
            turn.go_on(Work.QUEUE, turn.key, turn.key)
            return spent + 1
        number = queue_key(turn.key, order.queue_head)
        event = turn.rows.get(QUEUE, number)
        if event is not None and order.state is UNKNOWN and event.due_ms > turn.watermark_ms:
            BY_WATERMARK.set(turn.rows, event.due_ms, GRACE, turn.key)
            return spent + 1
        turn.rows.delete(QUEUE, number)
        order.queue_head += 1
        if event is not None:
            spent += _answer(turn, event)
    return spent


def _answer(turn: OrderTurn, event: Waiting) -> int:
    sent = len(turn.effects.sends)
    if not event.is_cancel:
        answer(turn, event.source)
    elif turn.row.state is UNKNOWN:
        cancelling.withhold(turn, event)
    else:
        cancelling.begin(turn, event)
    used = len(turn.effects.sends) - sent + len(event.lines) + 1
    return used + len(turn.row.outcome) // BYTES_PER_EFFECT


def _enqueue(turn: OrderTurn, event: Waiting) -> None:
    """Append an event. The first one that waits for an unknown order sets the deadline of its grace."""
    order = turn.row
    if order.state is UNKNOWN and not order.waiting:
        BY_WATERMARK.set(turn.rows, event.due_ms, GRACE, turn.key)
    turn.rows.put(QUEUE, queue_key(turn.key, order.queue_tail), event)
    order.queue_tail += 1
