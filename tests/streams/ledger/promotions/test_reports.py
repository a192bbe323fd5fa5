from __future__ import annotations

from typing import Any

import msgspec
import pytest

from schemas.drift import REMEDIES, DriftKind
from schemas.structs import ReconciliationReport
from schemas.times import milliseconds
from schemas.topics import RECONCILIATION_REPORTS
from streams.ledger.commands import Tick
from streams.ledger.promotions.reports import TOLD_WITHIN_MS
from streams.ledger.promotions.turn import ANSWERED_MS, FIRST_REPORT_MS
from tests.streams.ledger.promotions.stage import (
    NOON_MS,
    TERMS,
    Stage,
    active_stage,
    closed,
    end_of,
    figures,
    held,
    of,
    refused,
    reports,
    start_of,
)

INTERVAL_MS = TERMS.report_interval_ms
GRACE_MS = TERMS.claim_grace_ms

NOTHING_SOLD_YET = {
    "sku": "SKU-2",
    "reserved": 5,
    "consumed": 0,
    "cancelled": 0,
    "released": 0,
    "rejectedUnits": 0,
    "rejectedOrders": 0,
    "fluent": {"ref": "FS-FLASH-1-SKU-2-e66caa9d", "status": "NONE", "held": 0},
    "drift": 0,
}


def finished() -> Stage:
    """Both SKUs closed, and the FINAL report made."""
    stage = active_stage()
    stage.take(closed("SKU-1", 1, 7, 3), closed("SKU-2", 1, 0, 5))
    stage.wait(GRACE_MS)
    return stage


def test_a_report_shows_every_line_and_the_totals_in_the_contracts_order() -> None:
    stage = Stage()
    stage.take(start_of((("SKU-2", 5), ("SKU-1", 10))), held("SKU-1"), held("SKU-2", 5))
    stage.take(
        figures(
            "SKU-1",
            4,
            reserved=10,
            consumed=6,
            cancelled=1,
            rejected_units=9,
            rejected_orders=2,
            held=8,
            fluent_status="ACTIVE",
            checked_at_ms=NOON_MS,
            drift_units=2,
            drift_kind=DriftKind.MISSING_HOLD,
            at_ms=NOON_MS + 59_800,
        )
    )
    (report,) = reports(stage.wait(INTERVAL_MS))
    assert report == {
        "promotionId": "FLASH-1",
        "kind": "INTERIM",
        "status": "ACTIVE",
        "lines": [
            NOTHING_SOLD_YET,
            {
                "sku": "SKU-1",
                "reserved": 10,
                "consumed": 6,
                "cancelled": 1,
                "released": 0,
                "rejectedUnits": 9,
                "rejectedOrders": 2,
                "fluent": {
                    "ref": "FS-FLASH-1-SKU-1-df1cd5f6",
                    "status": "ACTIVE",
                    "held": 8,
                    "checkedAt": "2027-01-15T08:00:00.000Z",
                },
                "drift": 2,
                "driftKind": "MISSING_HOLD",
                "driftAction": REMEDIES[DriftKind.MISSING_HOLD],
            },
        ],
        "totals": {
            "reserved": 15,
            "consumed": 6,
            "cancelled": 1,
            "released": 0,
            "rejectedUnits": 9,
            "rejectedOrders": 2,
            "drift": 2,
        },
        "page": 1,
        "pages": 1,
        "revision": 1,
        "generatedAt": "2027-01-15T08:00:59.800Z",
    }
    fields = [field.encode_name for field in msgspec.structs.fields(ReconciliationReport)]
    assert list(report) == [name for name in fields if name != "waitingFor"]
    assert [send.key for send in of(stage.sends, RECONCILIATION_REPORTS)] == [b"FLASH-1"]


def test_the_first_report_comes_a_second_after_every_sku_has_its_answer_and_shows_what_was_sold() -> None:
    stage = Stage()
    stage.take(start_of(), held("SKU-1"))
    stage.now_ms += 1_500
    stage.take(held("SKU-2", 5))
    assert stage.deadline_ms() == ANSWERED_MS
    stage.take(figures("SKU-1", 1, reserved=10, consumed=2, at_ms=stage.now_ms + 100))
    (report,) = reports(stage.wait(ANSWERED_MS))
    assert (report["kind"], report["status"], report["totals"]["consumed"]) == ("INTERIM", "ACTIVE", 2)
    assert report["generatedAt"] == "2027-01-15T08:00:01.600Z"
    stage.take(figures("SKU-1", 2, reserved=10, consumed=3))
    assert stage.deadline_ms() == INTERVAL_MS


def test_the_first_report_does_not_wait_for_fluent() -> None:
    stage = Stage()
    stage.take(start_of(), held("SKU-1"))
    assert stage.deadline_ms() == FIRST_REPORT_MS
    (report,) = reports(stage.wait(FIRST_REPORT_MS))
    assert (report["kind"], report["status"], report["totals"]["reserved"]) == ("INTERIM", "PENDING", 10)
    stage.take(held("SKU-2", 5))
    assert stage.deadline_ms() == INTERVAL_MS


def test_a_report_says_of_which_moment_its_figures_are() -> None:
    stage = active_stage()
    stage.now_ms += INTERVAL_MS - 500
    stage.take(figures("SKU-1", 1, reserved=10, consumed=1, at_ms=stage.now_ms))
    stage.take(figures("SKU-2", 1, reserved=5, consumed=1, at_ms=stage.now_ms - 300))
    (report,) = reports(stage.wait(500))
    assert milliseconds(report["generatedAt"]) == stage.now_ms - 500


def test_a_report_of_figures_that_did_not_change_for_long_is_hardly_older_than_itself() -> None:
    stage = active_stage()
    stage.take(figures("SKU-1", 1, reserved=10, consumed=1, at_ms=stage.now_ms))
    stage.wait(0)
    stage.take(figures("SKU-1", 2, reserved=10, consumed=2, at_ms=stage.now_ms + 10))
    (report,) = reports(stage.wait(INTERVAL_MS))
    assert milliseconds(report["generatedAt"]) == stage.now_ms - TOLD_WITHIN_MS


def test_interim_reports_come_only_after_a_change_and_at_most_once_an_interval() -> None:
    stage = active_stage()
    assert only_the_close_is_expected(stage)
    assert stage.wait(10 * INTERVAL_MS) == []
    stage.take(figures("SKU-1", 1, reserved=10, consumed=1))
    assert stage.deadline_ms() == 0
    (first,) = reports(stage.wait(0))
    stage.take(figures("SKU-1", 2, reserved=10, consumed=2), figures("SKU-2", 1, reserved=5, consumed=1))
    assert stage.deadline_ms() == INTERVAL_MS
    assert stage.wait(INTERVAL_MS - 1) == []
    (second,) = reports(stage.wait(1))
    assert (first["totals"]["consumed"], second["totals"]["consumed"]) == (1, 3)
    assert (first["revision"], second["revision"]) == (2, 3)


def test_lower_and_equal_versions_change_nothing() -> None:
    stage = active_stage()
    stage.take(figures("SKU-1", 5, reserved=10, consumed=4))
    stage.wait(INTERVAL_MS)
    stage.take(figures("SKU-1", 5, reserved=10, consumed=9), figures("SKU-1", 4, reserved=10, consumed=3))
    assert only_the_close_is_expected(stage)


def test_ticks_that_come_early_or_twice_change_nothing() -> None:
    stage = active_stage()
    stage.take(figures("SKU-1", 1, reserved=10, consumed=1))
    assert reports(stage.take(Tick(), Tick())) == []
    stage.now_ms += INTERVAL_MS
    assert len(reports(stage.take(Tick(), Tick(), Tick()))) == 1


@pytest.mark.parametrize(
    ("commands", "status"),
    [
        ((), "PENDING"),
        ((held("SKU-1"),), "PENDING"),
        ((held("SKU-1"), held("SKU-2")), "ACTIVE"),
        ((held("SKU-1"), refused("SKU-2")), "ACTIVE"),
        ((held("SKU-1"), held("SKU-2"), end_of()), "CLOSING"),
        ((held("SKU-1"), end_of()), "CLOSING"),
        ((held("SKU-1"), held("SKU-2"), figures("SKU-1", 1, "RELEASING")), "CLOSING"),
        ((held("SKU-1"), held("SKU-2"), closed("SKU-1", 1, 0, 10)), "CLOSING"),
        ((held("SKU-1"), held("SKU-2"), closed("SKU-1", 1, 0, 10), closed("SKU-2", 1, 5, 0)), "CLOSED"),
        ((held("SKU-1"), refused("SKU-2"), closed("SKU-1", 1, 0, 10)), "CLOSED"),
        ((refused("SKU-1"), refused("SKU-2")), "REJECTED"),
        ((refused("SKU-1"), refused("SKU-2"), figures("SKU-2", 1, "REJECTED")), "REJECTED"),
        ((refused("SKU-1", "ENDED"), refused("SKU-2", "ENDED"), figures("SKU-2", 1, "RELEASING")), "CLOSING"),
    ],
)
def test_status(commands: tuple[Any, ...], status: str) -> None:
    stage = Stage()
    stage.take(start_of(), *commands)
    report = reports(stage.wait(INTERVAL_MS))[-1]
    assert report["status"] == status
    assert report["kind"] == ("FINAL" if status in ("CLOSED", "REJECTED") else "INTERIM")


def test_final_comes_the_grace_after_the_last_line_closed_and_adds_up() -> None:
    stage = active_stage()
    stage.take(closed("SKU-1", 1, 7, 3))
    stage.now_ms += 1_000
    stage.take(closed("SKU-2", 1, 0, 5))
    assert stage.deadline_ms() == GRACE_MS
    assert reports(stage.wait(GRACE_MS - 1)) == []
    (report,) = reports(stage.wait(1))
    assert (report["kind"], report["revision"], report["status"]) == ("FINAL", 1, "CLOSED")
    assert all(line["reserved"] == line["consumed"] + line["released"] for line in report["lines"])
    assert report["totals"]["reserved"] == 15
    assert stage.deadline_ms() is None


def test_a_refused_line_stands_in_the_final_report_with_nothing_reserved() -> None:
    stage = Stage()
    stage.take(start_of(), held("SKU-1"), refused("SKU-2"), closed("SKU-1", 1, 4, 6))
    (report,) = reports(stage.wait(GRACE_MS))
    assert [(line["sku"], line["reserved"]) for line in report["lines"]] == [("SKU-1", 10), ("SKU-2", 0)]


def test_final_comes_the_grace_after_the_last_of_all_refusals() -> None:
    stage = Stage()
    stage.take(start_of(), refused("SKU-1"))
    stage.now_ms += 500
    stage.take(refused("SKU-2"))
    assert stage.deadline_ms() == GRACE_MS
    (report,) = reports(stage.wait(GRACE_MS))
    assert (report["kind"], report["status"]) == ("FINAL", "REJECTED")


def test_changes_between_the_last_close_and_final_are_in_it_and_do_not_put_it_off() -> None:
    stage = active_stage()
    stage.take(closed("SKU-1", 1, 7, 3), closed("SKU-2", 1, 0, 5))
    stage.now_ms += GRACE_MS - 1
    stage.take(closed("SKU-1", 2, 6, 4, cancelled=1))
    (report,) = reports(stage.wait(1))
    assert (report["revision"], report["totals"]["consumed"]) == (1, 6)
    assert stage.deadline_ms() is None


def test_a_change_after_final_publishes_the_next_revision_at_most_one_per_interval() -> None:
    stage = finished()
    stage.take(closed("SKU-1", 2, 6, 4, cancelled=1))
    assert stage.deadline_ms() == INTERVAL_MS
    stage.take(closed("SKU-1", 3, 5, 5, cancelled=2))
    (second,) = reports(stage.wait(INTERVAL_MS))
    assert (second["kind"], second["revision"], second["totals"]["cancelled"]) == ("FINAL", 2, 2)
    stage.now_ms += 10 * INTERVAL_MS
    stage.take(closed("SKU-1", 4, 4, 6, cancelled=3))
    (third,) = reports(stage.wait(0))
    assert third["revision"] == 3


def test_figures_that_come_before_the_answer_are_kept() -> None:
    stage = Stage()
    stage.take(start_of((("SKU-1", 10),)), figures("SKU-1", 1, reserved=10, consumed=2), held("SKU-1"))
    (report,) = reports(stage.wait(INTERVAL_MS))
    assert (report["status"], report["totals"]["consumed"]) == ("ACTIVE", 2)


def only_the_close_is_expected(stage: Stage) -> bool:
    """No report is due, but for one that tells of a close that does not come."""
    expires_in_ms = NOON_MS + TERMS.default_duration_ms - stage.now_ms
    return stage.deadline_ms() == expires_in_ms + TERMS.expiry_grace_ms + TERMS.close_timeout_ms
