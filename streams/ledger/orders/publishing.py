"""Answering events: a new outcome, the newest one once more, or a conflict."""

from __future__ import annotations

from schemas.reasons import RECOMMENDATIONS, Reason
from schemas.structs import ConsumeResult, OrderOutcome
from schemas.topics import ORDER_OUTCOMES
from streams.ledger.dead_letters import dead_letter
from streams.ledger.effects import Effects, Notice, Send
from streams.ledger.inputs import CancelOrder, PlaceOrder
from streams.ledger.orders.forgetting import shelve
from streams.ledger.orders.records import cancel_results, consume_results
from streams.ledger.orders.state import CANCELLED, NO_ORDER, Cancellation, Order
from streams.ledger.outcomes import PARTIAL, REJECTED, encode_outcome, order_outcome
from streams.ledger.rows import Rows
from streams.ledger.terms import Source


def publish_order(rows: Rows, key: bytes, order: Order, now_ms: int, effects: Effects) -> None:
    """The outcome of the order itself, to the event that is being decided (`order.source`)."""
    source, order.source = order.source, None
    if source is None:
        return
    record = _record(key, order, consume_results(order.lines), now_ms)
    _publish(rows, key, order, source, now_ms, effects, record)


def publish_cancel(
    rows: Rows, key: bytes, order: Order, cancellation: Cancellation, now_ms: int, effects: Effects
) -> None:
    """The outcome after a cancel: CANCELLED when nothing of the order is left, otherwise PARTIAL."""
    left = any(line.left for line in order.lines.values())
    record = _record(key, order, consume_results(order.lines), now_ms)
    record.outcome = PARTIAL if left else CANCELLED
    _complete(record, cancellation)
    _publish(rows, key, order, cancellation.source, now_ms, effects, record)


def publish_unknown(
    rows: Rows, key: bytes, order: Order, cancellation: Cancellation, now_ms: int, effects: Effects
) -> None:
    """The outcome of a cancel whose order has not come within the grace."""
    record = _record(key, order, [], now_ms)
    record.outcome = REJECTED
    record.reason = NO_ORDER
    _complete(record, cancellation)
    _publish(rows, key, order, cancellation.source, now_ms, effects, record)
    fields: dict[str, str | int] = {
        "promotion": record.promotion_id,
        "order": record.order_ref,
        "reason": NO_ORDER,
        "recommendation": RECOMMENDATIONS[Reason.NO_ORDER],
    }
    effects.notices.append(Notice("warning", "order_cancel_unknown", fields))


def answer(key: bytes, order: Order, source: Source, effects: Effects) -> None:
    """Answer an event with the order's newest record: the value as it is, the headers of the event."""
    ref = key[: key.index(b"\0")]
    effects.sends.append(Send(ORDER_OUTCOMES, ref, order.outcome, source.headers()))


def conflict(command: PlaceOrder | CancelOrder, what: str, now_ms: int, effects: Effects) -> None:
    """The same identity with different content: the first stands, this one becomes a dead letter.

    `what` names the identity for people: the order, or the cancellation reference.
    """
    error = (
        f"{what} of promotion {command.promotion_id} came before with different content; the first one stands"
    )
    subject = {"promotion": command.promotion_id, "order": command.order_ref}
    dead_letter(command.source, command.original, Reason.CONFLICT, error, now_ms, effects, **subject)


def _record(key: bytes, order: Order, results: list[ConsumeResult], now_ms: int) -> OrderOutcome:
    ref, promotion_id = key.decode().split("\0")
    record = order_outcome(ref, promotion_id, results, now_ms)
    record.revision = order.revision + 1
    return record


def _complete(record: OrderOutcome, cancellation: Cancellation) -> None:
    record.cancel_results = cancel_results(cancellation)
    if cancellation.cancellation_ref:
        record.cancellation_ref = cancellation.cancellation_ref


def _publish(
    rows: Rows, key: bytes, order: Order, source: Source, now_ms: int, effects: Effects, record: OrderOutcome
) -> None:
    if not order.outcome:
        shelve(rows, key, now_ms + order.retention_ms)
    order.revision = record.revision
    order.changed_at_ms = now_ms
    order.outcome = value = encode_outcome(record)
    effects.count_outcome(record.outcome)
    effects.sends.append(Send(ORDER_OUTCOMES, record.order_ref.encode(), value, source.headers()))
