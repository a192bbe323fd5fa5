"""Checks what was published against the log alone, knowing nothing of the stage's rows."""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import pairwise
from typing import Any

from schemas.reports import ReconciliationReport
from schemas.results import PromotionResults, ReservationResult
from schemas.times import milliseconds
from schemas.topics import PROMOTION_RESULTS, RECONCILIATION_REPORTS, RESERVATION_RESULTS
from streams.ledger.commands import Continue, Lines, Tick
from streams.ledger.effects import Send
from streams.ledger.inputs import EndPromotion, StartPromotion
from streams.ledger.promotions.reports import TOLD_WITHIN_MS
from streams.ledger.promotions.turn import DRIFT_SHARE
from tests.streams.ledger.promotions.stage import TERMS, Command, dead_letters, of
from tests.streams.ledger.promotions.world import Ledgers, Log

SCHEMAS: dict[str, Any] = {
    RESERVATION_RESULTS: ReservationResult,
    PROMOTION_RESULTS: PromotionResults,
    RECONCILIATION_REPORTS: ReconciliationReport,
}


def values(sends: list[Send], topic: str, promotion: str) -> list[dict[str, Any]]:
    """Values of one promotion, after the schema has read them strictly."""
    found = [send.value or b"" for send in of(sends, topic) if send.key == promotion.encode()]
    for value in found:
        SCHEMAS[topic].model_validate_json(value)
    return [json.loads(value) for value in found]


class History:
    """What the log says about one promotion."""

    def __init__(self, promotion: str, records: list[tuple[Command, int]]) -> None:
        self.promotion = promotion
        self.starts: list[StartPromotion] = []
        self.overtaken = self.dead_end = False
        self.first_end: EndPromotion | None = None
        self.ended_at_ms = 0
        """Of all ends the one that was placed soonest."""
        end_ms = watermark_ms = 0
        for command, at_ms in records:
            if isinstance(command, StartPromotion) and command.promotion_id == promotion:
                if self.first_end is not None and not self.starts:
                    self.overtaken = self.ended_at_ms < command.placed_at_ms
                self.starts.append(command)
            elif isinstance(command, EndPromotion) and command.promotion_id == promotion:
                end_ms = end_ms or at_ms
                self.first_end = self.first_end or command
                self.ended_at_ms = min(self.ended_at_ms or command.placed_at_ms, command.placed_at_ms)
            elif isinstance(command, Tick) or (isinstance(command, Continue) and command.kind == "due"):
                if isinstance(command, Tick):
                    watermark_ms = max(watermark_ms, min(command.watermark_ms, at_ms))
                waited = self.first_end is not None and not self.starts
                self.dead_end |= waited and watermark_ms >= end_ms + TERMS.claim_grace_ms

    @property
    def lines(self) -> Lines:
        """The content that stands."""
        return self.starts[0].lines if self.starts else ()

    def same(self) -> list[int]:
        """Offsets of the starts that have the first one's content."""
        return [start.source.offset for start in self.starts if sorted(start.lines) == sorted(self.lines)]


def audit(log: Log, ledgers: Ledgers, promotions: list[str]) -> None:
    """Everything that the stage promises, for a world that has finished."""
    for promotion in promotions:
        history = History(promotion, log.records)
        _audit_results(history, log.published, ledgers)
        _audit_answers(history, log.published)
        _audit_reports(history, log.published, ledgers)
    _audit_dead_letters([History(promotion, log.records) for promotion in promotions], log.published)


def _audit_results(history: History, published: list[Send], ledgers: Ledgers) -> None:
    results = values(published, RESERVATION_RESULTS, history.promotion)
    by_sku = {result["sku"]: result for result in results}
    assert len(results) == len(by_sku) == len(history.lines)
    for sku, quantity in history.lines:
        result = by_sku[sku]
        reservation = ledgers.reservations[history.promotion, sku]
        assert reservation.ended_first is history.overtaken
        if history.overtaken:
            assert result["reason"] == "ENDED"
        assert result["success"] is not reservation.refused
        assert result["success"] is False or result["quantity"] == quantity
        assert reservation.ended_at_ms == history.ended_at_ms


def _audit_answers(history: History, published: list[Send]) -> None:
    answers: dict[int, list[bytes | None]] = defaultdict(list)
    for send in of(published, PROMOTION_RESULTS):
        if send.key == history.promotion.encode():
            answers[int(dict(send.headers or ())["source-offset"])].append(send.value)
    assert sorted(answers) == sorted(history.same())
    assert len({tuple(pages) for pages in answers.values()}) <= 1
    pages = values(published, PROMOTION_RESULTS, history.promotion)[: len(next(iter(answers.values()), []))]
    listed = [one for page in pages for one in page["reservations"]]
    assert [one["sku"] for one in listed] == [sku for sku, _ in history.lines]
    results = values(published, RESERVATION_RESULTS, history.promotion)
    assert sorted(map(str, listed)) == sorted(map(str, results))


def _audit_reports(history: History, published: list[Send], ledgers: Ledgers) -> None:
    found: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    for page in values(published, RECONCILIATION_REPORTS, history.promotion):
        found[page["kind"], page["revision"]].append(page)
    for pages in found.values():
        assert [(page["page"], page["pages"]) for page in pages] == [
            (number, len(pages)) for number in range(1, len(pages) + 1)
        ]
        _adds_up(pages)
    for kind in ("INTERIM", "FINAL"):
        revisions = [revision for kind_, revision in found if kind_ == kind]
        assert revisions == list(range(1, len(revisions) + 1))
        on_time = [pages[0] for (kind_, _), pages in found.items() if kind_ == kind]
        share = 1 if kind == "FINAL" else DRIFT_SHARE
        _not_too_often([page for page in on_time if "waitingFor" not in page], share)
    if history.lines:
        _is_the_truth(list(found.values())[-1], history, ledgers)


def _adds_up(pages: list[dict[str, Any]]) -> None:
    lines = [line for page in pages for line in page["lines"]]
    for page in pages:
        for column, total in page["totals"].items():
            assert total == sum(line[column] for line in lines)
        if page["kind"] == "FINAL":
            assert all(line["reserved"] == line["consumed"] + line["released"] for line in page["lines"])


def _not_too_often(pages: list[dict[str, Any]], share: int) -> None:
    times = [milliseconds(page["generatedAt"]) for page in pages]
    for earlier, later in pairwise(times):
        assert later - earlier >= TERMS.report_interval_ms // share - TOLD_WITHIN_MS


def _is_the_truth(pages: list[dict[str, Any]], history: History, ledgers: Ledgers) -> None:
    assert pages[0]["kind"] == "FINAL"
    lines = {line["sku"]: line for page in pages for line in page["lines"]}
    assert list(lines) == [sku for sku, _ in history.lines]
    for sku, line in lines.items():
        reservation = ledgers.reservations.get((history.promotion, sku))
        if reservation is not None:
            newest = reservation.sent[-1].figures
            assert (line["reserved"], line["consumed"]) == (newest.reserved, newest.consumed)
            assert (line["cancelled"], line["rejectedOrders"]) == (newest.cancelled, newest.rejected_orders)


def _audit_dead_letters(histories: list[History], published: list[Send]) -> None:
    found = [(value or b"", headers["reason"]) for value, headers in dead_letters(published)]
    conflicts = [
        (start.original, "CONFLICT")
        for history in histories
        for start in history.starts
        if start.source.offset not in history.same()
    ]
    assert sorted(one for one in found if one[1] == "CONFLICT") == sorted(conflicts)
    early = {history.first_end.original: history for history in histories if history.first_end}
    given_up = [value for value, reason in found if reason == "NO_PROMOTION"]
    assert len(set(given_up)) == len(given_up)
    for value, history in early.items():
        # A Tick with much to do leaves some of it to a Continue, which a start may still overtake.
        assert (value in given_up) <= history.dead_end
        assert history.starts or value in given_up
    assert len(found) == len(conflicts) + len(given_up)
    assert set(given_up) <= set(early)
