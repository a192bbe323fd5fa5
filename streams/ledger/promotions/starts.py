"""A promotion starts: its SKUs are reserved, piece by piece where there are many."""

from __future__ import annotations

import hashlib

import msgspec

from schemas.reasons import Reason
from schemas.topics import SKU_COMMANDS
from streams.ledger.commands import Reserve, encode, reservation_key
from streams.ledger.dead_letters import dead_letter
from streams.ledger.effects import iso_utc
from streams.ledger.inputs import StartPromotion
from streams.ledger.promotions.ends import take_early_end
from streams.ledger.promotions.publishing import answer_repeat, answer_start, publish_refused
from streams.ledger.promotions.state import BACKLOGS, LINES, Backlog, Line, Promotion
from streams.ledger.promotions.turn import PromotionTurn, Work, begin_closing, note_change

PIECE_LINES = 450
"""Lines per command: a refused line costs four effects (two rows, a record, a notice), of at most 2,000."""


def on_start(turn: PromotionTurn, command: StartPromotion) -> None:
    """Begin a promotion, repeat the answer of one that is known, or turn a conflicting one away."""
    if turn.row.known:
        _start_again(turn, command)
    elif error := _error_of(command):
        _turn_away(turn, command, Reason.INVALID, error)
    else:
        _start_new(turn, command)


def go_on_starting(turn: PromotionTurn) -> None:
    """Reserve the next piece of a start's backlog."""
    backlog = turn.rows.get(BACKLOGS, turn.key)
    if backlog is None:
        return
    _send_piece(turn, backlog)
    if turn.row.sent == turn.row.line_count:
        turn.rows.delete(BACKLOGS, turn.key)
    turn.finish()


def digest(command: StartPromotion) -> bytes:
    """Equal for starts with the same content, whatever the order of their lines; defaults do not enter."""
    content = (
        sorted(command.lines),
        command.duration_ms,
        command.expires_at_ms,
        command.attributes,
    )
    return hashlib.blake2b(msgspec.msgpack.encode(content), digest_size=16).digest()


def _error_of(command: StartPromotion) -> str:
    """Why a start cannot be taken, or "". Only for a new promotion: a repeat may come after its time."""
    if not command.lines:
        return f"Promotion {command.promotion_id} names no SKU."
    if command.expires_at_ms and command.expires_at_ms <= command.placed_at_ms:
        return (
            f"Promotion {command.promotion_id} was to expire at {iso_utc(command.expires_at_ms)}, "
            f"but was only started at {iso_utc(command.placed_at_ms)}."
        )
    return ""


def _start_again(turn: PromotionTurn, command: StartPromotion) -> None:
    if digest(command) == turn.row.digest:
        answer_repeat(turn, command.source)
        return
    first = turn.row.source
    error = (
        f"Promotion {command.promotion_id} was started before with other content "
        f"(topic {first.topic}, partition {first.partition}, offset {first.offset})."
    )
    _turn_away(turn, command, Reason.CONFLICT, error)


def _turn_away(turn: PromotionTurn, command: StartPromotion, reason: Reason, error: str) -> None:
    source, value, promotion = command.source, command.original, command.promotion_id
    dead_letter(source, value, reason, error, turn.now_ms, turn.effects, promotion=promotion)


def _start_new(turn: PromotionTurn, command: StartPromotion) -> None:
    duration_ms = command.duration_ms or command.terms.default_duration_ms
    promotion = turn.row = Promotion(
        digest(command),
        command.terms,
        command.source,
        command.placed_at_ms,
        command.expires_at_ms or command.placed_at_ms + duration_ms,
        len(command.lines),
        reported_at_ms=turn.now_ms,
    )
    early = take_early_end(turn)
    if early is not None:
        promotion.ended = promotion.ended_before_start = True
        promotion.end_reason = early.reason
        begin_closing(turn)
    note_change(turn)
    backlog = Backlog(command.lines, command.attributes)
    _send_piece(turn, backlog)
    if promotion.sent < promotion.line_count:
        turn.rows.put(BACKLOGS, turn.key, backlog)
    turn.finish()


def _send_piece(turn: PromotionTurn, backlog: Backlog) -> None:
    promotion = turn.row
    first = promotion.sent
    last = min(first + PIECE_LINES, promotion.line_count)
    for index in range(first, last):
        sku, quantity = backlog.lines[index]
        if promotion.ended_before_start:
            _refuse_line(turn, Line(index, quantity), sku)
        else:
            _reserve_line(turn, Line(index, quantity), sku, backlog.attributes)
    promotion.sent = last
    if last < promotion.line_count:
        turn.go_on(Work.RESERVE, turn.key, turn.key)
    elif promotion.ended_before_start:
        note_change(turn)
        answer_start(turn)
    elif promotion.ended:
        # An end came meanwhile. Its Ends are a piece of their own: together they would be too much.
        turn.go_on(Work.END, turn.key, turn.key)


def _reserve_line(turn: PromotionTurn, line: Line, sku: str, attributes: bytes) -> None:
    promotion, promotion_id = turn.row, turn.promotion_id
    turn.rows.put(LINES, reservation_key(promotion_id, sku), line)
    command = Reserve(promotion_id, sku, line.quantity, promotion.expires_at_ms, promotion.terms, attributes)
    turn.send(SKU_COMMANDS, sku.encode(), encode(command))


def _refuse_line(turn: PromotionTurn, line: Line, sku: str) -> None:
    promotion, promotion_id = turn.row, turn.promotion_id
    line.decided = line.refused = True
    turn.rows.put(LINES, reservation_key(promotion_id, sku), line)
    promotion.decided += 1
    promotion.refused += 1
    promotion.closed += 1
    error = f"Promotion {promotion_id} was ended before its start arrived."
    publish_refused(turn, line.index, sku, Reason.ENDED, error)
