"""A promotion starts: its SKUs are reserved, piece by piece where there are many."""

from __future__ import annotations

import hashlib

import msgspec

from schemas.reasons import Reason
from schemas.topics import PROMOTION_COMMANDS, SKU_COMMANDS
from streams.ledger.commands import Continue, Reserve, encode, reservation_key
from streams.ledger.dead_letters import dead_letter
from streams.ledger.effects import Effects, Send, iso_utc
from streams.ledger.inputs import StartPromotion
from streams.ledger.promotions.ends import take_early_end
from streams.ledger.promotions.results import answer_repeat, answer_start, publish_refused
from streams.ledger.promotions.rows import BACKLOGS, LINES, PROMOTIONS, Backlog, Line, Promotion
from streams.ledger.promotions.schedule import begin_closing, note_change
from streams.ledger.rows import Rows

PIECE_LINES = 450
"""Lines per command: a refused line costs four effects (two rows, a record, a notice), of at most 2,000."""


def start(rows: Rows, command: StartPromotion, now_ms: int, effects: Effects) -> None:
    """Begin a promotion, repeat the answer of one that is known, or turn a conflicting one away."""
    key = command.promotion_id.encode()
    known = rows.get(PROMOTIONS, key)
    if known is not None:
        _start_again(rows, key, known, command, now_ms, effects)
    elif error := _error_of(command):
        _turn_away(command, Reason.INVALID, error, now_ms, effects)
    else:
        _start_new(rows, key, command, now_ms, effects)


def continue_start(rows: Rows, key: bytes, promotion: Promotion, now_ms: int, effects: Effects) -> None:
    """Reserve the next piece of a start's backlog."""
    backlog = rows.get(BACKLOGS, key)
    if backlog is None:
        return
    _send_piece(rows, key, promotion, backlog, now_ms, effects)
    if promotion.sent == promotion.line_count:
        rows.delete(BACKLOGS, key)
    rows.put(PROMOTIONS, key, promotion)


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
    """Why a start can not be taken, or "". Only for a new promotion: a repeat may come after its time."""
    if not command.lines:
        return f"Promotion {command.promotion_id} names no SKU."
    if command.expires_at_ms and command.expires_at_ms <= command.placed_at_ms:
        return (
            f"Promotion {command.promotion_id} was to expire at {iso_utc(command.expires_at_ms)}, "
            f"but was only started at {iso_utc(command.placed_at_ms)}."
        )
    return ""


def _start_again(
    rows: Rows, key: bytes, known: Promotion, command: StartPromotion, now_ms: int, effects: Effects
) -> None:
    if digest(command) == known.digest:
        if answer_repeat(rows, key, known, command.source, effects):
            rows.put(PROMOTIONS, key, known)
        return
    first = known.source
    error = (
        f"Promotion {command.promotion_id} was started before with other content "
        f"(topic {first.topic}, partition {first.partition}, offset {first.offset})."
    )
    _turn_away(command, Reason.CONFLICT, error, now_ms, effects)


def _turn_away(command: StartPromotion, reason: Reason, error: str, now_ms: int, effects: Effects) -> None:
    promotion = command.promotion_id
    dead_letter(command.source, command.original, reason, error, now_ms, effects, promotion=promotion)


def _start_new(rows: Rows, key: bytes, command: StartPromotion, now_ms: int, effects: Effects) -> None:
    duration_ms = command.duration_ms or command.terms.default_duration_ms
    promotion = Promotion(
        digest(command),
        command.terms,
        command.source,
        command.placed_at_ms,
        command.expires_at_ms or command.placed_at_ms + duration_ms,
        len(command.lines),
        reported_at_ms=now_ms,
    )
    early = take_early_end(rows, key)
    if early is not None:
        promotion.ended = promotion.ended_before_start = True
        promotion.end_reason = early.reason
        begin_closing(rows, key, promotion, now_ms)
    note_change(rows, key, promotion, now_ms)
    backlog = Backlog(command.lines, command.attributes)
    _send_piece(rows, key, promotion, backlog, now_ms, effects)
    if promotion.sent < promotion.line_count:
        rows.put(BACKLOGS, key, backlog)
    rows.put(PROMOTIONS, key, promotion)


def _send_piece(
    rows: Rows, key: bytes, promotion: Promotion, backlog: Backlog, now_ms: int, effects: Effects
) -> None:
    first = promotion.sent
    last = min(first + PIECE_LINES, promotion.line_count)
    promotion_id = key.decode()
    send_line = _refuse_line if promotion.ended_before_start else _reserve_line
    for index in range(first, last):
        sku, quantity = backlog.lines[index]
        send_line(rows, promotion_id, promotion, Line(index, quantity), sku, backlog.attributes, effects)
    promotion.sent = last
    if last < promotion.line_count:
        effects.sends.append(Send(PROMOTION_COMMANDS, key, encode(Continue("reserve", key)), own=True))
    elif promotion.ended_before_start:
        note_change(rows, key, promotion, now_ms)
        answer_start(rows, key, promotion, effects)
    elif promotion.ended:
        # An end came meanwhile. Its Ends are a piece of their own: together they would be too much.
        effects.sends.append(Send(PROMOTION_COMMANDS, key, encode(Continue("end", key)), own=True))


def _reserve_line(
    rows: Rows,
    promotion_id: str,
    promotion: Promotion,
    line: Line,
    sku: str,
    attributes: bytes,
    effects: Effects,
) -> None:
    rows.put(LINES, reservation_key(promotion_id, sku), line)
    command = Reserve(promotion_id, sku, line.quantity, promotion.expires_at_ms, promotion.terms, attributes)
    effects.sends.append(Send(SKU_COMMANDS, sku.encode(), encode(command)))


def _refuse_line(
    rows: Rows,
    promotion_id: str,
    promotion: Promotion,
    line: Line,
    sku: str,
    _attributes: bytes,
    effects: Effects,
) -> None:
    line.decided = line.refused = True
    rows.put(LINES, reservation_key(promotion_id, sku), line)
    promotion.decided += 1
    promotion.refused += 1
    promotion.closed += 1
    error = f"Promotion {promotion_id} was ended before its start arrived."
    publish_refused(rows, line.index, promotion_id, sku, Reason.ENDED, error, effects)
