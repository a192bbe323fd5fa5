"""The ledger's rows: reservations, claims, and claims that wait.

Times are Unix milliseconds; a time of 0 means "not set".
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from schemas.drift import DriftKind
from schemas.reasons import Reason
from streams.ledger.deadlines import Deadlines
from streams.ledger.rows import Table
from streams.ledger.terms import Source, Terms


class State(StrEnum):
    """Where a reservation is in its life, which is drawn in `streams.ledger.reservations`."""

    UNKNOWN = "UNKNOWN"
    """Only claims are known: they wait for a Reserve that may be a moment behind."""
    PENDING = "PENDING"
    """Fluent was asked for the hold and has not answered."""
    ACTIVE = "ACTIVE"
    """The units are held and can be claimed."""
    RELEASING = "RELEASING"
    """Nothing is sold any more: what is unsold goes back on sale, the hold ends once the rest is booked."""
    CLOSED = "CLOSED"
    """It was ended or expired, and nothing is held any more."""
    REJECTED = "REJECTED"
    """Nothing was ever held: the Reserve was refused."""


UNKNOWN, PENDING, ACTIVE, RELEASING, CLOSED, REJECTED = State
# Claims compare states by the thousand, and until Python 3.12 `State.ACTIVE` costs more than the comparison.

CLOSED_STATES = (CLOSED, REJECTED)
"""Nothing is held any more."""

HOLD, SETTLE, RELEASE, VERIFY = "H", "S", "R", "V"
"""Kinds of an outstanding request."""

WAITING = "WAITING"
"""In place of a claim's reason: it is not decided yet."""

TAKEN = ""
NO_RESERVATION = Reason.NO_RESERVATION.value
ENDED = Reason.ENDED.value
EXPIRED = Reason.EXPIRED.value
FLUENT_UNAVAILABLE = Reason.FLUENT_UNAVAILABLE.value
EXHAUSTED = Reason.EXHAUSTED.value
CANCELLED = Reason.CANCELLED.value
INVALID = Reason.INVALID.value
CONFLICT = Reason.CONFLICT.value
INCOMPLETE_ORDER = Reason.INCOMPLETE_ORDER.value


class Reservation(msgspec.Struct, array_like=True, gc=False):
    """One SKU of one promotion. Its own row is never deleted: the same promotion must not begin again.

    `reserved` is 0 until the hold is confirmed; `claimed` is net of cancels and compensations, so that
    available = reserved - claimed. `settled` is what Fluent was last told is consumed (the hold is then
    `reserved - settled`), `held` what Fluent last confirmed.
    """

    state: State = UNKNOWN
    cause: str = ""
    """ENDED or EXPIRED, once it is closing."""
    quantity: int = 0
    """Units asked for by the Reserve."""
    reserved: int = 0
    claimed: int = 0
    cancelled: int = 0
    rejected_units: int = 0
    rejected_orders: int = 0
    expires_at_ms: int = 0
    ended_at_ms: int = 0
    """When the promotion was ended, which may be after it expired."""
    deadline_ms: int = 0
    """The sooner of both: what is placed later is too late."""
    refusal: str = ""
    """Why the Reserve was refused, for an answer to its repeat."""

    head: int = 0
    tail: int = 0
    """Claims wait under the numbers head (included) to tail (excluded); cancelled ones leave gaps."""
    draining: int = 0
    """So many Continues that decide waiting claims are under way."""
    hold_overdue: bool = False
    unknown_claims: int = 0
    """Claims recorded while UNKNOWN and not forgotten yet."""

    request: str = ""
    """Kind of the request that Fluent has not answered yet, or empty."""
    number: int = 0
    """Number of the newest request."""
    asked_remaining: int = 0
    asked_consumed: int = 0
    settled: int = 0
    told: int = 0
    """Consumed units as Fluent last confirmed them."""
    unripe_at_ms: list[int] = []
    unripe_units: list[int] = []
    """Units by the time from which they may be settled, oldest first; what is claimed beyond is ripe."""
    settle_delay_ms: int = 0
    settle_width_ms: int = 1

    held: int = 0
    fluent_status: str = ""
    checked_at_ms: int = 0
    drift_units: int = 0
    drift_kind: DriftKind | None = None
    verify_wanted: bool = False
    release_told: bool = False
    """The record of what was released at the close is published."""
    release_owed: bool = False
    """Fluent refused the release: the release record is published once a verify finds nothing held."""

    version: int = 0
    """Version of the figures that were sent last."""

    ask_again_at_ms: int = 0
    hold_overdue_at_ms: int = 0
    settle_at_ms: int = 0
    report_at_ms: int = 0
    verify_at_ms: int = 0
    kept_ms: int = 0
    """For how long claims are kept, at least: the longest of what the start and the claims ask for."""
    wake_at_ms: int = 0
    """The earliest of the times above, by the clock: a deadline row."""

    close_at_ms: int = 0
    no_reservation_at_ms: int = 0
    forget_at_ms: int = 0
    mark_at_ms: int = 0
    """The earliest of the three times above, by the watermark: a deadline row."""
    close_waits: bool = False
    """Nothing that is in time can come any more, but claims still wait, or Fluent's answer about the hold."""

    terms: Terms = Terms()

    figures_noted: bool = False
    """They have changed since they were published: a row of `CHANGED`."""

    hold_watched: bool = False
    """The partition's attendance is watched for the time that Fluent has to answer about the hold."""


class Details(msgspec.Struct, array_like=True, gc=False):
    """What only the hold and its refusal need, kept out of the row that every claim reads.

    The trace goes with what is asked of Fluent until the close.
    """

    attributes: bytes = b""
    error: str = ""
    trace: str = ""


class ClaimRow(msgspec.Struct, array_like=True, gc=False):
    """The decision about one order's claim: `reason` is TAKEN, WAITING or a `schemas.reasons.Reason`.

    The order still holds `quantity` - `cancelled` units of a claim that is TAKEN.
    """

    quantity: int
    reason: str
    decided_at_ms: int = 0
    cancelled: int = 0
    order_changed_at_ms: int = 0
    """When units were given back last, or the order was recalled: the claim is kept for a retention after
    that, as its order is."""
    ripe_at_ms: int = 0
    """From when its units may be settled."""
    seq: int = 0
    """Its number in the queue while it waits."""


class WaitingRow(msgspec.Struct, array_like=True, gc=False):
    """A waiting claim's place in the queue, and whom its decision is owed to."""

    order_ref: str
    quantity: int
    placed_at_ms: int
    due_at_ms: int
    retention_ms: int
    events: list[tuple[Source, int]] = []
    """Events that the outcome answers, with the units that each asked for. There is more than one where the
    orders stage forgot the order while the claim waited."""
    line_wanted: bool = False
    """The orders stage collects this line: it gets LineDecided."""
    recalled: bool = False
    """The orders stage has sent a Recall: it gets LineRecalled."""
    withheld: int = 0
    """Units of the line that its order never had: they are not decided about."""

    def owe(self, event: Source | None, quantity: int) -> None:
        """Note whom a Claim wants answered: an event that asks for `quantity` units, or the orders stage."""
        if event is None:
            self.line_wanted = True
        else:
            self.events.append((event, quantity))


class FiguresDue(msgspec.Struct, array_like=True, gc=False):
    """Some figures have changed, and a deadline is set at which they are published."""


RESERVATIONS: Table[Reservation] = Table(b"RR", Reservation, hot=True)
DETAILS: Table[Details] = Table(b"RA", Details)
CLAIMS: Table[ClaimRow] = Table(b"RC", ClaimRow)
WAITERS: Table[WaitingRow] = Table(b"RW", WaitingRow)
FIGURES_DUE: Table[FiguresDue] = Table(b"RG", FiguresDue, hot=True)
CHANGED = Deadlines(b"RF")
"""Reservations whose figures are to be published, since when."""
BY_CLOCK = Deadlines(b"RD")
"""What concerns Fluent and reports."""
BY_WATERMARK = Deadlines(b"RM")
"""What nothing that waits in a backlog may be too late for: the close, the grace of claims, forgetting."""

WAKE = b"w"
"""Deadline kind: some time of a reservation has come; the subject is its key."""
ROUND_DUE = b"v"
"""Deadline kind: see `verifying`; it has no subject."""
HEARTBEAT = b"h"
"""Deadline kind: see `attendance`; it has no subject."""
FIGURES = b"g"
"""Deadline kind: see `figures`; it has no subject."""
FORGET = b"f"
"""Deadline kind, by the watermark: forget one claim; the subject is the claim's key."""


def check_every_ms(terms: Terms) -> int:
    """How often open holds are compared with Fluent: so that drift is in a report within an interval."""
    return max(1, terms.report_interval_ms * 3 // 4)


def claim_key(reservation: bytes, order_ref: str) -> bytes:
    """Key of a claim's row."""
    return reservation + b"\0" + order_ref.encode()


def waiter_key(reservation: bytes, seq: int) -> bytes:
    """Key of a waiting claim's row: in order of arrival."""
    return reservation + b"\0" + seq.to_bytes(8, "big")


def next_wake_ms(row: Reservation) -> int:
    """The earliest time by the clock that is set, or 0."""
    times = (
        row.ask_again_at_ms,
        row.hold_overdue_at_ms,
        row.settle_at_ms,
        row.report_at_ms,
        row.verify_at_ms,
    )
    return min((time for time in times if time), default=0)


def next_mark_ms(row: Reservation) -> int:
    """The earliest time by the watermark that is set, or 0."""
    times = (row.close_at_ms, row.no_reservation_at_ms, row.forget_at_ms)
    return min((time for time in times if time), default=0)
