"""What the ledgers say about a promotion's lines: the answer to a Reserve, and figures from then on."""

from __future__ import annotations

from schemas.reasons import Reason
from streams.ledger.commands import Figures, LineFigures, LineReserved, reservation_key
from streams.ledger.effects import HELD, Effects
from streams.ledger.promotions.publishing import answer_start, publish_refused, publish_reserved
from streams.ledger.promotions.state import CLOSING_STATES, LINES, Line
from streams.ledger.promotions.turn import PromotionTurn, begin_closing, hurry, note_change, report_first
from streams.ledger.reservations.state import ACTIVE


def on_line_reserved(turn: PromotionTurn, command: LineReserved) -> None:
    """Publish the answer for a SKU, and the promotion's when it was the last one that was missing."""
    line = _line(turn, command.sku)
    if line is None or line.decided:
        return
    promotion = turn.row
    was_closed = line.closed
    line.decided = True
    line.refused = command.reason != ""
    promotion.decided += 1
    promotion.refused += line.refused
    if line.refused:
        publish_refused(turn, line.index, command.sku, Reason(command.reason), command.error)
    else:
        publish_reserved(turn, line.index, command)
        turn.effects.waits.append((HELD, turn.now_ms - promotion.started_at_ms))
        if line.figures.version == 0:
            known = Figures(state=ACTIVE, reserved=command.quantity, at_ms=turn.now_ms)
            _replace_figures(turn, line, known)
    _store(turn, command.sku, line, was_closed)
    if promotion.all_decided:
        answer_start(turn)
        report_first(turn)
        turn.finish()


def on_line_figures(turn: PromotionTurn, command: LineFigures) -> None:
    """Take in newer figures of a line; older ones and those of a line that is not known change nothing."""
    line = _line(turn, command.sku)
    figures = command.figures
    if line is None or figures.version <= line.figures.version:
        return
    was_closed = line.closed
    drifted = figures.drift_units != line.figures.drift_units
    _replace_figures(turn, line, figures)
    if figures.state in CLOSING_STATES:
        begin_closing(turn)
        turn.row.of_age_at_ms = max(turn.row.of_age_at_ms, figures.of_age_at_ms)
    _store(turn, command.sku, line, was_closed)
    if drifted:
        hurry(turn)
        turn.finish()


def _line(turn: PromotionTurn, sku: str) -> Line | None:
    """The line, unless it or the promotion is not known."""
    return turn.rows.get(LINES, reservation_key(turn.promotion_id, sku)) if turn.row.known else None


def _replace_figures(turn: PromotionTurn, line: Line, figures: Figures) -> None:
    turn.row.totals.replace(line.figures, figures)
    turn.row.shown_at_ms = max(turn.row.shown_at_ms, figures.at_ms)
    _count_units(turn.effects, line.figures, figures)
    line.figures = figures


def _count_units(effects: Effects, old: Figures, new: Figures) -> None:
    taken = new.consumed - old.consumed
    effects.count_units("reserved", new.reserved - old.reserved)
    effects.count_units("taken", taken)
    effects.count_units("returned", -taken)
    effects.count_units("released", new.released - old.released)
    effects.count_units("refused", new.rejected_units - old.rejected_units)


def _store(turn: PromotionTurn, sku: str, line: Line, was_closed: bool) -> None:
    turn.row.closed += line.closed - was_closed
    turn.rows.put(LINES, reservation_key(turn.promotion_id, sku), line)
    note_change(turn)
    turn.finish()
