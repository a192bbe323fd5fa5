"""A promotion starts: its SKUs are reserved, all in one command.

A watermark counts on it: what follows from a start stands in the ledger's log before the next Tick.
"""

from __future__ import annotations

import hashlib

import msgspec

from schemas.reasons import Reason
from schemas.times import iso_utc
from schemas.topics import SKU_COMMANDS
from streams.ledger.commands import Reserve, encode, reservation_key
from streams.ledger.dead_letters import dead_letter
from streams.ledger.inputs import StartPromotion
from streams.ledger.promotions.ends import take_early_end
from streams.ledger.promotions.publishing import answer_repeat
from streams.ledger.promotions.state import LINES, Line, Promotion
from streams.ledger.promotions.turn import PromotionTurn, await_close, begin_closing, note_change


def on_start(turn: PromotionTurn, command: StartPromotion) -> None:
    """Begin a promotion, repeat the answer of one that is known, or turn a conflicting one away."""
    if turn.row.known:
        _start_again(turn, command)
    elif error := _error_of(command):
        _turn_away(turn, command, Reason.INVALID, error)
    else:
        _start_new(turn, command)


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
    """Why a start cannot be taken, or "". A repeat of one that was taken may come after its time."""
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
    if error := _error_of(command):
        _turn_away(turn, command, Reason.INVALID, error)
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
        shown_at_ms=turn.now_ms,
    )
    early = take_early_end(turn)
    if early is not None:
        promotion.ended = True
        promotion.ended_at_ms = early.ended_at_ms
        promotion.end_reason = early.reason
        begin_closing(turn)
    elif command.terms.auto_release:
        await_close(turn, promotion.expires_at_ms + command.terms.expiry_grace_ms)
    note_change(turn)
    _reserve(turn, command)
    turn.finish()


def _reserve(turn: PromotionTurn, command: StartPromotion) -> None:
    """Where the end was placed before the start, nothing is held; the ledgers answer that, too, because they
    count what is refused."""
    promotion_id, ended_at_ms = turn.promotion_id, turn.row.ended_at_ms
    ended_first = turn.row.ended and ended_at_ms < command.placed_at_ms
    for index, (sku, quantity) in enumerate(command.lines):
        turn.rows.put(LINES, reservation_key(promotion_id, sku), Line(index, quantity))
        wish = Reserve(
            promotion_id,
            sku,
            quantity,
            turn.row.expires_at_ms,
            turn.row.terms,
            command.attributes,
            ended_at_ms,
            command.source.trace,
            ended_first,
        )
        turn.send(SKU_COMMANDS, sku.encode(), encode(wish))
