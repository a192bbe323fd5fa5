"""Answers to a start: `reservation-results` per SKU, `promotion-results` when every SKU is decided.

A line's answer is kept as the bytes that were published. The pages are put together from these bytes, so a
repeat that comes after an upgrade still gets what the first one got.
"""

from __future__ import annotations

import msgspec

from schemas.reasons import MEANINGS, RECOMMENDATIONS, Reason
from schemas.structs import NotReserved, PromotionResults, Reserved, ResultSummary
from schemas.times import iso_utc
from schemas.topics import PROMOTION_RESULTS, RESERVATION_RESULTS
from streams.ledger.commands import LineReserved, reservation_key
from streams.ledger.effects import MAX_EFFECTS, Send
from streams.ledger.promotions.state import REPEATS, RESULTS, Repeat, Result, lines_of
from streams.ledger.promotions.turn import PromotionTurn, Work
from streams.ledger.terms import Source

PAGE_LINES = 500
"""Lines on a page of `promotion-results` and of a report: under 1 MiB with the longest SKUs and errors."""

MAX_ERROR_CHARS = 500

_json = msgspec.json.Encoder().encode


def publish_reserved(turn: PromotionTurn, index: int, answer: LineReserved) -> None:
    """Keep and publish that a SKU is reserved."""
    expires_at = iso_utc(answer.expires_at_ms)
    ids = (turn.promotion_id, answer.sku)
    result = Reserved(*ids, True, answer.reservation_ref, answer.quantity, expires_at)
    _publish(turn, index, answer.sku, _json(result))
    turn.effects.count("")


def publish_refused(turn: PromotionTurn, index: int, sku: str, reason: Reason, error: str) -> None:
    """Keep and publish that a SKU is not reserved, and warn the person on call."""
    error = (error or MEANINGS[reason])[:MAX_ERROR_CHARS]
    recommendation = RECOMMENDATIONS[reason]
    result = NotReserved(turn.promotion_id, sku, False, error, reason.value, recommendation)
    _publish(turn, index, sku, _json(result))
    turn.effects.count(reason.value)
    turn.notify(
        "warning",
        "reservation_refused",
        sku=sku,
        reason=reason.value,
        error=error,
        recommendation=recommendation,
    )


def _publish(turn: PromotionTurn, index: int, sku: str, value: bytes) -> None:
    turn.rows.put(RESULTS, reservation_key(turn.promotion_id, sku), Result(index, value))
    turn.send(RESERVATION_RESULTS, turn.key, value)


def answer_start(turn: PromotionTurn) -> None:
    """Answer the start now that every SKU is decided; the repeats that wait follow."""
    _send_pages(turn, _compose_pages(turn), turn.row.source)
    _answer_repeats_soon(turn)


def answer_repeat(turn: PromotionTurn, source: Source) -> None:
    """Answer a repeated start under its own headers, or let it wait.

    It waits while a SKU is undecided, and behind the repeats that came before it.
    """
    promotion = turn.row
    if promotion.all_decided and promotion.repeats_head == promotion.repeats_tail:
        _send_pages(turn, _compose_pages(turn), source)
        return
    turn.rows.put(REPEATS, _repeat_key(turn, promotion.repeats_tail), Repeat(source))
    promotion.repeats_tail += 1
    turn.finish()


def answer_waiting_repeats(turn: PromotionTurn) -> None:
    """Answer as many waiting repeats as one command may, in the order in which they came."""
    promotion = turn.row
    pages = _compose_pages(turn)
    count = max(1, MAX_EFFECTS // (promotion.line_count + 2))
    last = min(promotion.repeats_tail, promotion.repeats_head + count)
    for number in range(promotion.repeats_head, last):
        repeat = turn.rows.get(REPEATS, _repeat_key(turn, number))
        if repeat is not None:
            _send_pages(turn, pages, repeat.source)
            turn.rows.delete(REPEATS, _repeat_key(turn, number))
    promotion.repeats_head = last
    _answer_repeats_soon(turn)
    turn.finish()


def _answer_repeats_soon(turn: PromotionTurn) -> None:
    if turn.row.repeats_head < turn.row.repeats_tail:
        turn.go_on(Work.REPEATS, turn.key, turn.key)


def _compose_pages(turn: PromotionTurn) -> list[bytes]:
    """The values of all `promotion-results` records of a decided promotion, lines in the event's order."""
    promotion = turn.row
    start, end = lines_of(turn.key)
    results = [result for _, result in turn.rows.scan(RESULTS, start, end, promotion.line_count)]
    results.sort(key=_index)
    reservations = [msgspec.Raw(result.value) for result in results]
    summary = ResultSummary(promotion.decided - promotion.refused, promotion.refused)
    parts = [reservations[at : at + PAGE_LINES] for at in range(0, len(reservations), PAGE_LINES)]
    return [
        _json(PromotionResults(turn.promotion_id, part, summary, number, len(parts)))
        for number, part in enumerate(parts, start=1)
    ]


def _index(result: Result) -> int:
    return result.index


def _send_pages(turn: PromotionTurn, pages: list[bytes], source: Source) -> None:
    headers = source.headers()
    turn.effects.sends.extend(Send(PROMOTION_RESULTS, turn.key, value, headers) for value in pages)


def _repeat_key(turn: PromotionTurn, number: int) -> bytes:
    return turn.key + b"\0" + number.to_bytes(8, "big")
