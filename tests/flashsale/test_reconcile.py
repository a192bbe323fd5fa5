"""`flashsale reconcile`: what differs, the writes that would repair it, and the repair."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from fluent import Gateway
from schemas.topics import FLUENT_REQUESTS, RECONCILIATION_REPORTS
from streams.kafka import client_config
from streams.ledger.fluent_requests import FluentRequest, encode_request
from streams.settings import load_settings
from tests.flashsale.command import TIMEOUT_S, Done, InProcess
from tests.fluent.reconcile_support import Told
from tests.fluent.support import Requests, live, options_for
from tests.support.fluent import FluentSimulator, hold_ref
from tests.support.system import wait_until

PROMOTION = "FLASH-DRIFT"
SKUS = ("FINE", "MISSING", "ORPHAN", "WRONG", "LATE", "TWICE", "FOREIGN")
MARKED = [{"name": "promotion_id", "type": "STRING", "value": PROMOTION}]
DRIFT = {
    "MISSING": ("MISSING_HOLD", "-50"),
    "ORPHAN": ("ORPHAN_HOLD", "+7"),
    "WRONG": ("WRONG_QUANTITY", "-20"),
    "LATE": ("LATE_ACTIVATION", "+50"),
    "TWICE": ("DUPLICATE", "+9"),
    "FOREIGN": ("FOREIGN_CHANGE", "+15"),
}
LEFT = {"FINE": 50, "MISSING": 50, "ORPHAN": 0, "WRONG": 50, "LATE": 0, "TWICE": 50, "FOREIGN": 50}
CLOSED = ("ORPHAN", "LATE")


@pytest.fixture(scope="module")
def fluent() -> Iterator[FluentSimulator]:
    with FluentSimulator({sku: {"LOC-1": 100} for sku in SKUS}) as simulator:
        yield simulator


@pytest.fixture
def reconciling(called_with_topics: InProcess, fluent: FluentSimulator, tmp_path: Path) -> InProcess:
    """`flashsale` with topics and a Fluent."""
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"fluentTimeoutSeconds": 1, "fluentRequestsPerSecond": 500}))
    more = {**fluent.environment(), "RESERVATION_CONFIG": str(config)}
    return replace(called_with_topics, environment={**called_with_topics.environment, **more})


def write(flashsale: InProcess, told: Told) -> None:
    """What the ledger writes: its requests, and a report."""
    settings = load_settings(flashsale.environment)
    producer = Producer(client_config(settings))
    for request in told.requests:
        producer.produce(settings.prefixed(FLUENT_REQUESTS), encode_request(request), request.sku)
    page = json.dumps(told.page()).encode()
    producer.produce(settings.prefixed(RECONCILIATION_REPORTS), page, told.promotion)
    assert producer.flush(TIMEOUT_S) == 0


async def drifted(fluent: FluentSimulator) -> Told:
    """Holds of 50 units for each SKU, one of them never made and two ended; then each kind of drift."""
    told = Told(PROMOTION)
    async with Gateway(options_for(fluent)) as gateway:
        for sku in SKUS:
            requests = Requests(sku, PROMOTION)
            if sku == "MISSING":
                told.requests.append(requests.hold(50))
            else:
                await told.hold(gateway, requests.hold(50))
            await _ended(gateway, told, requests) if sku in CLOSED else told.line(sku, 50, 50)
    _drift(fluent)
    return told


async def _ended(gateway: Gateway, told: Told, requests: Requests) -> None:
    release: list[FluentRequest] = [requests.release(), requests.verify(closed=True)]
    for request in release:
        await told.hold(gateway, request)
    told.line(requests.sku, 50, 0, "INACTIVE", released=50)


def _drift(fluent: FluentSimulator) -> None:
    more: dict[str, Any] = {"location": "LOC-1", "type": "SOFT_RESERVE", "attributes": MARKED}
    fluent.quantity("OLD-1", sku="ORPHAN", quantity=-7, **more)
    fluent.quantity(hold_ref(PROMOTION, "WRONG"), quantity=-30)
    fluent.quantity(hold_ref(PROMOTION, "LATE"), status="ACTIVE")
    fluent.quantity(hold_ref(PROMOTION, "TWICE", 2), sku="TWICE", quantity=-9, **more)
    fluent.quantity(hold_ref(PROMOTION, "FOREIGN"), quantity=-65)


def shown(done: Done) -> dict[str, tuple[str, str]]:
    """SKU → (kind, drift) of the rows of the table that have a kind."""
    rows = [line.split() for line in done.lines[1:]]
    return {row[0]: (row[5], row[4]) for row in rows if len(row) > 5 and row[0] in SKUS}


def settled(fluent: FluentSimulator) -> bool:
    """Whether the workflow has activated everything that was created."""
    return all(hold["status"] != "CREATED" for sku in fluent.truth().values() for hold in sku["holds"])


def test_every_kind_is_shown_repaired_and_gone(reconciling: InProcess, fluent: FluentSimulator) -> None:
    write(reconciling, asyncio.run(drifted(fluent)))
    wait_until(lambda: settled(fluent), "every hold that was created is active")
    before = fluent.truth()

    dry = reconciling("reconcile", PROMOTION, "--repair")
    assert (dry.status, dry.err) == (1, "")
    assert shown(dry) == DRIFT
    assert dry.lines[-1] == "1 of 7 SKUs agree, 6 differ."
    writes = [line.split(" ", 5) for line in dry.lines if ": mutation " in line]
    assert len(writes) == 6, "one write puts each of them right"
    assert fluent.truth() == before

    sent = reconciling("reconcile", PROMOTION, "--repair", "--yes", "--json")
    assert (sent.status, sent.err) == (0, "")
    answer = json.loads(sent.out)
    assert (answer["applied"], answer["drifting"], answer["problems"]) == (True, 0, [])
    assert [each["operation"] for each in answer["mutations"]] == [line[4] for line in writes]
    assert {sku: sum(live(fluent, sku).values()) for sku in SKUS} == LEFT

    changes = fluent.journal()["last"]
    again = reconciling("reconcile", PROMOTION, "--repair", "--yes")
    assert (again.status, shown(again)) == (0, {})
    assert again.lines[-1] == "7 of 7 SKUs agree, 0 differ."
    assert fluent.journal()["last"] == changes


def test_what_the_ledger_is_just_changing_is_not_called_drift(reconciling: InProcess) -> None:
    told = Told("FLASH-MOVING", "PENDING")
    releasing, asking = Requests("FINE", told.promotion), Requests("WRONG", told.promotion)
    told.requests = [releasing.hold(50), releasing.release(), asking.hold(20)]
    told.line("FINE", 50, 50)
    told.line("WRONG", 0, 0, "NONE")
    write(reconciling, told)
    done = reconciling("reconcile", told.promotion)
    assert done.status == 0
    assert done.lines[-1] == "0 of 2 SKUs agree, 0 differ, 2 are changing just now."
    assert "being released" in done.out and "not confirmed yet" in done.out


def test_an_unknown_promotion_is_one_sentence(called_with_topics: InProcess, fluent: FluentSimulator) -> None:
    done = called_with_topics("reconcile", "NOBODY", **fluent.environment())
    assert done.refused("There is no report of NOBODY")


def test_yes_without_repair_is_bad_usage(nowhere: InProcess) -> None:
    assert nowhere("reconcile", PROMOTION, "--yes").refused("--yes", "--repair")


def test_a_login_that_is_not_set_is_one_sentence(called_with_topics: InProcess) -> None:
    assert called_with_topics("reconcile", PROMOTION).refused("FLUENT_BASE_URL")


def test_a_fluent_that_is_away_is_one_sentence(reconciling: InProcess, tmp_path: Path) -> None:
    told = Told("FLASH-AWAY")
    told.line("FINE", 50, 50)
    write(reconciling, told)
    (tmp_path / "config.json").write_text('{"maxRetries": 0}')
    done = reconciling("reconcile", "FLASH-AWAY", FLUENT_BASE_URL="http://127.0.0.1:9")
    assert (done.status, done.out) == (2, "")
    assert "Fluent does not tell what it holds" in done.err and "flashsale check" in done.err
