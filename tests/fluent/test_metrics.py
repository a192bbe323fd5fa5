"""Everything that the gateway counts can be scraped."""

from __future__ import annotations

from dataclasses import fields

from prometheus_client import CollectorRegistry, generate_latest

from flashsale.worker.metrics import FluentCollector
from fluent import Meters, RequestQueue
from tests.fluent.conftest import NewGateway
from tests.fluent.support import Requests

GAUGES_OF_ANOTHER_NAME = {"skus_in_flight", "requests_queued", "breaker"}
"""The first two are `flashsale_fluent_outstanding`, the last is `flashsale_fluent_breaker_open`."""


async def test_a_hold_shows_in_what_is_scraped(new_gateway: NewGateway, one: Requests) -> None:
    queue = RequestQueue(new_gateway(), check_documents=False)
    registry = CollectorRegistry()
    registry.register(FluentCollector(queue.meters))
    hold = one.hold(10)
    for _ in range(2):
        queue.submit(hold, lambda _: None)
    await queue.drain()
    await queue.close()
    scraped = generate_latest(registry).decode()
    for line in (
        'flashsale_fluent_requests_total{operation="CreatePart",result="ok"} 1.0',
        'flashsale_fluent_calls_total{operation="CreatePart",result="ok"} 1.0',
        'flashsale_fluent_answers_total{answer="HoldConfirmed",request="HoldRequest"} 1.0',
        'flashsale_fluent_logins_total{login="password ok"} 1.0',
        'flashsale_fluent_dropped_total{why="repeated"} 1.0',
        "flashsale_fluent_breaker_open 0.0",
    ):
        assert line in scraped


def test_every_meter_is_scraped() -> None:
    scraped = " ".join(family.name for family in FluentCollector(Meters()).collect())
    meters = {field.name for field in fields(Meters)} - GAUGES_OF_ANOTHER_NAME
    assert {name for name in meters if name.removeprefix("http_") not in scraped} == set()
