"""The rows of orders: what is remembered of an order, its cancels and its waiting events."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from schemas.reasons import Reason
from streams.ledger.commands import Lines
from streams.ledger.deadlines import Deadlines
from streams.ledger.rows import Table
from streams.ledger.terms import Source


class State(StrEnum):
    """Where an order is in its life, which is drawn in `streams.ledger.orders`."""

    UNKNOWN = "UNKNOWN"
    """Only cancels are known so far; the order itself has not come."""
    HANDED = "HANDED"
    """The ledger decides and answers this order of one SKU itself; its row is a `Handed`."""
    RECALLING = "RECALLING"
    """Somebody asks about an order that was handed over: the ledger is asked what it said."""
    DECIDING = "DECIDING"
    """Claims are with the ledger."""
    COMPENSATING = "COMPENSATING"
    """All-or-nothing: a line was refused, the taken ones are being given back."""
    DECIDED = "DECIDED"
    """The newest outcome is the order's state; nothing is under way."""
    CANCELLING = "CANCELLING"
    """Cancels are with the ledger."""


UNKNOWN, HANDED, RECALLING, DECIDING, COMPENSATING, DECIDED, CANCELLING = State
# Until Python 3.12 to look `State.DECIDED` up costs more than the comparison for which it is read.

CANCELLED: Final = Reason.CANCELLED.value
NO_ORDER: Final = Reason.NO_ORDER.value
CONFLICT: Final = Reason.CONFLICT.value


class Line(msgspec.Struct, array_like=True, gc=False):
    """One SKU of an order.

    `withheld` units were cancelled before the order came and are not claimed; `left` units are still the
    order's. `reason` is None until the ledger has answered and "" when it took the units. `again`: it
    answered from its record of an order that was forgotten here.
    """

    quantity: int
    withheld: int = 0
    left: int = 0
    reason: str | None = None
    again: bool = False

    @property
    def claimed(self) -> int:
        """Units that were asked of the ledger, whole or not at all."""
        return self.quantity - self.withheld


class Ask(msgspec.Struct, array_like=True, gc=False):
    """One SKU of the cancel under way: `given` units came back (None: not answered yet).

    `reason` is set where the order does not hold what was asked for, so that the ledger is not asked.
    """

    quantity: int
    given: int | None = None
    reason: str = ""


class Cancellation(msgspec.Struct, array_like=True, gc=False):
    """The cancel under way: whom it answers and what it asks for, by SKU."""

    source: Source
    cancellation_ref: str
    asks: dict[str, Ask]


class Order(msgspec.Struct, array_like=True, gc=False, tag=0):
    """An order's row. `lines` are in the order of the event.

    `outcome` is the newest outcome record (empty: none yet), kept so that a repeat is byte-identical.
    `pending` answers of the ledger are outstanding. `source` is the event being decided.
    Waiting events have the numbers `queue_head` to `queue_tail` - 1.
    `changed_at_ms` is its newest record's time, and while it is DECIDING when that began.
    `cancels` counts the cancels seen, `withheld_all` says that one of them came first and meant everything.
    """

    state: State = UNKNOWN
    lines: dict[str, Line] = {}
    retention_ms: int = 0
    source: Source | None = None
    all_or_nothing: bool = False
    pending: int = 0
    changed_at_ms: int = 0
    revision: int = 0
    outcome: bytes = b""
    operation: int = 0
    queue_head: int = 0
    queue_tail: int = 0
    cancels: int = 0
    withheld_all: bool = False
    cancellation: Cancellation | None = None
    keep_every_ms: int = 0
    """So often an order renews what it has taken, while it is undecided (0: never)."""
    kept_page: int = -1
    """The page by which it is looked after meanwhile."""

    @property
    def resting(self) -> bool:
        """Nothing is under way: the next event can be answered."""
        return self.state is DECIDED or self.state is UNKNOWN

    @property
    def waiting(self) -> bool:
        """Events are queued."""
        return self.queue_head != self.queue_tail


class Handed(msgspec.Struct, array_like=True, gc=False, tag=1):
    """An order of one SKU that was handed to the ledger, which answers it: its identity and nothing more.

    It becomes an `Order` when a repeat or a cancel asks about it.
    """

    sku: str
    quantity: int
    retention_ms: int
    handed_at_ms: int

    def as_order(self) -> Order:
        """The same as an order that is HANDED."""
        lines = {self.sku: Line(self.quantity)}
        return Order(HANDED, lines, self.retention_ms, changed_at_ms=self.handed_at_ms)


class _Unheard(Order, frozen=True):  # type: ignore[misc]  # msgspec allows what a dataclass does not
    """An order without a row; it cannot be changed."""


UNHEARD_OF: Final = _Unheard()
"""In place of the row of an order that has none. The command that begins an order makes its row."""


class Seen(msgspec.Struct, array_like=True, gc=False):
    """A cancel that was seen, under its identity: the digest of its content."""

    digest: bytes


class Withheld(msgspec.Struct, array_like=True, gc=False):
    """Units of a SKU that cancels took out of an order that has not come."""

    units: int


class Waiting(msgspec.Struct, array_like=True, gc=False):
    """A queued event: a cancel, or (`is_cancel` false) a repeat that only wants the newest outcome.

    While the order is unknown, a cancel is not answered before `due_ms`. A repeat of an order that the ledger
    has forgotten is placed anew, as of `placed_at_ms`; its claim then waits for a promotion until `due_ms`.
    """

    source: Source
    is_cancel: bool = False
    due_ms: int = 0
    cancellation_ref: str = ""
    lines: Lines = ()
    placed_at_ms: int = 0


ORDERS: Table[Order | Handed] = Table(b"OO", Order | Handed)
CANCELS = Table(b"OC", Seen, ordered=True)
WITHHELD = Table(b"OW", Withheld, ordered=True)
QUEUE = Table(b"OQ", Waiting)
BY_WATERMARK = Deadlines(b"OD")
"""What nothing that waits in a backlog may be too late for: graces of cancels, forgetting."""
BY_CLOCK = Deadlines(b"OT")
"""What concerns Fluent: units of undecided orders that must not be settled."""

GRACE: Final = b"G"
"""Kind of deadline: cancels of the unknown order `subject` have waited long enough."""
PAGE: Final = b"P"
"""Kind of deadline: the orders of page `subject` may be forgotten."""
UNDECIDED: Final = b"U"
"""Kind of deadline: those orders of page `subject` that are still undecided keep what they have taken."""
FORGET: Final = b"F"
"""Kind of deadline: the order `subject`, changed since it was paged, may be forgotten."""

UNIT_EFFECTS: Final = 600
"""No single step (one queued cancel, one page) has more effects than this: 500 lines and a few rows."""


def sub_key(order_key: bytes, part: bytes) -> bytes:
    """Key of a row that belongs to an order: no part of an order's key contains a second NUL."""
    return b"%b\0%b" % (order_key, part)


def queue_key(order_key: bytes, number: int) -> bytes:
    """Key of the queued event `number` of an order."""
    return sub_key(order_key, number.to_bytes(8, "big"))
