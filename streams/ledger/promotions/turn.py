"""A command's turn at one promotion: its row in hand, and the two deadlines of the row.

The first INTERIM report is due when every SKU has its answer, or seconds after the start where that takes
longer. While a line is open, a change makes another one due, one interval after the last report. When the
last line closes, the FINAL report is due after the grace for late claims. What still changes after it makes
the next revision due, again at most one per interval. Closing that takes too long is a deadline of its own,
which counts from the expiry or the end, and from the moment when the units that were sold last are of age.
"""

from __future__ import annotations

from enum import StrEnum

from schemas.topics import PROMOTION_COMMANDS
from streams.ledger.effects import Effects
from streams.ledger.promotions.state import BY_CLOCK, CLOSE_DUE, PROMOTIONS, REPORT_DUE, Promotion
from streams.ledger.rows import Rows
from streams.ledger.turn import Turn

FIRST_REPORT_MS = 5_000
"""The first report comes so long after the start at the latest,"""

ANSWERED_MS = 1_000
"""and so long after the last SKU was answered: what was ordered meanwhile has been told by then."""

DRIFT_SHARE = 6
"""Reports of drift come at most this many times in an interval."""


class Work(StrEnum):
    """What a Continue of this core goes on with. The promotion's key stands first in `subject`."""

    DUE = "due"
    """Further deadlines."""
    REPEATS = "repeats"
    """Answering the repeats that wait for the decision."""


class PromotionTurn(Turn, gc=False):
    """Changes to one promotion: begun by `take`, written by `finish`."""

    key: bytes
    row: Promotion

    @property
    def promotion_id(self) -> str:
        """The promotion's id."""
        return self.key.decode()

    def finish(self) -> None:
        """Write the row."""
        self.rows.put(PROMOTIONS, self.key, self.row)

    def notify(self, level: str, event: str, **fields: str | int) -> None:
        """Tell the person on call about this promotion."""
        super().notify(level, event, promotion=self.promotion_id, **fields)


def take(rows: Rows, effects: Effects, now_ms: int, key: bytes) -> PromotionTurn:
    """The turn of a command about this promotion, or about one that is not known (yet)."""
    row = rows.get(PROMOTIONS, key) or Promotion()
    return PromotionTurn(rows, effects, now_ms, PROMOTION_COMMANDS, key, row)


def begin_closing(turn: PromotionTurn) -> None:
    """The promotion ended or began to expire: from now on its holds should be gone in time."""
    promotion = turn.row
    if promotion.closing:
        return
    promotion.closing = True
    if not promotion.all_closed:
        await_close(turn, turn.now_ms)


def await_close(turn: PromotionTurn, from_ms: int) -> None:
    """Expect it to be closed within its time-out after `from_ms`."""
    await_close_by(turn, max(from_ms, turn.now_ms) + turn.row.terms.close_timeout_ms)


def await_close_by(turn: PromotionTurn, due_ms: int) -> None:
    """Expect it to be closed by then."""
    promotion = turn.row
    BY_CLOCK.move(turn.rows, promotion.close_due_ms, due_ms, CLOSE_DUE, turn.key)
    promotion.close_due_ms = due_ms


def note_change(turn: PromotionTurn) -> None:
    """Something that a report shows has changed: see to it that one will be made."""
    promotion = turn.row
    if promotion.all_closed and promotion.closed_at_ms == 0:
        _last_line_closed(turn)
        return
    if promotion.closed_at_ms and not promotion.all_closed:
        _opened_again(turn)
    _report_unless_due(turn)


def hurry(turn: PromotionTurn) -> None:
    """Drift was found or is gone: while the promotion is open, a report of it does not wait long."""
    promotion = turn.row
    _report_by(turn, promotion.reported_at_ms + promotion.terms.report_interval_ms // DRIFT_SHARE)


def report_first(turn: PromotionTurn) -> None:
    """Every SKU has its answer: while there is no report, one does not wait long."""
    if not turn.row.reports:
        _report_by(turn, turn.now_ms + ANSWERED_MS)


def reported(turn: PromotionTurn) -> None:
    """A report was made that shows everything up to now."""
    promotion = turn.row
    promotion.report_due_ms = 0
    promotion.reported_at_ms = turn.now_ms


def clear_report(turn: PromotionTurn) -> None:
    """Drop the report that is due; another one says it all."""
    promotion = turn.row
    if promotion.report_due_ms:
        BY_CLOCK.clear(turn.rows, promotion.report_due_ms, REPORT_DUE, turn.key)
        promotion.report_due_ms = 0


def _last_line_closed(turn: PromotionTurn) -> None:
    promotion = turn.row
    promotion.closed_at_ms = turn.now_ms
    promotion.overdue = False
    if promotion.close_due_ms:
        BY_CLOCK.clear(turn.rows, promotion.close_due_ms, CLOSE_DUE, turn.key)
        promotion.close_due_ms = 0
    clear_report(turn)
    due_ms = turn.now_ms + promotion.terms.claim_grace_ms
    if promotion.final_revision:
        due_ms = max(due_ms, promotion.reported_at_ms + promotion.terms.report_interval_ms)
    _set_report(turn, due_ms)


def _opened_again(turn: PromotionTurn) -> None:
    """A refused line's ledger still had a hold to release, and said so a moment after the refusal."""
    promotion = turn.row
    promotion.closed_at_ms = 0
    clear_report(turn)
    if promotion.closing:
        await_close(turn, turn.now_ms)


def _report_unless_due(turn: PromotionTurn) -> None:
    promotion = turn.row
    if promotion.report_due_ms == 0:
        interval_ms = promotion.terms.report_interval_ms
        wait_ms = interval_ms if promotion.reports else min(interval_ms, FIRST_REPORT_MS)
        _set_report(turn, max(turn.now_ms, promotion.reported_at_ms + wait_ms))


def _report_by(turn: PromotionTurn, at_ms: int) -> None:
    """While the promotion is open, have a report at `at_ms` at the latest."""
    promotion, due_ms = turn.row, max(turn.now_ms, at_ms)
    if not promotion.all_closed and (promotion.report_due_ms == 0 or due_ms < promotion.report_due_ms):
        clear_report(turn)
        _set_report(turn, due_ms)


def _set_report(turn: PromotionTurn, due_ms: int) -> None:
    promotion = turn.row
    promotion.report_due_ms = due_ms
    BY_CLOCK.set(turn.rows, due_ms, REPORT_DUE, turn.key)
