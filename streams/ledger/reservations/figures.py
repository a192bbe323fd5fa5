"""What others learn about a reservation: its answer, figures and releases, and what people should read."""

from __future__ import annotations

import msgspec

from schemas.drift import REMEDIES
from schemas.structs import ReservationRelease
from schemas.topics import PROMOTION_COMMANDS, RESERVATION_RELEASES
from streams.ledger.commands import Figures, LineFigures, LineReserved
from streams.ledger.commands import encode as encode_command
from streams.ledger.effects import Notice, iso_utc
from streams.ledger.fluent_requests import reservation_ref
from streams.ledger.reservations.state import CLOSED, UNKNOWN
from streams.ledger.reservations.turn import Turn

_to_json = msgspec.json.encode


def answer_reserve(turn: Turn, error: str = "") -> None:
    """LineReserved, as the row says: held, or refused with the row's reason."""
    row = turn.row
    quantity = row.quantity if row.refusal else row.reserved
    ref = reservation_ref(turn.promotion_id, turn.sku)
    answer = LineReserved(turn.promotion_id, turn.sku, quantity, ref, row.expires_at_ms, row.refusal, error)
    turn.send(PROMOTION_COMMANDS, turn.promotion_id.encode(), encode_command(answer))


def report_now(turn: Turn) -> None:
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
        row.reserved - row.claimed if row.state == CLOSED else 0,
        row.rejected_units,
        row.rejected_orders,
        row.held,
        row.fluent_status,
        row.checked_at_ms,
        row.drift_units,
        row.drift_kind,
    )
    told = LineFigures(turn.promotion_id, turn.sku, figures)
    turn.send(PROMOTION_COMMANDS, turn.promotion_id.encode(), encode_command(told))


def report_soon(turn: Turn) -> None:
    """LineFigures within the report interval. Nobody asked about a reservation that is UNKNOWN."""
    row = turn.row
    if not row.report_at_ms and row.state != UNKNOWN:
        row.report_at_ms = turn.now_ms + row.terms.report_interval_ms


def publish_release(turn: Turn, cause: str) -> None:
    """The `reservation-releases` record, with absolute figures."""
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


def notice_drift(turn: Turn, level: str = "warning", error: str = "") -> None:
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
    notify(turn, level, "drift", REMEDIES[row.drift_kind], **fields)


def notify(turn: Turn, level: str, event: str, recommendation: str, **fields: str | int) -> None:
    """Something that the person on call should read, and what to do about it."""
    turn.effects.notices.append(
        Notice(
            level,
            event,
            {"promotion": turn.promotion_id, "sku": turn.sku, **fields, "recommendation": recommendation},
        )
    )
