"""A command's turn at one order: its row in hand."""

from __future__ import annotations

from enum import StrEnum

from schemas.topics import ORDER_COMMANDS
from streams.ledger.effects import Effects
from streams.ledger.orders.state import ORDERS, UNHEARD_OF, Handed, Order
from streams.ledger.rows import Rows
from streams.ledger.turn import Turn


class Work(StrEnum):
    """What a Continue of this core goes on with."""

    DUE = "due"
    """Further deadlines."""
    QUEUE = "queue"
    """The events that wait for the order in `subject`."""


class OrderTurn(Turn, gc=False):
    """Changes to one order: begun by `take`, written by `finish`."""

    key: bytes
    row: Order

    @property
    def ids(self) -> tuple[str, str]:
        """(order ref, promotion id)."""
        ref, promotion_id = self.key.decode().split("\0")
        return ref, promotion_id

    def finish(self) -> None:
        """Write the row."""
        self.rows.put(ORDERS, self.key, self.row)


def take(rows: Rows, effects: Effects, now_ms: int, key: bytes) -> OrderTurn:
    """The turn of a command about this order, or about one that was never heard of."""
    row = rows.get(ORDERS, key)
    if row is None:
        row = UNHEARD_OF
    elif isinstance(row, Handed):
        row = row.as_order()
    return OrderTurn(rows, effects, now_ms, ORDER_COMMANDS, key, row)
