"""What others learn: answers to claims and to the Reserve, figures, releases, and what people should read."""

from __future__ import annotations

import msgspec

from schemas.drift import REMEDIES
from schemas.structs import ReservationRelease
from schemas.times import iso_utc
from schemas.topics import ORDER_COMMANDS, ORDER_OUTCOMES, PROMOTION_COMMANDS, RESERVATION_RELEASES
from streams.ledger.commands import (
    Figures,
    LineDecided,
    LineFigures,
    LineRecalled,
    LineReserved,
)
from streams.ledger.commands import encode as encode_command
from streams.ledger.effects import RELEASED, Send
from streams.ledger.fluent_requests import reservation_ref
from streams.ledger.outcomes import consume_results, encode_outcome, order_outcome
from streams.ledger.reservations.state import CLOSED, CONFLICT, RELEASING, UNKNOWN, ClaimRow
from streams.ledger.reservations.turn import ReservationTurn
from streams.ledger.reservations.verifying import checked_at_ms
from streams.ledger.terms import Source

_to_json = msgspec.json.encode


def publish_decision(
    turn: ReservationTurn, order_ref: str, claim: ClaimRow, event: Source, asked: int
) -> None:
    """The outcome of an order that is this one line, as the answer to `event`, which asked for `asked` units.

    The same claim always gives the same bytes. Another quantity than that of the claim is another order's
    under the same ref, which the orders stage has forgotten: nothing is taken for it.
    """
    if asked == claim.quantity:
        results = consume_results(turn.sku, asked, claim.cancelled, claim.reason)
    else:
        results = consume_results(turn.sku, asked, 0, CONFLICT)
    record = order_outcome(order_ref, turn.promotion_id, results, claim.decided_at_ms)
    effects = turn.effects
    effects.count_outcome(record.outcome)
    effects.sends.append(Send(ORDER_OUTCOMES, order_ref.encode(), encode_outcome(record), event.headers()))


def tell_line(turn: ReservationTurn, order_ref: str, claim: ClaimRow, *, again: bool = False) -> None:
    """LineDecided: the orders stage makes the outcome. The same claim always gives the same bytes."""
    quantity, reason, cancelled = claim.quantity, claim.reason, claim.cancelled
    told = LineDecided(turn.promotion_id, order_ref, turn.sku, quantity, reason, cancelled, again)
    turn.effects.sends.append(Send(ORDER_COMMANDS, order_ref.encode(), encode_command(told)))


def tell_recalled(turn: ReservationTurn, order_ref: str, claim: ClaimRow) -> None:
    """LineRecalled: the orders stage learns what was published in its name."""
    told = LineRecalled(
        turn.promotion_id,
        order_ref,
        turn.sku,
        claim.quantity,
        claim.reason,
        claim.cancelled,
        claim.decided_at_ms,
    )
    turn.send(ORDER_COMMANDS, order_ref.encode(), encode_command(told))


def answer_reserve(turn: ReservationTurn, error: str = "") -> None:
    """LineReserved, as the row says: held, or refused with the row's reason."""
    row = turn.row
    quantity = row.quantity if row.refusal else row.reserved
    ref = reservation_ref(turn.promotion_id, turn.sku)
    answer = LineReserved(turn.promotion_id, turn.sku, quantity, ref, row.expires_at_ms, row.refusal, error)
    turn.send(PROMOTION_COMMANDS, turn.promotion_id.encode(), encode_command(answer))


def report_now(turn: ReservationTurn) -> None:
    """LineFigures at once; what else has changed since the last ones is in them."""
    row = turn.row
    row.version += 1
    row.report_at_ms = 0
    figures = Figures(
        row.version,
        row.state,
        row.reserved,
        row.claimed,
        row.cancelled,
        row.reserved - row.claimed if row.state is CLOSED else 0,
        row.rejected_units,
        row.rejected_orders,
        row.held,
        row.fluent_status,
        checked_at_ms(turn),
        row.drift_units,
        row.drift_kind,
        max(row.unripe_at_ms[-1], row.settle_at_ms) if row.state is RELEASING and row.unripe_at_ms else 0,
        turn.now_ms,
    )
    told = LineFigures(turn.promotion_id, turn.sku, figures)
    turn.send(PROMOTION_COMMANDS, turn.promotion_id.encode(), encode_command(told))


def report_soon(turn: ReservationTurn) -> None:
    """LineFigures within the report interval. Nobody asked about a reservation that is UNKNOWN."""
    row = turn.row
    if not row.report_at_ms and row.state is not UNKNOWN:
        row.report_at_ms = turn.now_ms + row.terms.report_interval_ms


def publish_close(turn: ReservationTurn) -> None:
    """The record of what was released at the close, once."""
    row = turn.row
    if row.reserved and not row.release_told:
        row.release_told = True
        publish_release(turn, row.cause)
        turn.effects.waits.append((RELEASED, turn.now_ms - row.deadline_ms))


def publish_release(turn: ReservationTurn, cause: str) -> None:
    """A record of `reservation-releases`, with absolute figures."""
    row = turn.row
    record = ReservationRelease(
        turn.promotion_id,
        turn.sku,
        reservation_ref(turn.promotion_id, turn.sku),
        row.reserved,
        row.claimed,
        row.reserved - row.claimed,
        cause,
        iso_utc(turn.now_ms),
    )
    turn.send(RESERVATION_RELEASES, turn.sku.encode(), _to_json(record))


def notice_drift(turn: ReservationTurn, level: str = "warning", error: str = "") -> None:
    """What Fluent holds is not what was asked for."""
    row = turn.row
    if row.drift_kind is None:
        return
    fields: dict[str, str | int] = {
        "kind": row.drift_kind.value,
        "drift_units": row.drift_units,
        "held": row.held,
        "state": row.state,
    }
    if error:
        fields["error"] = error
    turn.notify(level, "drift", **fields, recommendation=REMEDIES[row.drift_kind])
