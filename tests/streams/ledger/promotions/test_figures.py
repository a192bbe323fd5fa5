"""What figures of a line lead to: a report soon where there is drift, and what is counted."""

from __future__ import annotations

from typing import Any

import msgspec

from schemas.drift import DriftKind
from streams.ledger.effects import Effects
from streams.ledger.promotions import decide
from streams.ledger.promotions.state import PROMOTIONS, Totals
from streams.ledger.promotions.turn import DRIFT_SHARE
from tests.streams.ledger.promotions.stage import (
    NOON_MS,
    PROMOTION,
    TERMS,
    Command,
    Stage,
    active_stage,
    closed,
    figures,
    held,
    refused,
    reports,
    start_of,
)

INTERVAL_MS = TERMS.report_interval_ms
SOON_MS = INTERVAL_MS // DRIFT_SHARE
DRIFT: dict[str, Any] = {"reserved": 10, "drift_units": 3, "drift_kind": DriftKind.FOREIGN_CHANGE}


def test_drift_and_its_end_are_reported_sooner_than_other_changes() -> None:
    stage = active_stage()
    stage.take(figures("SKU-1", 1, **DRIFT))
    assert stage.deadline_ms() == SOON_MS
    (report,) = reports(stage.wait(SOON_MS))
    assert report["totals"]["drift"] == 3
    stage.take(figures("SKU-1", 2, reserved=10))
    assert stage.deadline_ms() == SOON_MS


def test_drift_that_is_found_long_after_the_last_report_is_reported_at_once() -> None:
    stage = active_stage()
    stage.take(figures("SKU-1", 1, reserved=10, consumed=1))
    stage.wait(2 * SOON_MS)
    assert stage.deadline_ms() == INTERVAL_MS - 2 * SOON_MS
    stage.take(figures("SKU-1", 2, **DRIFT))
    assert stage.deadline_ms() == 0


def counted(stage: Stage, command: Command) -> Effects:
    effects = Effects()
    decide(stage.rows, command, stage.now_ms, effects)
    return effects


def test_units_are_counted_as_they_are_reserved_taken_given_back_refused_and_released() -> None:
    stage = Stage()
    stage.take(start_of((("SKU-1", 10),), placed_at_ms=NOON_MS - 1_000))
    stage.now_ms += 1_500
    told = counted(stage, held("SKU-1"))
    assert (told.units, told.waits) == ({"reserved": 10}, [("held", 2_500)])
    assert counted(stage, figures("SKU-1", 1, reserved=10, consumed=4)).units == {"taken": 4}
    changed = counted(stage, figures("SKU-1", 2, reserved=10, consumed=3, rejected_units=2))
    assert changed.units == {"returned": 1, "refused": 2}
    assert counted(stage, closed("SKU-1", 3, 3, 7, rejected_units=2)).units == {"released": 7}
    cancelled = counted(stage, closed("SKU-1", 4, 2, 8, rejected_units=2))
    assert cancelled.units == {"returned": 1, "released": 1}


def test_skus_are_counted_by_the_reason_of_their_answer() -> None:
    stage = Stage()
    stage.take(start_of())
    assert counted(stage, held("SKU-1")).reasons == {"": 1}
    assert counted(stage, refused("SKU-2", "INVALID")).reasons == {"INVALID": 1}


def test_the_totals_are_the_sums_of_the_newest_figures_however_often_they_changed() -> None:
    stage = active_stage()
    columns = msgspec.structs.fields(Totals)
    for version in (1, 2, 3):
        told: dict[str, Any] = {field.name: 10 * version + at for at, field in enumerate(columns)}
        stage.take(figures("SKU-1", version, **told), figures("SKU-2", version, **told))
    row = stage.rows.get(PROMOTIONS, PROMOTION.encode())
    assert row is not None
    assert list(msgspec.structs.astuple(row.totals)) == [2 * (30 + at) for at, _ in enumerate(columns)]


def test_where_nothing_differs_a_report_names_no_kind_of_drift() -> None:
    """Seen by reading: a release was refused when Fluent held nothing any more, and the line said `drift` 0
    with a kind and what to do about it."""
    stage = active_stage()
    stage.take(closed("SKU-1", 1, 7, 3, drift_kind=DriftKind.RELEASE_REFUSED), closed("SKU-2", 1, 0, 5))
    (report,) = reports(stage.wait(TERMS.claim_grace_ms))
    assert [line.keys() & {"driftKind", "driftAction"} for line in report["lines"]] == [set(), set()]
