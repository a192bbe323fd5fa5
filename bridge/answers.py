"""What a caller that waited is told: the seed's responses, or the problem that a dead letter stands for."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from bridge.problems import Problem
from bridge.records import NOTHING, Arrival, Page, Report, read_outcome, read_page, read_report
from schemas.reasons import RECOMMENDATIONS, Reason
from schemas.topics import DEAD_LETTERS, PROMOTION_RESULTS, RECONCILIATION_REPORTS

Fields = dict[str, object]

STATUSES = {Reason.CONFLICT: 409, Reason.NO_PROMOTION: 404}
"""How a dead letter's reason is answered; every other one is 422."""


def answer_of(arrivals: list[Arrival], duration_ms: int) -> Fields:
    """The seed's response to the event that `arrivals` answer. Raises Problem for a dead letter."""
    first = arrivals[0]
    if first.topic == DEAD_LETTERS:
        raise _problem_of(first)
    if first.topic == PROMOTION_RESULTS:
        fields = results_of(arrival.value for arrival in arrivals)
    elif first.topic == RECONCILIATION_REPORTS:
        fields = ended(read_report(first.value))
    else:
        fields = _decided(first)
    return {"status": 200, **fields, "duration": duration_ms}


def ended(report: Report) -> Fields:
    """The answer to a `promotion-end` that is done."""
    return {"promotionId": report.promotion_id, "report": report}


def results_of(values: Iterable[bytes]) -> Fields:
    """The pages of a promotion's results as one; no fields when a page is missing."""
    pages = sorted(map(read_page, values), key=_number)
    if not pages or len(pages) != pages[-1].pages:
        return {}
    return {
        "promotionId": pages[0].promotion_id,
        "reservations": [result for page in pages for result in page.reservations],
        "summary": pages[0].summary,
    }


def promotion_status(promotion_id: str, pages: list[bytes], report: Report | None) -> Fields:
    """Where a promotion stands; no fields when nothing is known of it."""
    results = results_of(pages)
    if report is None and not results:
        return {}
    status = report.status if report is not None else _status_by_results(pages)
    fields: Fields = {"promotionId": promotion_id, "status": status, **results}
    return fields if report is None else {**fields, "report": report}


def orders_status(values: list[bytes]) -> bytes:
    """The newest outcomes of an order as a JSON array, each as it was published."""
    return b"[" + b",".join(values) + b"]"


def _decided(arrival: Arrival) -> Fields:
    outcome = read_outcome(arrival.value)
    fields: Fields = {
        "orderRef": outcome.order_ref,
        "promotionId": outcome.promotion_id,
        "outcome": outcome.outcome,
        "reason": outcome.reason,
        "consumeResults": outcome.consume_results,
        "cancelResults": outcome.cancel_results,
        "cancellationRef": outcome.cancellation_ref,
        "decidedAt": outcome.decided_at,
        "revision": outcome.revision,
    }
    return {name: value for name, value in fields.items() if value not in (None, NOTHING)}


def _problem_of(dead_letter: Arrival) -> Problem:
    headers = dead_letter.headers
    reason = headers.get("reason", Reason.INVALID)
    known = reason if reason in Reason.__members__ else Reason.INVALID
    error = headers.get("error", "The event could not be decided")
    recommendation = headers.get("recommendation", RECOMMENDATIONS[Reason(known)])
    return Problem(STATUSES.get(Reason(known), 422), error, recommendation, reason=reason)


def _status_by_results(pages: list[bytes]) -> str:
    """Before the first report: every SKU is decided, so the sale runs, unless nothing could be reserved."""
    summary = msgspec.json.decode(read_page(pages[0]).summary)
    return "ACTIVE" if summary["success"] else "REJECTED"


def _number(page: Page) -> int:
    return page.page
