"""A promotion ends early, or is ended before its start is known."""

from __future__ import annotations

from schemas.reasons import Reason
from schemas.topics import PROMOTION_COMMANDS, SKU_COMMANDS
from streams.ledger.commands import Continue, End, encode
from streams.ledger.dead_letters import dead_letter
from streams.ledger.effects import Effects, Send
from streams.ledger.inputs import EndPromotion
from streams.ledger.promotions.rows import (
    DEADLINES,
    EARLY_ENDS,
    END_DUE,
    LINES,
    PROMOTIONS,
    EarlyEnd,
    Promotion,
    lines_of,
)
from streams.ledger.promotions.schedule import begin_closing, note_change
from streams.ledger.rows import Rows

PIECE_ENDS = 1_500
"""End commands per command: one effect each, of at most 2,000."""


def end(rows: Rows, command: EndPromotion, now_ms: int, effects: Effects) -> None:
    """End a known promotion, or wait for the one that is not known. A repeat changes nothing."""
    key = command.promotion_id.encode()
    promotion = rows.get(PROMOTIONS, key)
    if promotion is None:
        _wait_for_start(rows, key, command, now_ms)
    elif not promotion.ended:
        _end_known(rows, key, promotion, command.reason, now_ms, effects)


def send_ends(rows: Rows, key: bytes, after: bytes, effects: Effects) -> None:
    """Send End for the next lines of a promotion, in key order, after the line's key `after`.

    The promotion's own key stands before the first line's.

    Refused lines get it too; it changes nothing there: what was refused holds nothing, and its claims keep
    the reason NO_RESERVATION.
    """
    start, end_ = lines_of(key)
    found = rows.scan(LINES, after + b"\0", end_, PIECE_ENDS)
    promotion_id = key.decode()
    for line_key, _ in found:
        sku = line_key[len(start) :]
        effects.sends.append(Send(SKU_COMMANDS, sku, encode(End(promotion_id, sku.decode()))))
    if len(found) == PIECE_ENDS:
        command = encode(Continue("end", found[-1][0]))
        effects.sends.append(Send(PROMOTION_COMMANDS, key, command, own=True))


def take_early_end(rows: Rows, key: bytes) -> EarlyEnd | None:
    """The end that overtook a promotion's start, if there is one; from now on the promotion remembers it."""
    early = rows.get(EARLY_ENDS, key)
    if early is not None:
        DEADLINES.clear(rows, early.due_ms, END_DUE, key)
        rows.delete(EARLY_ENDS, key)
    return early


def give_up_waiting(rows: Rows, key: bytes, now_ms: int, effects: Effects) -> None:
    """The start did not come in time: the end is a dead letter, but stays remembered."""
    early = rows.get(EARLY_ENDS, key)
    if early is None or early.original is None:
        return
    error = f"No promotion {key.decode()} was started before this end or soon after it."
    reason = Reason.NO_PROMOTION
    dead_letter(early.source, early.original, reason, error, now_ms, effects, promotion=key.decode())
    early.original = None
    rows.put(EARLY_ENDS, key, early)


def _end_known(
    rows: Rows, key: bytes, promotion: Promotion, reason: str, now_ms: int, effects: Effects
) -> None:
    promotion.ended = True
    promotion.end_reason = reason
    if not promotion.all_closed and not promotion.closing:
        begin_closing(rows, key, promotion, now_ms)
        note_change(rows, key, promotion, now_ms)
    rows.put(PROMOTIONS, key, promotion)
    if promotion.sent == promotion.line_count:
        send_ends(rows, key, key, effects)


def _wait_for_start(rows: Rows, key: bytes, command: EndPromotion, now_ms: int) -> None:
    if rows.get(EARLY_ENDS, key) is not None:
        return
    due_ms = now_ms + command.terms.claim_grace_ms
    rows.put(EARLY_ENDS, key, EarlyEnd(command.source, command.reason, due_ms, command.original))
    DEADLINES.set(rows, due_ms, END_DUE, key)
