"""A promotion ends early, or is ended before its start is known."""

from __future__ import annotations

from schemas.reasons import Reason
from schemas.topics import SKU_COMMANDS
from streams.ledger.commands import End, encode
from streams.ledger.dead_letters import dead_letter
from streams.ledger.inputs import EndPromotion
from streams.ledger.promotions.state import BY_WATERMARK, EARLY_ENDS, END_DUE, LINES, EarlyEnd, lines_of
from streams.ledger.promotions.turn import PromotionTurn, begin_closing, note_change
from streams.ledger.turn import Turn


def on_end(turn: PromotionTurn, command: EndPromotion) -> None:
    """End a known promotion, or wait for the one that is not known.

    Of several ends the one that was placed soonest counts; a repeat changes nothing.
    """
    promotion = turn.row
    if not promotion.known:
        _wait_for_start(turn, command)
    elif not promotion.ended or command.placed_at_ms < promotion.ended_at_ms:
        promotion.ended = True
        promotion.ended_at_ms = command.placed_at_ms
        promotion.end_reason = command.reason
        if not promotion.all_closed and not promotion.closing:
            begin_closing(turn)
            note_change(turn)
        turn.finish()
        _send_ends(turn, command.placed_at_ms)


def _send_ends(turn: PromotionTurn, ended_at_ms: int) -> None:
    """Send End for each line, all in this command: a watermark counts on what follows from an event at once.

    Refused lines get it too; it changes nothing there: what was refused holds nothing, and its claims keep
    the reason NO_RESERVATION.
    """
    start, end = lines_of(turn.key)
    for line_key, _ in turn.rows.scan(LINES, start, end, turn.row.line_count):
        sku = line_key[len(start) :]
        turn.send(SKU_COMMANDS, sku, encode(End(turn.promotion_id, sku.decode(), ended_at_ms)))


def take_early_end(turn: PromotionTurn) -> EarlyEnd | None:
    """The end that overtook a promotion's start, if there is one; from now on the promotion remembers it."""
    early = turn.rows.get(EARLY_ENDS, turn.key)
    if early is not None:
        BY_WATERMARK.clear(turn.rows, early.due_ms, END_DUE, turn.key)
        turn.rows.delete(EARLY_ENDS, turn.key)
    return early


def give_up_waiting(turn: Turn, key: bytes) -> None:
    """The start did not come in time: the end is a dead letter, but stays remembered."""
    early = turn.rows.get(EARLY_ENDS, key)
    if early is None or early.original is None:
        return
    error = f"No promotion {key.decode()} was started before this end or soon after it."
    reason, promotion = Reason.NO_PROMOTION, key.decode()
    dead_letter(early.source, early.original, reason, error, turn.now_ms, turn.effects, promotion=promotion)
    early.original = None
    turn.rows.put(EARLY_ENDS, key, early)


def _wait_for_start(turn: PromotionTurn, command: EndPromotion) -> None:
    known = turn.rows.get(EARLY_ENDS, turn.key)
    if known is not None:
        if command.placed_at_ms < known.ended_at_ms:
            known.ended_at_ms, known.reason = command.placed_at_ms, command.reason
            turn.rows.put(EARLY_ENDS, turn.key, known)
        return
    due_ms = turn.now_ms + command.terms.claim_grace_ms
    early = EarlyEnd(command.source, command.reason, command.placed_at_ms, due_ms, command.original)
    turn.rows.put(EARLY_ENDS, turn.key, early)
    BY_WATERMARK.set(turn.rows, due_ms, END_DUE, turn.key)
