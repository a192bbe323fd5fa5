"""The rows of promotions: one per promotion, two per line, few others.

Keys: a promotion's row is under its id; a line's and its result's under id NUL sku; a waiting repeat's under
id NUL number. NUL cannot occur in an id or a SKU, so all lines of a promotion lie between id NUL and id SOH.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from streams.ledger.commands import Figures
from streams.ledger.deadlines import Deadlines
from streams.ledger.reservations.state import CLOSED, CLOSED_STATES, RELEASING
from streams.ledger.rows import Table
from streams.ledger.terms import Source, Terms

CLOSING_STATES = (RELEASING, CLOSED)
"""States of a reservation that show that its promotion ended or expired."""


class Status(StrEnum):
    """Where a promotion is, as reports give it."""

    PENDING = "PENDING"
    """Some SKU has no answer yet."""
    ACTIVE = "ACTIVE"
    CLOSING = "CLOSING"
    """It ended or expired, and something is still held for it."""
    CLOSED = "CLOSED"
    REJECTED = "REJECTED"
    """Every SKU was refused: nothing was ever held."""


class Totals(msgspec.Struct, array_like=True):
    """Sums over all lines of a promotion, kept by difference: a change costs the same with 10,000 lines."""

    reserved: int = 0
    consumed: int = 0
    cancelled: int = 0
    released: int = 0
    rejected_units: int = 0
    rejected_orders: int = 0
    drift_units: int = 0

    def replace(self, old: Figures, new: Figures) -> None:
        """Take a line's old figures out and its new ones in."""
        self.reserved += new.reserved - old.reserved
        self.consumed += new.consumed - old.consumed
        self.cancelled += new.cancelled - old.cancelled
        self.released += new.released - old.released
        self.rejected_units += new.rejected_units - old.rejected_units
        self.rejected_orders += new.rejected_orders - old.rejected_orders
        self.drift_units += new.drift_units - old.drift_units


class Line(msgspec.Struct, array_like=True):
    """One SKU of a promotion. `index` is its place in the event; `refused` counts once it is `decided`."""

    index: int
    quantity: int
    decided: bool = False
    refused: bool = False
    figures: Figures = msgspec.field(default_factory=Figures)

    @property
    def closed(self) -> bool:
        """Nothing is held for it. A refused line is closed unless its ledger still releases a late hold."""
        state = self.figures.state
        return state in CLOSED_STATES or (self.refused and state != RELEASING)


class Result(msgspec.Struct, array_like=True):
    """A line's `reservation-results` value as it was published, so that every repeat gets the same bytes."""

    index: int
    value: bytes


class Promotion(msgspec.Struct, array_like=True):
    """A promotion. It is never forgotten: an id must not be used twice.

    `line_count`, `decided`, `refused` and `closed` count lines: those of the event, those answered, those
    answered with a reason, those for which nothing is held any more.
    `repeats_head` to `repeats_tail` number the repeats that wait for the decision.
    A deadline that is 0 is not set; `closed_at_ms` is 0 while a line is open. Until `of_age_at_ms` the units
    that were sold last stay held, as the ledgers have said so far. `ended_at_ms` is what the ledgers know of
    its end (0: none). `shown_at_ms` is the moment of the newest figures. Until the first report,
    `reported_at_ms` is the start's.
    """

    digest: bytes = b""
    terms: Terms = Terms()
    source: Source = Source("", 0, 0)
    started_at_ms: int = 0
    expires_at_ms: int = 0
    line_count: int = 0
    ended: bool = False
    end_reason: str = ""
    decided: int = 0
    refused: int = 0
    closed: int = 0
    closing: bool = False
    overdue: bool = False
    closed_at_ms: int = 0
    close_due_ms: int = 0
    of_age_at_ms: int = 0
    report_due_ms: int = 0
    reported_at_ms: int = 0
    interim_revision: int = 0
    final_revision: int = 0
    repeats_head: int = 0
    repeats_tail: int = 0
    totals: Totals = msgspec.field(default_factory=Totals)
    ended_at_ms: int = 0
    shown_at_ms: int = 0

    @property
    def known(self) -> bool:
        """Its start has come; without one there is no row."""
        return self.line_count > 0

    @property
    def reports(self) -> int:
        """How many reports were made."""
        return self.interim_revision + self.final_revision

    @property
    def all_decided(self) -> bool:
        """Every SKU has its answer."""
        return self.decided == self.line_count

    @property
    def all_closed(self) -> bool:
        """Every SKU has its answer, and nothing is held for any of them."""
        return self.closed == self.line_count and self.all_decided

    @property
    def status(self) -> Status:
        """Where it is, as reports give it."""
        if self.all_closed:
            return Status.REJECTED if self.refused == self.line_count else Status.CLOSED
        if self.closing:
            return Status.CLOSING
        return Status.ACTIVE if self.all_decided else Status.PENDING


class Repeat(msgspec.Struct, array_like=True):
    """A repeated start that came before the decision and waits for it."""

    source: Source


class EarlyEnd(msgspec.Struct, array_like=True):
    """An end whose promotion is not known (yet). Kept for ever, without `original` after its dead letter."""

    source: Source
    reason: str
    ended_at_ms: int
    due_ms: int
    original: bytes | None


PROMOTIONS = Table(b"PP", Promotion, hot=True)
LINES = Table(b"PL", Line)
RESULTS = Table(b"PA", Result)
REPEATS = Table(b"PR", Repeat)
EARLY_ENDS = Table(b"PE", EarlyEnd)
BY_CLOCK = Deadlines(b"PD")
"""What concerns reports."""
BY_WATERMARK = Deadlines(b"PM")
"""Ends whose start may still wait in a backlog."""

REPORT_DUE = b"r"
CLOSE_DUE = b"c"
END_DUE = b"e"


def lines_of(key: bytes) -> tuple[bytes, bytes]:
    """Range [start, end) of a promotion's keys in `LINES` and `RESULTS`."""
    return key + b"\0", key + b"\1"
