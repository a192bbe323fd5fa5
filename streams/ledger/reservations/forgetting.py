"""Forgetting: claims go when their retention is over, reservations never.

A claim of an unknown promotion has a deadline of its own; the others go together, long after the close.
"""

from __future__ import annotations

from schemas.topics import SKU_COMMANDS
from streams.ledger.commands import Continue
from streams.ledger.commands import encode as encode_command
from streams.ledger.effects import MAX_EFFECTS, Effects, Send
from streams.ledger.reservations.state import (
    CLAIMS,
    DEADLINES,
    RESERVATIONS,
    UNKNOWN,
    WAITING,
    WAKE,
)
from streams.ledger.reservations.turn import Turn
from streams.ledger.rows import Rows

MAX_FORGOTTEN = MAX_EFFECTS - 1

FORGET_CLAIMS = "forget"
"""Kind of the Continue that deletes a reservation's claims from the key in `subject` on."""


def forget_soon(turn: Turn) -> None:
    """Have the claims of a reservation that is over deleted by a Continue."""
    turn.row.forget_at_ms = 0
    turn.effects.sends.append(_continue(turn.sku.encode(), turn.key + b"\0"))


def on_forget(rows: Rows, command: Continue, effects: Effects) -> None:
    """Delete claims from the cursor on; a Continue goes on where there are more."""
    promotion_id, sku = command.subject.split(b"\0", 2)[:2]
    end = promotion_id + b"\0" + sku + b"\x01"
    found = rows.scan(CLAIMS, command.subject, end, MAX_FORGOTTEN)
    for key, claim in found:
        if claim.reason != WAITING:
            rows.delete(CLAIMS, key)
    if len(found) == MAX_FORGOTTEN:
        effects.sends.append(_continue(sku, found[-1][0] + b"\0"))


def forget_one(turn: Turn, claim: bytes) -> None:
    """Delete one claim of a promotion that is still unknown, and the placeholder with the last of them."""
    row, rows = turn.row, turn.rows
    decided = rows.get(CLAIMS, claim)
    if row.state != UNKNOWN or decided is None or decided.reason == WAITING:
        return
    rows.delete(CLAIMS, claim)
    row.unknown_claims -= 1
    if row.unknown_claims or row.head != row.tail:
        turn.finish()
        return
    if row.wake_at_ms:
        DEADLINES.clear(rows, row.wake_at_ms, WAKE, turn.key)
    rows.delete(RESERVATIONS, turn.key)


def _continue(sku: bytes, cursor: bytes) -> Send:
    return Send(SKU_COMMANDS, sku, encode_command(Continue(FORGET_CLAIMS, cursor)), None, True)
