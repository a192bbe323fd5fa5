"""Answering events: a new outcome, the newest one once more, or a conflict."""

from __future__ import annotations

from schemas.reasons import RECOMMENDATIONS, Reason
from schemas.structs import CancelResult, ConsumeResult, OrderOutcome
from schemas.topics import ORDER_OUTCOMES, SKU_COMMANDS
from streams.ledger.commands import Keep, encode
from streams.ledger.dead_letters import dead_letter
from streams.ledger.effects import Send
from streams.ledger.inputs import CancelOrder, PlaceOrder
from streams.ledger.orders.forgetting import shelve
from streams.ledger.orders.state import CANCELLED, NO_ORDER, Cancellation, Line
from streams.ledger.orders.turn import OrderTurn
from streams.ledger.outcomes import PARTIAL, REJECTED, consume_results, encode_outcome, order_outcome
from streams.ledger.terms import Source


def publish_order(turn: OrderTurn) -> None:
    """The outcome of the order itself, to the event that is being decided (`order.source`)."""
    order = turn.row
    source, order.source = order.source, None
    if source is not None:
        _publish(turn, source, _record(turn, _consume_results(order.lines)))


def publish_cancel(turn: OrderTurn, cancellation: Cancellation) -> None:
    """The outcome after a cancel: CANCELLED when nothing of the order is left, otherwise PARTIAL.

    From now on the order is remembered for longer, and with it the claims of which something is left: those
    that the cancel has touched, too, for the ledger may have answered another one of them much later.
    """
    lines = turn.row.lines
    record = _record(turn, _consume_results(lines), cancellation)
    record.outcome = PARTIAL if any(line.left for line in lines.values()) else CANCELLED
    _publish(turn, cancellation.source, record)
    ref, promotion_id = turn.ids
    for sku, line in lines.items():
        if line.left:
            turn.send(SKU_COMMANDS, sku.encode(), encode(Keep(promotion_id, sku, ref, False)))


def publish_unknown(turn: OrderTurn, cancellation: Cancellation) -> None:
    """The outcome of a cancel whose order has not come within the grace."""
    record = _record(turn, [], cancellation)
    record.outcome = REJECTED
    record.reason = NO_ORDER
    _publish(turn, cancellation.source, record)
    turn.notify(
        "warning",
        "order_cancel_unknown",
        promotion=record.promotion_id,
        order=record.order_ref,
        reason=NO_ORDER,
        recommendation=RECOMMENDATIONS[Reason.NO_ORDER],
    )


def answer(turn: OrderTurn, source: Source) -> None:
    """Answer an event with the order's newest record: the value as it is, the headers of the event."""
    ref, _ = turn.ids
    turn.send(ORDER_OUTCOMES, ref.encode(), turn.row.outcome, source.headers())


def conflict(turn: OrderTurn, command: PlaceOrder | CancelOrder, what: str) -> None:
    """The same identity with different content: the first stands, this one becomes a dead letter.

    `what` names the identity for people: the order, or the cancellation reference.
    """
    error = (
        f"{what} of promotion {command.promotion_id} came before with different content; the first one stands"
    )
    subject = {"promotion": command.promotion_id, "order": command.order_ref}
    source, value = command.source, command.original
    dead_letter(source, value, Reason.CONFLICT, error, turn.now_ms, turn.effects, **subject)


def _record(
    turn: OrderTurn, results: list[ConsumeResult], cancellation: Cancellation | None = None
) -> OrderOutcome:
    ref, promotion_id = turn.ids
    record = order_outcome(ref, promotion_id, results, turn.now_ms)
    record.revision = turn.row.revision + 1
    if cancellation is not None:
        record.cancel_results = _cancel_results(cancellation)
        if cancellation.cancellation_ref:
            record.cancellation_ref = cancellation.cancellation_ref
    return record


def _publish(turn: OrderTurn, source: Source, record: OrderOutcome) -> None:
    order, effects = turn.row, turn.effects
    if not order.outcome:
        shelve(turn, turn.now_ms + order.retention_ms)
    order.revision = record.revision
    order.changed_at_ms = turn.now_ms
    order.outcome = value = encode_outcome(record)
    effects.count_outcome(record.outcome)
    effects.sends.append(Send(ORDER_OUTCOMES, record.order_ref.encode(), value, source.headers()))


def _consume_results(lines: dict[str, Line]) -> list[ConsumeResult]:
    """The lines in the event's order; a line that an earlier cancel cut has a second result for that part."""
    results: list[ConsumeResult] = []
    for sku, line in lines.items():
        reason = CANCELLED if line.reason is None else line.reason
        results += consume_results(sku, line.quantity, line.withheld, reason)
    return results


def _cancel_results(cancellation: Cancellation) -> list[CancelResult]:
    """The lines of a cancel as asked; units that the ledger no longer held are a result of their own."""
    results: list[CancelResult] = []
    for sku, ask in cancellation.asks.items():
        given = ask.given or 0
        if given:
            results.append(CancelResult(sku, given, True))
        if given < ask.quantity:
            results.append(CancelResult(sku, ask.quantity - given, False, ask.reason or CANCELLED))
    return results
