"""What the ledger asks of Fluent: at most one outstanding request a reservation, asked again until answered.

A request's fields are kept in the row, so that asking again repeats it exactly. Answers with another
number than the outstanding one are stale and change nothing.
"""

from __future__ import annotations

from schemas.topics import FLUENT_REQUESTS
from streams.ledger.fluent_requests import (
    FluentRequest,
    HoldRequest,
    ReleaseRequest,
    SettleRequest,
    VerifyRequest,
    encode_request,
    reservation_ref,
)
from streams.ledger.reservations.state import CLOSED_STATES, DETAILS, HOLD, RELEASE, SETTLE, Details
from streams.ledger.reservations.turn import ReservationTurn


def ask(turn: ReservationTurn, kind: str, *, remaining: int = 0, consumed: int = 0) -> None:
    """Make a new request; whatever was outstanding is superseded by the higher number."""
    row = turn.row
    row.request = kind
    row.number += 1
    row.asked_remaining = remaining
    row.asked_consumed = consumed
    send_request(turn)


def send_request(turn: ReservationTurn) -> None:
    """Send the outstanding request (again), and ask once more if it is not answered in time."""
    row = turn.row
    row.ask_again_at_ms = turn.now_ms + row.terms.ask_again_ms
    turn.send(FLUENT_REQUESTS, turn.sku.encode(), encode_request(_request(turn)))


def answered(turn: ReservationTurn, kind: str, number: int) -> bool:
    """True when this answers the outstanding request, which it then no longer is."""
    row = turn.row
    if row.request != kind or row.number != number:
        return False
    row.request = ""
    row.ask_again_at_ms = 0
    return True


def _request(turn: ReservationTurn) -> FluentRequest:
    row = turn.row
    subject = (turn.promotion_id, turn.sku, row.number, reservation_ref(turn.promotion_id, turn.sku))
    book_sale = row.terms.book_sale
    details = turn.rows.get(DETAILS, turn.key) or Details()
    if row.request == HOLD:
        about = (details.attributes, details.trace)
        return HoldRequest(*subject, row.quantity, row.expires_at_ms, *about)
    if row.request == SETTLE:
        return SettleRequest(*subject, row.asked_remaining, row.asked_consumed, book_sale, details.trace)
    if row.request == RELEASE:
        return ReleaseRequest(*subject, row.asked_consumed, book_sale, details.trace, row.reserved > 0)
    closed = row.state in CLOSED_STATES
    figures = (row.asked_remaining, row.asked_consumed)
    return VerifyRequest(*subject, *figures, book_sale, closed, row.drift_units > 0)
