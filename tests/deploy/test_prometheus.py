"""The alerts and the dashboard name metrics that exist, lead to runbooks that exist, and each alert fires.

promtool (Debian's package `prometheus`) checks the rules' grammar and plays made-up figures through them.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from streams.metrics import CounterOf, Definition, HistogramOf
from streams.metrics.page import ALL
from tests.test_tidy import ROOT, headings

RULES = ROOT / "deploy" / "prometheus" / "rules.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "flash-sale.json"
ALERTS: dict[str, dict[str, Any]] = {
    rule["alert"]: rule
    for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
}
PANELS: list[dict[str, Any]] = [
    panel for panel in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"] if panel["type"] != "row"
]


def series(definition: Definition) -> set[str]:
    """The names under which a metric's samples are stored."""
    if isinstance(definition, HistogramOf):
        return {f"{definition.name}_{part}" for part in ("bucket", "sum", "count")}
    return {definition.scraped}


DEFINED = {name: definition for definition in ALL for name in series(definition)}
SELECTOR = re.compile(r"(flashsale_\w+)(?:\{([^}]*)\})?")


def queries() -> Iterator[tuple[str, str]]:
    for alert, rule in ALERTS.items():
        yield alert, rule["expr"]
    for panel in PANELS:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


@pytest.mark.parametrize(("name", "query"), list(queries()))
def test_every_metric_and_label_that_is_asked_for_exists(name: str, query: str) -> None:
    asked = SELECTOR.findall(query)
    assert asked, query
    for metric, selected in asked:
        assert metric in DEFINED, metric
        labels = set(re.findall(r"(\w+)\s*(?:=|!=|=~|!~)\"", selected))
        assert labels <= {*DEFINED[metric].labels, "instance", "job"}, labels
    for grouped in re.findall(r"by \(([\w, ]+)\)", query):
        known = {label for metric, _ in asked for label in DEFINED[metric].labels}
        assert set(grouped.split(", ")) <= known | {"le", "instance", "job"}, grouped


@pytest.mark.parametrize(("name", "query"), list(queries()))
def test_counters_are_asked_for_their_growth_and_gauges_for_their_value(name: str, query: str) -> None:
    for match in SELECTOR.finditer(query):
        grows = not isinstance(DEFINED[match[1]], CounterOf | HistogramOf)
        before = query[: match.start()]
        assert bool(re.search(r"(rate|increase)\($", before)) != grows, match[0]


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_says_what_happened_and_links_a_runbook_that_exists(alert: str) -> None:
    rule = ALERTS[alert]
    notes = rule["annotations"]
    assert set(notes) == {"summary", "description", "runbook"}
    assert notes["summary"].endswith(".") and notes["description"].endswith(".")
    assert rule["labels"]["severity"] in ("warning", "critical")
    page, _, anchor = notes["runbook"].partition("#")
    assert anchor in headings(ROOT / page)


def test_every_metric_that_is_worth_a_look_is_on_the_dashboard_or_in_an_alert() -> None:
    asked = {metric for _, query in queries() for metric, _ in SELECTOR.findall(query)}
    assert [each.name for each in ALL if each.look_when and not series(each) & asked] == []


def test_the_dashboard_has_a_panel_a_title_a_unit_and_a_place_for_everything() -> None:
    ids = [panel["id"] for panel in PANELS]
    assert len(set(ids)) == len(ids)
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in PANELS]
    assert len(set(places)) == len(places)
    for panel in PANELS:
        assert panel["title"] and panel["description"] and panel["fieldConfig"]["defaults"]["unit"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


# -- what promtool says

PROMTOOL = shutil.which("promtool")
promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (apt install prometheus)")

MINUTES = 30
EVERY_S = 15
STEPS = MINUTES * 60 // EVERY_S

HEALTHY: Mapping[str, str] = {
    "up{job='w',instance='a'}": "1x120",
    "up{job='w',instance='c'}": "1x120",
    "process_start_time_seconds{job='w',instance='a'}": "100x120",
    "flashsale_ready{job='w',instance='a'}": "1x120",
    "flashsale_kafka_connected{instance='a'}": "1x120",
    "flashsale_intake_stopped{instance='a'}": "0x120",
    "flashsale_tasks{instance='a'}": "7x120",
    "flashsale_tasks{instance='b'}": "5x120",
    "flashsale_partitions{instance='a'}": "12x120",
    "flashsale_partitions{instance='b'}": "12x120",
    "flashsale_task_standstills_total": "0x120",
    "flashsale_lag_records{topic='order-placed',partition='0'}": "40x120",
    "flashsale_position_offset{topic='order-placed',partition='0'}": "0+15000x120",
    "flashsale_watermark_delay_seconds": "0.2x120",
    "flashsale_decision_seconds_bucket{le='0.1'}": "0+15000x120",
    "flashsale_decision_seconds_bucket{le='+Inf'}": "0+15000x120",
    "flashsale_commit_seconds_bucket{le='0.064'}": "0+300x120",
    "flashsale_commit_seconds_bucket{le='+Inf'}": "0+300x120",
    "flashsale_release_seconds_bucket{le='2.0'}": "0+1x120",
    "flashsale_release_seconds_bucket{le='+Inf'}": "0+1x120",
    "flashsale_transactions_total{result='committed'}": "0+300x120",
    "flashsale_transactions_total{result='aborted'}": "0x120",
    "flashsale_dead_letters_total{reason='INVALID'}": "3x120",
    "flashsale_notices_total{event='promotion_does_not_close'}": "0x120",
    "flashsale_notices_total{event='hold_overdue'}": "0x120",
    "flashsale_notices_total{event='promotion_closed'}": "0x120",
    "flashsale_drift_total{kind='MISSING_HOLD'}": "0x120",
    "flashsale_fluent_breaker_open{instance='a'}": "0x120",
    "flashsale_fluent_breaker_open{instance='b'}": "1x120",
    "flashsale_fluent_outstanding{instance='a'}": "4x120",
    "flashsale_fluent_outstanding{instance='b'}": "0x120",
    "flashsale_fluent_requests_total{operation='CreatePart',result='ok'}": "0+60x120",
    "flashsale_fluent_logins_total{login='password ok'}": "0+1x120",
    "flashsale_fluent_logins_total{login='refresh_token refused'}": "0+1x120",
    "flashsale_fluent_logins_total{login='password ReadTimeout'}": "0+1x120",
    "flashsale_fluent_dropped_total{why='no room'}": "0x120",
    "flashsale_bridge_ready{job='w',instance='c'}": "1x120",
    "flashsale_bridge_responses_total{route='/consume-reservation',status='202'}": "0+6000x120",
    "flashsale_bridge_responses_total{route='/consume-reservation',status='503'}": "0x120",
    "flashsale_bridge_responses_total{route='/consume-reservation',status='401'}": "0x120",
    "flashsale_bridge_responses_total{route='/consume-reservation',status='500'}": "0x120",
}
"""Figures of a system that is well, in promtool's notation: start+step x times."""

GONE = "_x120"
BROKEN: Mapping[str, Mapping[str, str]] = {
    "FlashSaleNoWorker": {"flashsale_ready{job='w',instance='a'}": GONE},
    "FlashSaleProcessGone": {"up{job='w',instance='c'}": "1x100 0x20"},
    "FlashSaleWorkerRestarts": {
        "process_start_time_seconds{job='w',instance='a'}": "100x100 200x8 300x4 400x8"
    },
    "FlashSaleTasksUnowned": {"flashsale_tasks{instance='b'}": GONE},
    "FlashSaleWorkerNotReady": {"flashsale_ready{job='w',instance='a'}": "0x120"},
    "FlashSaleKafkaSilent": {"flashsale_kafka_connected{instance='a'}": "0x120"},
    "FlashSaleIntakeStopped": {"flashsale_intake_stopped{instance='a'}": "1x120"},
    "FlashSaleTaskStandsStill": {"flashsale_task_standstills_total": "0x100 1x20"},
    "FlashSalePartitionStuck": {"flashsale_position_offset{topic='order-placed',partition='0'}": "900x120"},
    "FlashSaleLagGrows": {"flashsale_lag_records{topic='order-placed',partition='0'}": "0+200x120"},
    "FlashSaleDecisionsSlow": {"flashsale_decision_seconds_bucket{le='0.1'}": "0+1x120"}
    | {"flashsale_decision_seconds_bucket{le='5.0'}": "0+15000x120"},
    "FlashSaleDeadlineHeldUp": {"flashsale_watermark_delay_seconds": "0+15x120"},
    "FlashSaleTransactionsAborted": {"flashsale_transactions_total{result='aborted'}": "0+60x120"},
    "FlashSaleCommitsSlow": {"flashsale_commit_seconds_bucket{le='0.064'}": "0x120"}
    | {"flashsale_commit_seconds_bucket{le='2.0'}": "0+300x120"},
    "FlashSalePoisonFlood": {"flashsale_dead_letters_total{reason='INVALID'}": "0+3000x120"},
    "FlashSaleDeadLetters": {"flashsale_dead_letters_total{reason='INVALID'}": "0x90 1x30"},
    "FlashSalePromotionDoesNotClose": {
        "flashsale_notices_total{event='promotion_does_not_close'}": "0x100 1x20"
    },
    "FlashSaleDoesNotAddUp": {"flashsale_notices_total{event='promotion_closed'}": "0x100 1x20"},
    "FlashSaleHoldOverdue": {"flashsale_notices_total{event='hold_overdue'}": "0x100 1x20"},
    "FlashSaleReleasesLate": {"flashsale_release_seconds_bucket{le='2.0'}": "0x120"}
    | {"flashsale_release_seconds_bucket{le='120.0'}": "0+1x120"},
    "FlashSaleDrift": {"flashsale_drift_total{kind='MISSING_HOLD'}": "0x100 1x20"},
    "FlashSaleFluentDown": {"flashsale_fluent_breaker_open{instance='a'}": "1x120"},
    "FlashSaleFluentFails": {
        "flashsale_fluent_requests_total{operation='CreatePart',result='Unavailable'}": "0+30x120"
    },
    "FlashSaleFluentRefusesLogin": {"flashsale_fluent_logins_total{login='password refused'}": "0+1x120"},
    "FlashSaleFluentTooSlow": {"flashsale_fluent_dropped_total{why='no room'}": "0+1x120"},
    "FlashSaleBridgeNotReady": {"flashsale_bridge_ready{job='w',instance='c'}": "0x120"},
    "FlashSaleBridgeRefuses": {
        "flashsale_bridge_responses_total{route='/consume-reservation',status='503'}": "0+600x120"
    },
    "FlashSaleBridgeUnsigned": {
        "flashsale_bridge_responses_total{route='/consume-reservation',status='401'}": "0+60x120"
    },
    "FlashSaleBridgeFails": {
        "flashsale_bridge_responses_total{route='/consume-reservation',status='500'}": "0x100 1x20"
    },
}
"""What each alert watches, broken; the rest stays as it is."""


def play(figures: Mapping[str, str], firing: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """Play figures through the rules; succeeds where exactly the alerts that match `firing` do."""
    selected = f'count by (alertname) (ALERTS{{alertstate="firing",alertname=~"{firing}"}})'
    expected = [{"labels": f'{{alertname="{firing}"}}', "value": 1}] if firing in ALERTS else []
    at_the_end = {"expr": selected, "eval_time": f"{MINUTES - 1}m", "exp_samples": expected}
    test = {
        "interval": f"{EVERY_S}s",
        "input_series": [{"series": name, "values": values} for name, values in figures.items()],
        "promql_expr_test": [at_the_end],
    }
    file = directory / "test.yml"
    file.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "tests": [test]}), encoding="utf-8")
    return subprocess.run([str(PROMTOOL), "test", "rules", str(file)], capture_output=True, text=True)


@promtool
def test_the_rules_grammar_is_right() -> None:
    done = subprocess.run([str(PROMTOOL), "check", "rules", str(RULES)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@promtool
def test_nothing_fires_while_all_is_well(tmp_path: Path) -> None:
    done = play(HEALTHY, ".*", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@promtool
@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_fires_when_what_it_watches_breaks(alert: str, tmp_path: Path) -> None:
    assert play({**HEALTHY, **BROKEN[alert]}, alert, tmp_path).returncode == 0
    assert play(HEALTHY, alert, tmp_path).returncode != 0, "it fires anyway"
