"""What the ledgers say about a promotion's lines: the answer to a Reserve, and figures from then on."""

from __future__ import annotations

from schemas.reasons import Reason
from streams.ledger.commands import Figures, LineFigures, LineReserved, reservation_key
from streams.ledger.effects import Effects
from streams.ledger.promotions.results import (
    answer_start,
    publish_refused,
    publish_reserved,
    reserved_answer,
)
from streams.ledger.promotions.rows import (
    CLOSING_STATES,
    LINES,
    PROMOTIONS,
    Line,
    Promotion,
)
from streams.ledger.promotions.schedule import begin_closing, hurry, note_change
from streams.ledger.rows import Rows


def line_reserved(rows: Rows, command: LineReserved, now_ms: int, effects: Effects) -> None:
    """Publish the answer for a SKU, and the promotion's when it was the last one that was missing."""
    key = command.promotion_id.encode()
    promotion = rows.get(PROMOTIONS, key)
    line = rows.get(LINES, reservation_key(command.promotion_id, command.sku))
    if promotion is None or line is None or line.decided:
        return
    was_closed = line.closed
    line.decided = True
    line.refused = command.reason != ""
    promotion.decided += 1
    promotion.refused += line.refused
    _publish(rows, command, promotion, line, effects)
    if not line.refused and line.figures.version == 0:
        _replace_figures(promotion, line, Figures(state="ACTIVE", reserved=command.quantity))
    _store(rows, command.promotion_id, command.sku, promotion, line, was_closed, now_ms)
    if promotion.all_decided:
        answer_start(rows, key, promotion, effects)


def line_figures(rows: Rows, command: LineFigures, now_ms: int, effects: Effects) -> None:
    """Take in newer figures of a line; older ones and those of a line that is not known change nothing."""
    key = command.promotion_id.encode()
    promotion = rows.get(PROMOTIONS, key)
    line = rows.get(LINES, reservation_key(command.promotion_id, command.sku))
    if promotion is None or line is None or command.figures.version <= line.figures.version:
        return
    was_closed = line.closed
    drifted = command.figures.drift_units != line.figures.drift_units
    _replace_figures(promotion, line, command.figures)
    if command.figures.state in CLOSING_STATES:
        begin_closing(rows, key, promotion, now_ms)
    _store(rows, command.promotion_id, command.sku, promotion, line, was_closed, now_ms)
    if drifted:
        hurry(rows, key, promotion, now_ms)
        rows.put(PROMOTIONS, key, promotion)


def _publish(rows: Rows, command: LineReserved, promotion: Promotion, line: Line, effects: Effects) -> None:
    if line.refused:
        reason = Reason(command.reason)
        publish_refused(rows, line.index, command.promotion_id, command.sku, reason, command.error, effects)
        return
    answer = reserved_answer(
        command.promotion_id, command.sku, command.reservation_ref, command.quantity, command.expires_at_ms
    )
    publish_reserved(rows, line.index, answer, effects)


def _replace_figures(promotion: Promotion, line: Line, figures: Figures) -> None:
    promotion.totals.replace(line.figures, figures)
    line.figures = figures


def _store(
    rows: Rows,
    promotion_id: str,
    sku: str,
    promotion: Promotion,
    line: Line,
    was_closed: bool,
    now_ms: int,
) -> None:
    promotion.closed += line.closed - was_closed
    rows.put(LINES, reservation_key(promotion_id, sku), line)
    key = promotion_id.encode()
    note_change(rows, key, promotion, now_ms)
    rows.put(PROMOTIONS, key, promotion)
