"""One command's turn at one reservation: the row in hand, the time, and where effects go."""

from __future__ import annotations

from schemas.topics import ORDER_COMMANDS
from streams.ledger.commands import LineDecided, order_key, reservation_key
from streams.ledger.commands import encode as encode_command
from streams.ledger.effects import Effects, Send
from streams.ledger.reservations.state import (
    DEADLINES,
    RESERVATIONS,
    WAKE,
    Reservation,
    next_wake_ms,
)
from streams.ledger.rows import Rows


class Turn:
    """Changes to one reservation: take it up with `take` or `take_known`, leave it with `finish`."""

    __slots__ = ("effects", "key", "now_ms", "promotion_id", "row", "rows", "sku")

    def __init__(
        self, rows: Rows, effects: Effects, now_ms: int, promotion_id: str, sku: str, row: Reservation
    ) -> None:
        self.rows = rows
        self.effects = effects
        self.now_ms = now_ms
        self.promotion_id = promotion_id
        self.sku = sku
        self.key = reservation_key(promotion_id, sku)
        self.row = row

    def finish(self) -> None:
        """Write the row and set its deadline to the earliest of its times."""
        arm(self.rows, self.key, self.row)
        self.rows.put(RESERVATIONS, self.key, self.row)

    def send(self, topic: str, key: bytes, value: bytes, *, own: bool = False) -> None:
        """One record more."""
        self.effects.sends.append(Send(topic, key, value, None, own))


def take(rows: Rows, effects: Effects, now_ms: int, promotion_id: str, sku: str) -> Turn:
    """The reservation, or a new one that is UNKNOWN."""
    row = rows.get(RESERVATIONS, reservation_key(promotion_id, sku))
    return Turn(rows, effects, now_ms, promotion_id, sku, Reservation() if row is None else row)


def take_known(rows: Rows, effects: Effects, now_ms: int, promotion_id: str, sku: str) -> Turn | None:
    """The reservation, or None where there is none."""
    row = rows.get(RESERVATIONS, reservation_key(promotion_id, sku))
    return None if row is None else Turn(rows, effects, now_ms, promotion_id, sku, row)


def take_by_key(rows: Rows, effects: Effects, now_ms: int, key: bytes) -> Turn | None:
    """The reservation whose key (or whose claim's key) this is, or None where there is none."""
    promotion_id, sku = key.split(b"\0", 2)[:2]
    return take_known(rows, effects, now_ms, promotion_id.decode(), sku.decode())


def arm(rows: Rows, key: bytes, row: Reservation) -> None:
    """Keep exactly one deadline row: at the earliest of the reservation's times."""
    wake_at_ms = next_wake_ms(row)
    if wake_at_ms == row.wake_at_ms:
        return
    if row.wake_at_ms:
        DEADLINES.clear(rows, row.wake_at_ms, WAKE, key)
    if wake_at_ms:
        DEADLINES.set(rows, wake_at_ms, WAKE, key)
    row.wake_at_ms = wake_at_ms


def arm_sooner(rows: Rows, key: bytes, row: Reservation) -> None:
    """`arm` for a claim, which may set a time but never takes one away."""
    wake_at_ms = row.wake_at_ms
    if (
        not wake_at_ms
        or 0 < row.report_at_ms < wake_at_ms
        or 0 < row.settle_at_ms < wake_at_ms
        or 0 < row.forget_at_ms < wake_at_ms
    ):
        arm(rows, key, row)


def line_decided(promotion_id: str, order_ref: str, sku: str, quantity: int, reason: str) -> Send:
    """The answer to a claim: the same claim always gets the same bytes."""
    value = encode_command(LineDecided(promotion_id, order_ref, sku, quantity, reason))
    return Send(ORDER_COMMANDS, order_key(order_ref, promotion_id), value)
