"""Answers to a start: `reservation-results` per SKU, `promotion-results` when every SKU is decided.

A line's answer is kept as the bytes that were published. The pages are put together from these bytes, so a
repeat that comes after an upgrade still gets what the first one got.
"""

from __future__ import annotations

import msgspec

from schemas.reasons import MEANINGS, RECOMMENDATIONS, Reason
from schemas.structs import NotReserved, PromotionResults, Reserved, ResultSummary
from schemas.topics import PROMOTION_COMMANDS, PROMOTION_RESULTS, RESERVATION_RESULTS
from streams.ledger.commands import Continue, encode, reservation_key
from streams.ledger.effects import MAX_EFFECTS, Effects, Notice, Send, iso_utc
from streams.ledger.promotions.rows import REPEATS, RESULTS, Promotion, Repeat, Result, lines_of
from streams.ledger.rows import Rows
from streams.ledger.terms import Source

PAGE_LINES = 500
"""Lines on a page of `promotion-results` and of a report: under 1 MiB with the longest SKUs and errors."""

MAX_ERROR_CHARS = 500

_json = msgspec.json.Encoder().encode


def publish_reserved(rows: Rows, index: int, answer: Reserved, effects: Effects) -> None:
    """Keep and publish that a SKU is reserved."""
    _publish(rows, index, answer.promotion_id, answer.sku, _json(answer), effects)
    effects.count("")


def publish_refused(
    rows: Rows, index: int, promotion_id: str, sku: str, reason: Reason, error: str, effects: Effects
) -> None:
    """Keep and publish that a SKU is not reserved, and warn the person on call."""
    error = (error or MEANINGS[reason])[:MAX_ERROR_CHARS]
    recommendation = RECOMMENDATIONS[reason]
    answer = NotReserved(promotion_id, sku, False, error, reason.value, recommendation)
    _publish(rows, index, promotion_id, sku, _json(answer), effects)
    effects.count(reason.value)
    fields: dict[str, str | int] = {
        "promotion": promotion_id,
        "sku": sku,
        "reason": reason.value,
        "error": error,
        "recommendation": recommendation,
    }
    effects.notices.append(Notice("warning", "reservation refused", fields))


def _publish(rows: Rows, index: int, promotion_id: str, sku: str, value: bytes, effects: Effects) -> None:
    rows.put(RESULTS, reservation_key(promotion_id, sku), Result(index, value))
    effects.sends.append(Send(RESERVATION_RESULTS, promotion_id.encode(), value))


def reserved_answer(promotion_id: str, sku: str, ref: str, quantity: int, expires_at_ms: int) -> Reserved:
    """The answer for a SKU of which `quantity` units are held until `expires_at_ms`."""
    return Reserved(promotion_id, sku, True, ref, quantity, iso_utc(expires_at_ms))


def answer_start(rows: Rows, key: bytes, promotion: Promotion, effects: Effects) -> None:
    """Answer the start now that every SKU is decided; the repeats that wait follow."""
    _send_pages(key, compose_pages(rows, key, promotion), promotion.source, effects)
    if promotion.repeats_head < promotion.repeats_tail:
        _continue_repeats(key, effects)


def answer_repeat(rows: Rows, key: bytes, promotion: Promotion, source: Source, effects: Effects) -> bool:
    """Answer a repeated start under its own headers, or let it wait; True when the promotion's row changed.

    It waits while a SKU is undecided, and behind the repeats that came before it.
    """
    if promotion.all_decided and promotion.repeats_head == promotion.repeats_tail:
        _send_pages(key, compose_pages(rows, key, promotion), source, effects)
        return False
    rows.put(REPEATS, _repeat_key(key, promotion.repeats_tail), Repeat(source))
    promotion.repeats_tail += 1
    return True


def answer_waiting_repeats(rows: Rows, key: bytes, promotion: Promotion, effects: Effects) -> None:
    """Answer as many waiting repeats as one command may, in the order in which they came."""
    pages = compose_pages(rows, key, promotion)
    count = max(1, MAX_EFFECTS // (promotion.line_count + 2))
    last = min(promotion.repeats_tail, promotion.repeats_head + count)
    for number in range(promotion.repeats_head, last):
        repeat = rows.get(REPEATS, _repeat_key(key, number))
        if repeat is not None:
            _send_pages(key, pages, repeat.source, effects)
            rows.delete(REPEATS, _repeat_key(key, number))
    promotion.repeats_head = last
    if last < promotion.repeats_tail:
        _continue_repeats(key, effects)


def compose_pages(rows: Rows, key: bytes, promotion: Promotion) -> list[bytes]:
    """The values of all `promotion-results` records of a decided promotion, lines in the event's order."""
    start, end = lines_of(key)
    results = [result for _, result in rows.scan(RESULTS, start, end, promotion.line_count)]
    results.sort(key=_index)
    reservations = [msgspec.Raw(result.value) for result in results]
    summary = ResultSummary(promotion.decided - promotion.refused, promotion.refused)
    promotion_id = key.decode()
    parts = [reservations[at : at + PAGE_LINES] for at in range(0, len(reservations), PAGE_LINES)]
    return [
        _json(PromotionResults(promotion_id, part, summary, number, len(parts)))
        for number, part in enumerate(parts, start=1)
    ]


def _index(result: Result) -> int:
    return result.index


def _send_pages(key: bytes, pages: list[bytes], source: Source, effects: Effects) -> None:
    headers = source.headers()
    effects.sends.extend(Send(PROMOTION_RESULTS, key, value, headers) for value in pages)


def _continue_repeats(key: bytes, effects: Effects) -> None:
    effects.sends.append(Send(PROMOTION_COMMANDS, key, encode(Continue("repeats", key)), own=True))


def _repeat_key(key: bytes, number: int) -> bytes:
    return key + b"\0" + number.to_bytes(8, "big")
