"""What a worker counts of the batches that were committed."""

from __future__ import annotations

import pytest
from prometheus_client import generate_latest

from flashsale.worker import metrics as module
from flashsale.worker.metrics import FluentCollector, Metrics
from fluent import Meters
from streams.ledger.effects import HELD, RELEASED, Batch, Effects, Notice

NOW_MS = 1_800_000_000_000


@pytest.fixture
def metrics(monkeypatch: pytest.MonkeyPatch) -> Metrics:
    monkeypatch.setattr(module, "now_ms", lambda: NOW_MS)
    return Metrics(partitions=12)


def text(metrics: Metrics) -> str:
    return generate_latest(metrics.registry).decode()


def test_a_batch_is_measured_from_its_oldest_record_until_it_is_durable(metrics: Metrics) -> None:
    effects = Effects()
    effects.batches += [
        Batch("order-placed", 400, NOW_MS - 40),
        Batch("sku-commands", 300, NOW_MS - 15, NOW_MS - 90),
    ]
    metrics.committed("task-3", effects, 700)
    scraped = text(metrics)
    assert 'flashsale_stage_seconds_bucket{le="0.02",stage="order-placed"} 0.0' in scraped
    assert 'flashsale_stage_seconds_bucket{le="0.05",stage="order-placed"} 400.0' in scraped
    assert 'flashsale_stage_seconds_bucket{le="0.02",stage="sku-commands"} 300.0' in scraped
    assert 'flashsale_decision_seconds_bucket{le="0.05"} 0.0' in scraped
    assert 'flashsale_decision_seconds_bucket{le="0.1"} 300.0' in scraped
    assert 'flashsale_records_total{task="task-3"} 700.0' in scraped


def test_a_clock_behind_the_brokers_measures_nothing_negative(metrics: Metrics) -> None:
    effects = Effects()
    effects.batches.append(Batch("order-placed", 1, NOW_MS + 5_000))
    metrics.committed("task-0", effects, 1)
    assert 'flashsale_stage_seconds_sum{stage="order-placed"} 0.0' in text(metrics)


def test_waits_for_fluent_units_and_alarms_are_counted(metrics: Metrics) -> None:
    effects = Effects()
    effects.waits += [(HELD, 1_500), (RELEASED, 70_000)]
    effects.count_units("taken", 3)
    effects.count_units("taken", -1)
    drift = {"kind": "MISSING_HOLD", "recommendation": "look"}
    effects.notices += [
        Notice("warning", "drift", dict(drift)),
        Notice("info", "promotion_closed", {}),
        Notice("error", "promotion_does_not_close", {}),
    ]
    metrics.committed("task-0", effects, 1)
    scraped = text(metrics)
    for line in (
        'flashsale_hold_seconds_bucket{le="2.0"} 1.0',
        'flashsale_release_seconds_bucket{le="60.0"} 0.0',
        'flashsale_release_seconds_bucket{le="120.0"} 1.0',
        'flashsale_units_total{what="taken"} 3.0',
        'flashsale_drift_total{kind="MISSING_HOLD"} 1.0',
        'flashsale_notices_total{event="promotion_does_not_close"} 1.0',
    ):
        assert line in scraped
    assert 'flashsale_notices_total{event="promotion_closed"} 0.0' in scraped, "it was all right"


def test_what_goes_wrong_in_the_engine_is_counted(metrics: Metrics) -> None:
    metrics.discarded("task-1", "the broker said no")
    metrics.stands_still("task-1", "too large", 30.0)
    metrics.dropped_fetch("task-2", "order-placed/0", 7, 9)
    scraped = text(metrics)
    assert 'flashsale_transactions_total{result="aborted"} 1.0' in scraped
    assert "flashsale_task_standstills_total 1.0" in scraped
    assert 'flashsale_fetches_dropped_total{task="task-2"} 1.0' in scraped


def test_the_lag_of_a_partition_that_went_away_is_not_shown_any_more(metrics: Metrics) -> None:
    metrics.show_positions({("order-placed", "0"): (90, 7), ("order-placed", "1"): (40, 2)})
    metrics.show_positions({("order-placed", "1"): (39, 3)})
    scraped = text(metrics)
    assert 'flashsale_lag_records{partition="1",topic="order-placed"} 3.0' in scraped
    assert 'flashsale_position_offset{partition="1",topic="order-placed"} 39.0' in scraped
    assert 'partition="0"' not in scraped


def test_what_an_alert_waits_for_is_shown_before_it_happens_for_the_first_time(metrics: Metrics) -> None:
    meters = Meters()
    metrics.registry.register(FluentCollector(meters))
    meters.logins["password ok"] += 1
    scraped = text(metrics)
    assert 'flashsale_fluent_logins_total{login="password refused"} 0.0' in scraped
    assert 'flashsale_fluent_logins_total{login="password ok"} 1.0' in scraped
    assert 'flashsale_fluent_dropped_total{why="no room"} 0.0' in scraped
    meters.dropped["no room"] += 2
    assert 'flashsale_fluent_dropped_total{why="no room"} 2.0' in text(metrics)
