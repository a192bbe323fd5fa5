"""The figures of SKUs as they change, in `sale-figures`: absolute, and at most once a second for each SKU.

What changes is noted, and the first note sets one deadline for the whole partition, a second later. The Tick
that this brings publishes what was noted. So a claim costs one comparison, and where nothing changes there
are neither notes nor Ticks. Notes and deadline are rows: whoever takes the partition over publishes what its
former owner did not.
"""

from __future__ import annotations

from functools import lru_cache

import msgspec

from schemas.structs import SaleFigures
from schemas.times import iso_utc
from schemas.topics import SALE_FIGURES
from streams.ledger.reservations.publishing import report_now
from streams.ledger.reservations.state import (
    BY_CLOCK,
    CHANGED,
    CLOSED,
    FIGURES,
    FIGURES_DUE,
    RELEASING,
    FiguresDue,
)
from streams.ledger.reservations.turn import ReservationTurn, take_by_key
from streams.ledger.turn import Turn

EVERY_MS = 1_000

MAX_FIGURES = 40
"""So many SKUs of a partition at a time, those that have waited longest: it bounds what a second costs, where
thousands of SKUs change in it."""

NOTED = b"c"

_to_json = msgspec.json.Encoder().encode
_iso_utc = lru_cache(maxsize=256)(iso_utc)  # SKUs of a promotion expire together, and are published together


def publish_soon(turn: ReservationTurn) -> None:
    """Have the figures published within a second. Nobody asked about a reservation without a Reserve."""
    row = turn.row
    if row.figures_noted or not row.expires_at_ms:
        return
    row.figures_noted = True
    CHANGED.set(turn.rows, turn.now_ms, NOTED, turn.key)
    if turn.rows.get(FIGURES_DUE, b"") is None:
        _publish_at(turn, turn.now_ms + EVERY_MS)


def publish_changed(turn: Turn) -> None:
    """The second is over: publish what has changed, oldest first; what is left waits for another second."""
    noted = CHANGED.due(turn.rows, turn.now_ms, MAX_FIGURES)
    for at_ms, kind, subject in noted:
        CHANGED.clear(turn.rows, at_ms, kind, subject)
        reservation = take_by_key(turn, subject)
        reservation.row.figures_noted = False
        _publish(reservation)
        if reservation.row.report_at_ms:
            report_now(reservation)
        reservation.finish()
    if CHANGED.earliest_ms(turn.rows) is None:
        turn.rows.delete(FIGURES_DUE, b"")
    else:
        _publish_at(turn, turn.now_ms + EVERY_MS)


def _publish_at(turn: Turn, at_ms: int) -> None:
    BY_CLOCK.set(turn.rows, at_ms, FIGURES, b"")
    turn.rows.put(FIGURES_DUE, b"", FiguresDue())


def _publish(turn: ReservationTurn) -> None:
    row = turn.row
    figures = SaleFigures(
        turn.promotion_id,
        turn.sku,
        "CLOSING" if row.state is RELEASING else row.state.value,
        row.reserved,
        row.claimed,
        row.cancelled,
        row.reserved - row.claimed if row.state is CLOSED else 0,
        row.rejected_units,
        row.rejected_orders,
        _iso_utc(row.expires_at_ms),
        _iso_utc(turn.now_ms),
    )
    turn.send(SALE_FIGURES, f"{turn.promotion_id}/{turn.sku}".encode(), _to_json(figures))
