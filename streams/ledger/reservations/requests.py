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
from streams.ledger.reservations.state import (
    ACTIVE,
    CLOSED,
    DETAILS,
    HOLD,
    OVER,
    RELEASE,
    SETTLE,
    VERIFY,
    Details,
)
from streams.ledger.reservations.turn import Turn


def ask(turn: Turn, kind: str, *, remaining: int = 0, consumed: int = 0) -> None:
    """Make a new request; whatever was outstanding is superseded by the higher number."""
    row = turn.row
    row.request = kind
    row.number += 1
    row.asked_remaining = remaining
    row.asked_consumed = consumed
    send_request(turn)


def send_request(turn: Turn) -> None:
    """Send the outstanding request (again), and ask once more if it is not answered in time."""
    row = turn.row
    row.ask_again_at_ms = turn.now_ms + row.terms.ask_again_ms
    turn.send(FLUENT_REQUESTS, turn.sku.encode(), encode_request(_request(turn)))


def answered(turn: Turn, kind: str, number: int) -> bool:
    """True when this answers the outstanding request, which it then no longer is."""
    row = turn.row
    if row.request != kind or row.number != number:
        return False
    row.request = ""
    row.ask_again_at_ms = 0
    return True


def follow_up(turn: Turn) -> None:
    """Ask what there is to ask next, unless an answer is awaited: a settle, then a verify."""
    row = turn.row
    if row.request:
        return
    if row.state == ACTIVE:
        ripe = row.claimed - sum(row.unripe_units)
        if ripe != row.settled:
            _settle(turn, row.reserved - ripe, ripe)
            return
    elif row.state == CLOSED and row.terms.book_sale and row.settled != row.claimed:
        _settle(turn, 0, row.claimed)
        return
    if row.verify_wanted and (row.state in OVER or row.state == ACTIVE):
        _verify(turn)


def ripen(turn: Turn) -> None:
    """Units whose delay has passed may be settled now."""
    row = turn.row
    times = row.unripe_at_ms
    ripe = sum(1 for at_ms in times if at_ms <= turn.now_ms)
    del times[:ripe]
    del row.unripe_units[:ripe]
    row.settle_at_ms = times[0] if times else 0


def unripen(turn: Turn, quantity: int, ripe_at_ms: int) -> None:
    """Units that were given back are not to be settled: not later, or not any more.

    `ripe_at_ms` says with which units these were taken: others, sold later, must not ripen early
    in their place. What was settled already makes the hold grow again, within the settle interval.
    """
    row = turn.row
    if ripe_at_ms not in row.unripe_at_ms:
        soon_ms = turn.now_ms + row.settle_width_ms
        row.settle_at_ms = min(row.settle_at_ms or soon_ms, soon_ms)
        return
    at = row.unripe_at_ms.index(ripe_at_ms)
    row.unripe_units[at] -= quantity


def _settle(turn: Turn, remaining: int, consumed: int) -> None:
    turn.row.settled = consumed
    ask(turn, SETTLE, remaining=remaining, consumed=consumed)


def _verify(turn: Turn) -> None:
    """While ACTIVE only where something should be held; after the end always."""
    row = turn.row
    row.verify_wanted = False
    remaining = row.reserved - row.settled if row.state == ACTIVE else 0
    if remaining > 0 or row.state in OVER:
        ask(turn, VERIFY, remaining=remaining, consumed=row.settled)


def _request(turn: Turn) -> FluentRequest:
    row = turn.row
    subject = (turn.promotion_id, turn.sku, row.number, reservation_ref(turn.promotion_id, turn.sku))
    book_sale = row.terms.book_sale
    if row.request == HOLD:
        details = turn.rows.get(DETAILS, turn.key) or Details()
        return HoldRequest(*subject, row.quantity, row.expires_at_ms, details.attributes)
    if row.request == SETTLE:
        return SettleRequest(*subject, row.asked_remaining, row.asked_consumed, book_sale)
    if row.request == RELEASE:
        return ReleaseRequest(*subject, row.asked_consumed, book_sale)
    closed = row.state in OVER
    return VerifyRequest(*subject, row.asked_remaining, row.asked_consumed, book_sale, closed)
