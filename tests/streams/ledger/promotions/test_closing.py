from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from schemas.drift import DriftKind
from streams.ledger.effects import Send
from streams.ledger.promotions.reports import REPAIR_IT, REPORT_IT
from streams.ledger.promotions.turn import FIRST_REPORT_MS
from streams.ledger.terms import Terms
from tests.streams.ledger.promotions.stage import (
    NOON_MS,
    TERMS,
    Stage,
    active_stage,
    closed,
    end_of,
    figures,
    held,
    refused,
    reports,
    start_of,
)

INTERVAL_MS = TERMS.report_interval_ms
GRACE_MS = TERMS.claim_grace_ms
TIMEOUT_MS = TERMS.close_timeout_ms


def test_closing_that_takes_too_long_names_the_skus_that_are_waited_for_and_alarms() -> None:
    stage = active_stage()
    stage.take(end_of(), figures("SKU-1", 1, "RELEASING", reserved=10), closed("SKU-2", 1, 0, 5))
    stage.wait(INTERVAL_MS)
    (report,) = reports(stage.wait(TIMEOUT_MS - INTERVAL_MS))
    assert (report["kind"], report["status"], report["waitingFor"]) == ("INTERIM", "CLOSING", ["SKU-1"])
    (notice,) = [notice for notice in stage.notices if notice.level == "error"]
    assert (notice.fields["skus_waited_for"], notice.fields["since_seconds"]) == (1, TIMEOUT_MS // 1_000)
    assert stage.wait(100 * TIMEOUT_MS) == []


def test_closing_in_time_is_not_reported_as_late() -> None:
    stage = active_stage()
    stage.take(end_of(), closed("SKU-1", 1, 7, 3), closed("SKU-2", 1, 0, 5))
    sent = reports(stage.wait(2 * TIMEOUT_MS))
    assert [report["kind"] for report in sent] == ["FINAL"]
    assert "waitingFor" not in sent[0]
    assert [notice.level for notice in stage.notices] == ["info"]


def test_an_expiry_counts_as_closing_from_the_first_line_that_is_released() -> None:
    stage = active_stage()
    stage.take(figures("SKU-2", 1, "RELEASING", reserved=5))
    stage.now_ms += 1_000
    stage.take(figures("SKU-1", 1, "RELEASING", reserved=10))
    stage.wait(INTERVAL_MS)
    assert stage.deadline_ms() == TIMEOUT_MS - 1_000 - INTERVAL_MS
    (report,) = reports(stage.wait(TIMEOUT_MS - 1_000 - INTERVAL_MS))
    assert report["waitingFor"] == ["SKU-1", "SKU-2"]


def test_a_line_that_closes_late_is_reported_with_those_still_waited_for() -> None:
    stage = active_stage()
    stage.take(end_of())
    stage.wait(TIMEOUT_MS)
    stage.take(closed("SKU-1", 1, 7, 3))
    (report,) = reports(stage.wait(INTERVAL_MS))
    assert report["waitingFor"] == ["SKU-2"]
    stage.take(closed("SKU-2", 1, 0, 5))
    (final,) = reports(stage.wait(GRACE_MS))
    assert "waitingFor" not in final


def test_a_final_report_with_drift_is_a_warning_and_one_that_does_not_add_up_an_error() -> None:
    stage = active_stage()
    stage.take(
        closed("SKU-1", 1, 7, 3, drift_units=3, drift_kind=DriftKind.RELEASE_REFUSED),
        closed("SKU-2", 1, 0, 5),
    )
    stage.wait(GRACE_MS)
    stage.take(figures("SKU-2", 2, "CLOSED", reserved=5, consumed=1, released=3))
    stage.wait(INTERVAL_MS)
    warning, error = stage.notices
    assert (warning.level, warning.fields["skus_with_drift"]) == ("warning", 1)
    assert (warning.fields["recommendation"], "unbalanced_skus" in warning.fields) == (REPAIR_IT, False)
    assert (error.level, error.fields["unbalanced_skus"]) == ("error", "SKU-2")
    assert error.fields["recommendation"] == REPORT_IT


def test_a_final_report_that_adds_up_without_drift_recommends_nothing() -> None:
    stage = active_stage()
    stage.take(closed("SKU-1", 1, 7, 3), closed("SKU-2", 1, 0, 5))
    stage.wait(GRACE_MS)
    [notice] = stage.notices
    assert (notice.level, "recommendation" in notice.fields) == ("info", False)


def test_a_line_that_opens_and_closes_again_after_final_waits_for_the_interval() -> None:
    stage = Stage()
    stage.take(start_of((("SKU-1", 10),)), end_of(), refused("SKU-1", "ENDED"))
    stage.wait(GRACE_MS)
    stage.take(figures("SKU-1", 1, "RELEASING"), figures("SKU-1", 2, "CLOSED"))
    assert stage.deadline_ms() == INTERVAL_MS
    (report,) = reports(stage.wait(INTERVAL_MS))
    assert (report["kind"], report["revision"]) == ("FINAL", 2)


def test_a_line_that_turns_out_not_to_be_closed_puts_final_off() -> None:
    stage = Stage()
    terms = structs.replace(TERMS, claim_grace_ms=GRACE_MS // 2)
    stage.take(start_of((("SKU-1", 10),), terms=terms), end_of(), refused("SKU-1", "ENDED"))
    assert stage.deadline_ms() == GRACE_MS // 2
    stage.take(figures("SKU-1", 1, "RELEASING"))
    assert stage.deadline_ms() == FIRST_REPORT_MS
    assert [report["kind"] for report in reports(stage.wait(FIRST_REPORT_MS))] == ["INTERIM"]
    assert stage.deadline_ms() == TIMEOUT_MS - FIRST_REPORT_MS
    stage.take(figures("SKU-1", 2, "CLOSED"))
    assert [report["kind"] for report in reports(stage.wait(GRACE_MS))] == ["FINAL"]


def test_what_is_told_of_a_line_that_was_refused_does_not_make_its_promotion_late() -> None:
    stage = Stage()
    stage.take(start_of((("SKU-1", 10),)), refused("SKU-1"), figures("SKU-1", 1, "CLOSED"))
    stage.wait(2 * TIMEOUT_MS)
    assert [notice.event for notice in stage.notices if notice.level == "error"] == []
    assert stage.deadline_ms() is None


@pytest.mark.parametrize("of_age_in_ms", [TIMEOUT_MS // 2, 3 * TIMEOUT_MS])
def test_the_close_time_out_counts_from_the_last_unit_that_comes_of_age(of_age_in_ms: int) -> None:
    """They stay held until the shop has had the time to book them: that is no fault."""
    stage = active_stage()
    of_age_at_ms = stage.now_ms + of_age_in_ms
    young = figures("SKU-1", 1, "RELEASING", reserved=10, consumed=4, of_age_at_ms=of_age_at_ms)
    stage.take(end_of(), young, closed("SKU-2", 1, 0, 5))
    assert overdue(stage, of_age_at_ms + TIMEOUT_MS - 1) == []
    (report,) = overdue(stage, of_age_at_ms + TIMEOUT_MS)
    assert report["waitingFor"] == ["SKU-1"]


def test_a_close_that_waits_for_a_backlog_is_told_although_no_sku_has_begun_to_close() -> None:
    """The ledgers wait for the watermark, so that their SKUs are still ACTIVE long after the expiry."""
    stage = active_stage()
    expires_at_ms = NOON_MS + TERMS.default_duration_ms + TERMS.expiry_grace_ms
    assert overdue(stage, expires_at_ms + TIMEOUT_MS - 1) == []
    (report,) = overdue(stage, expires_at_ms + TIMEOUT_MS)
    assert (report["status"], report["waitingFor"]) == ("CLOSING", ["SKU-1", "SKU-2"])
    assert [line["waitsFor"] for line in report["lines"]] == ["BACKLOG", "BACKLOG"]


def test_units_that_stay_held_until_the_end_on_purpose_are_not_waited_for() -> None:
    terms = Terms(auto_release=False)
    stage = Stage()
    stage.take(start_of(terms=terms), held("SKU-1"), held("SKU-2", 5))
    assert overdue(stage, NOON_MS + 10 * terms.default_duration_ms) == []
    stage.take(end_of(placed_at_ms=stage.now_ms))
    assert len(overdue(stage, stage.now_ms + terms.close_timeout_ms)) == 1


@pytest.mark.parametrize(
    ("state", "of_age_in_ms", "waits_for"),
    [
        ("PENDING", 0, "HOLD"),
        ("ACTIVE", 0, "BACKLOG"),
        ("RELEASING", 0, "RELEASE"),
        ("RELEASING", 2 * TIMEOUT_MS, "BOOKING"),
    ],
)
def test_a_report_says_what_each_sku_waits_for(state: str, of_age_in_ms: int, waits_for: str) -> None:
    stage = active_stage()
    of_age_at_ms = stage.now_ms + of_age_in_ms if of_age_in_ms else 0
    stage.take(end_of(), closed("SKU-2", 1, 0, 5))
    (told,) = overdue(stage, stage.now_ms + TIMEOUT_MS)
    assert told["waitingFor"] == ["SKU-1"]
    stage.take(figures("SKU-1", 1, state, reserved=10, of_age_at_ms=of_age_at_ms))
    (report,) = reports(stage.wait(INTERVAL_MS))
    assert [line.get("waitsFor") for line in report["lines"]] == [waits_for, None]


def overdue(stage: Stage, at_ms: int) -> list[dict[str, Any]]:
    """The reports up to a time that say what is waited for."""
    sent: list[Send] = []
    while (after_ms := stage.deadline_ms()) is not None and stage.now_ms + after_ms <= at_ms:
        sent += stage.wait(max(0, after_ms))
    stage.now_ms = max(stage.now_ms, at_ms)
    return [report for report in reports(sent) if "waitingFor" in report]
