"""The reservations stage on a desk: its rows in memory, its own log, and what it sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec

from schemas.topics import (
    FLUENT_REQUESTS,
    ORDER_COMMANDS,
    ORDER_OUTCOMES,
    PROMOTION_COMMANDS,
    RESERVATION_RELEASES,
    SALE_FIGURES,
    SKU_COMMANDS,
)
from streams.ledger import commands as c
from streams.ledger import fluent_requests as f
from streams.ledger.effects import MAX_EFFECTS, Effects, Notice, Send
from streams.ledger.reservations import decide, earliest_deadline_ms, next_watermark_deadline_ms
from streams.ledger.reservations.attendance import ATTENDANCE
from streams.ledger.reservations.state import CLAIMS, RESERVATIONS, ClaimRow, Reservation
from streams.ledger.reservations.verifying import ROUNDS
from streams.ledger.rows import MemoryStore, Rows
from streams.ledger.terms import Terms
from streams.ledger.watermark import WATERMARKS

PROMOTION, SKU = "FLASH-1", "SKU-1"
NOON_MS = 1_800_000_000_000
HOUR_MS = 3_600_000
TERMS = Terms()
DELAY_MS, INTERVAL_MS = TERMS.settle_delay_ms, TERMS.settle_interval_ms
QUIET = Terms(ask_again_ms=10 * HOUR_MS, report_interval_ms=10 * HOUR_MS)
"""Nothing is asked again, and no report is due, while a test looks on."""
IDS = (PROMOTION, SKU)

DECODERS: dict[str, Callable[[bytes], Any]] = {
    ORDER_COMMANDS: c.decode_order_command,
    PROMOTION_COMMANDS: c.decode_promotion_command,
    FLUENT_REQUESTS: f.decode_request,
    SKU_COMMANDS: c.decode_sku_command,
    RESERVATION_RELEASES: json.loads,
    ORDER_OUTCOMES: json.loads,
    SALE_FIGURES: json.loads,
}


class Ledger:
    """`do` decides a command and everything that the ledger then tells itself, at the ledger's time."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.rows = Rows(self.store)
        self.now_ms = NOON_MS
        self.sent: list[Send] = []
        self.notices: list[Notice] = []
        self.published: list[dict[str, Any]] = []
        """The values of `sale-figures`."""
        self.largest_effects = 0

    def step(self, command: c.SkuCommand) -> list[Send]:
        """Decide one command, and commit what it changed: the next is decided from what is stored alone.

        A Tick that says nothing else about it was sent when all before it was committed.
        """
        if isinstance(command, c.Tick) and not command.decided_ms:
            command = c.Tick(command.watermark_ms, self.now_ms)
        effects = Effects()
        decide(self.rows, command, self.now_ms, effects)
        changes = self.rows.flush()
        self.store.write(changes)
        self.rows.reset()
        self.largest_effects = max(self.largest_effects, len(effects.sends) + len(changes))
        assert len(effects.sends) + len(changes) <= MAX_EFFECTS
        self.sent += effects.sends
        self.notices += effects.notices
        return effects.sends

    def do(self, command: c.SkuCommand) -> list[Any]:
        """Decide a command and its Continues; answers what was sent to others, decoded.

        What goes to `sale-figures` is apart, in `published`.
        """
        out: list[Any] = []
        pending = [command]
        while pending:
            for send in self.step(pending.pop(0)):
                decoded = decode(send)
                if send.own:
                    pending.append(decoded)
                elif send.topic == SALE_FIGURES:
                    self.published.append(decoded)
                else:
                    out.append(decoded)
        return out

    def at(self, now_ms: int) -> list[Any]:
        """Let time pass up to `now_ms`, with a Tick at each deadline on the way; answers what was sent.

        Nothing waits in a backlog: the watermark is now.
        """
        out: list[Any] = []
        while (due_ms := self.due_ms()) is not None and due_ms <= now_ms:
            self.now_ms = max(self.now_ms, due_ms)
            out += self.do(c.Tick(self.now_ms))
        self.now_ms = max(self.now_ms, now_ms)
        return out

    def due_ms(self) -> int | None:
        """The earliest deadline by either clock."""
        found = earliest_deadline_ms(self.rows), next_watermark_deadline_ms(self.rows)
        return min((due_ms for due_ms in found if due_ms is not None), default=None)

    def after(self, passed_ms: int) -> list[Any]:
        """Let `passed_ms` pass."""
        return self.at(self.now_ms + passed_ms)

    def row(self) -> Reservation:
        """The reservation."""
        row = self.rows.get(RESERVATIONS, c.reservation_key(*IDS))
        assert row is not None
        return row

    def kept(self) -> list[bytes]:
        """The kinds of the rows that are left of reservations."""
        own = tuple(table.prefix for table in (WATERMARKS, ATTENDANCE, ROUNDS))
        return sorted(key[:2] for key in self.store.rows if not key.startswith(own))

    def claim_row(self, order_ref: str) -> ClaimRow | None:
        """A claim's row."""
        return self.rows.get(CLAIMS, c.reservation_key(*IDS) + b"\0" + order_ref.encode())

    def reserve(
        self, quantity: int = 100, *, terms: Terms = TERMS, expires_in_ms: int = HOUR_MS
    ) -> list[Any]:
        """A Reserve, now."""
        return self.do(c.Reserve(*IDS, quantity, self.now_ms + expires_in_ms, terms, b'{"a":1}'))

    def open(self, quantity: int = 100, *, terms: Terms = TERMS, expires_in_ms: int = HOUR_MS) -> None:
        """An ACTIVE reservation."""
        self.reserve(quantity, terms=terms, expires_in_ms=expires_in_ms)
        self.do(c.HoldConfirmed(*IDS, 1, quantity))

    def claim(self, order_ref: str, quantity: int = 1, *, placed_at_ms: int | None = None) -> list[Any]:
        """A Claim, placed now."""
        return self.do(
            claim_of(order_ref, quantity, placed_at_ms=self.now_ms if placed_at_ms is None else placed_at_ms)
        )

    def cancel(self, order_ref: str, quantity: int = 0, *, compensation: bool = False) -> list[Any]:
        """A Cancel: 0 is all of it."""
        return self.do(c.Cancel(*IDS, quantity, order_ref, 7, compensation))

    def end(self) -> list[Any]:
        """An End whose grace is over: nothing that was placed before it can still come."""
        ended_at_ms = self.now_ms - TERMS.expiry_grace_ms
        return self.do(c.End(*IDS, ended_at_ms)) + self.do(c.Tick(self.now_ms))

    def close(self) -> list[Any]:
        """An End that Fluent confirms at once, and again when the units that were sold last are of age."""
        out = self.end()
        while (row := self.row()).state == "RELEASING":
            if row.request == "S":
                out += self.do(c.SettleConfirmed(*IDS, row.number, row.asked_remaining))
            elif row.request == "R":
                out += self.do(c.ReleaseConfirmed(*IDS, row.number))
            else:
                out += self.at(row.settle_at_ms)
        return out

    def of_age(self) -> None:
        """Let the units that were sold so far be settled."""
        self.after(TERMS.settle_delay_ms + TERMS.settle_interval_ms)
        if self.row().request == "S":
            self.do(c.SettleConfirmed(*IDS, self.row().number, self.row().asked_remaining))

    def verify(self) -> None:
        """Let the time come for the verify after a close: Fluent holds nothing."""
        self.after(self.row().terms.verify_ms)
        self.do(c.Verified(*IDS, self.row().number, 0))


def unknown(ledger: Ledger) -> None:
    """Only a claim is known."""
    ledger.claim("O-1")


def pending(ledger: Ledger) -> None:
    """Fluent was asked for the hold."""
    ledger.reserve(expires_in_ms=50_000)


def ended(ledger: Ledger) -> None:
    """It was ended before Fluent has answered."""
    pending(ledger)
    ledger.end()


def overdue(ledger: Ledger) -> None:
    """Fluent has not answered within the hold time-out."""
    ledger.reserve(expires_in_ms=90_000)
    ledger.after(TERMS.hold_timeout_ms)


def active(ledger: Ledger) -> None:
    """The hold is confirmed."""
    ledger.open(expires_in_ms=50_000)


def releasing(ledger: Ledger) -> None:
    """It was ended, and Fluent has not answered."""
    active(ledger)
    ledger.end()


def closed(ledger: Ledger) -> None:
    """It was ended, and Fluent holds nothing any more."""
    active(ledger)
    ledger.close()


def rejected(ledger: Ledger) -> None:
    """Fluent refused the hold."""
    pending(ledger)
    ledger.do(c.HoldFailed(*IDS, 1, "INVALID", "no such SKU"))


def claim_of(
    order_ref: str,
    quantity: int = 1,
    *,
    placed_at_ms: int = NOON_MS,
    grace_ms: int = 5_000,
    retention_ms: int = 24 * HOUR_MS,
) -> c.Claim:
    """A Claim on the reservation of these tests."""
    return c.Claim(*IDS, quantity, order_ref, placed_at_ms, grace_ms, retention_ms)


def decided(
    order_ref: str, reason: str = "", quantity: int = 1, *, cancelled: int = 0, again: bool = False
) -> c.LineDecided:
    """The answer to a claim, or to its repeat."""
    return c.LineDecided(PROMOTION, order_ref, SKU, quantity, reason, cancelled, again)


def cancelled(order_ref: str, quantity: int) -> c.LineCancelled:
    """The answer to `Ledger.cancel`."""
    return c.LineCancelled(PROMOTION, order_ref, SKU, 7, quantity)


def decode(send: Send) -> Any:
    """What a record says."""
    assert send.value is not None
    return DECODERS[send.topic](send.value)


def confirm(ledger: Ledger) -> list[Any]:
    """Fluent confirms what it was asked for last: a settle, or else a release."""
    row = ledger.row()
    if row.request == "S":
        return ledger.do(c.SettleConfirmed(*IDS, row.number, row.asked_remaining))
    return ledger.do(c.ReleaseConfirmed(*IDS, row.number))


def of(kind: type, out: list[Any]) -> list[Any]:
    """The records of one kind."""
    return [record for record in out if isinstance(record, kind)]


def figures_in(out: list[Any]) -> list[c.Figures]:
    """What the ledger tells of its figures."""
    return [told.figures for told in of(c.LineFigures, out)]


def fields(record: msgspec.Struct) -> dict[str, Any]:
    """A record's fields by name, without the ids that are the same in all these tests."""
    named = msgspec.structs.asdict(record)
    return {name: value for name, value in named.items() if name not in ("promotion_id", "sku")}
