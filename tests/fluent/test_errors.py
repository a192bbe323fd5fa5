"""What Fluent and the network say, and what we make of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fluent.client.codes import error_from
from fluent.errors import (
    Duplicate,
    FluentError,
    NotFound,
    NotPermitted,
    NotUnderstood,
    RateLimited,
    Refused,
    ServerFailed,
    TooComplex,
)
from streams.ledger.commands import HoldConfirmed, SettleConfirmed
from tests.fluent.conftest import NewGateway
from tests.fluent.support import Requests, live
from tests.support.fluent import FluentSimulator

CODES: list[tuple[str, type[FluentError], float]] = [
    ("C0001E", TooComplex, 0),
    ("C0003E", ServerFailed, 60),
    ("C0011E", RateLimited, 0),
    ("C0020E", NotPermitted, 0),
    ("C0120E", NotFound, 0),
    ("C0121E", Duplicate, 0),
    ("C0123W", Duplicate, 0),
    ("C0122E", Refused, 0),
    ("C0140E", Refused, 0),
    ("C0165E", Refused, 0),
    ("S0001E", Refused, 0),
    ("S0019E", Refused, 0),
    ("S0030E", Refused, 0),
    ("S0002E", ServerFailed, 30),
    ("S0020E", ServerFailed, 30),
    ("S0040E", ServerFailed, 10),
    ("S0055E", ServerFailed, 0),
    ("T0001E", ServerFailed, 30),
    ("C9999E", NotUnderstood, 0),
]


@pytest.mark.parametrize(("code", "kind", "wait_s"), CODES)
def test_a_code_means_the_same_in_the_extensions_and_in_the_message(
    code: str, kind: type[FluentError], wait_s: float
) -> None:
    for given in ({"message": "no", "extensions": {"code": code}}, {"message": f"{code}: no"}):
        error = error_from([given])
        assert (type(error), error.wait_s, error.code) == (kind, wait_s, code[:5])


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"message": "Cannot query field", "extensions": {"classification": "ValidationError"}}, Refused),
        ({"message": "what?"}, NotUnderstood),
        ({}, NotUnderstood),
        ({"message": None, "extensions": None}, NotUnderstood),
        ({"message": "x", "extensions": {"code": 7}}, NotUnderstood),
    ],
)
def test_an_error_without_a_code_is_taken_as_it_is_meant(
    given: dict[str, Any], kind: type[FluentError]
) -> None:
    assert type(error_from([given])) is kind


@pytest.mark.parametrize(
    "fault",
    [
        "errorBefore", "errorAfter", "closeBefore", "closeAfter", "truncated", "garbage", "staleRead",
        "tooManyRequests", "refused", "timeoutBefore", "timeoutAfter", "slowDrip", "late",
    ],
)  # fmt: skip
@pytest.mark.parametrize("operation", ["FindParts", "CreatePart", "ResizePart"])
async def test_one_fault_of_any_kind_changes_no_result(
    simulator: FluentSimulator, new_gateway: NewGateway, two: Requests, fault: str, operation: str
) -> None:
    simulator.control(late_ms=300, retry_after_seconds=0, drip_ms=100, stale_ms=200)
    gateway = new_gateway(call_timeout_s=0.5, max_retries=4, read_back_pause_s=0.3)
    await gateway.client.log_in()
    simulator.next(fault, match=operation, contains=two.ref)
    assert await gateway.handle(two.hold(100)) == HoldConfirmed(two.promotion, two.sku, 1, 100)
    assert await gateway.handle(two.settle(30, 70)) == SettleConfirmed(two.promotion, two.sku, 2, 30)
    simulator.forget_next()
    assert live(simulator, two.sku) == {f"{two.ref}-1": 0, f"{two.ref}-2": 30}


async def test_an_answer_that_is_too_large_is_not_read(new_gateway: NewGateway, one: Requests) -> None:
    gateway = new_gateway(max_response_bytes=20, max_retries=0)
    assert await gateway.handle(one.hold(1)) is None
    assert gateway.meters.http_requests == {("FindParts", "UnreadableAnswer"): 1}


async def test_a_batch_that_is_too_complex_is_halved_until_it_passes(
    simulator: FluentSimulator, new_gateway: NewGateway, one: Requests
) -> None:
    gateway = new_gateway(requests_per_second=20.0, max_in_flight=1)
    operation = gateway.profile.operations["positions"].operation
    operation.batch = 250
    variables = {"sku": one.sku, "catalogue": {"ref": "DEFAULT:1"}, "first": 50, "after": None}
    answers = await asyncio.gather(*(gateway.client.call(operation, variables) for _ in range(240)))
    assert len(answers) == 240
    assert gateway.meters.http_requests["Positions", "TooComplex"] >= 1
    assert gateway.meters.http_requests["Positions", "ok"] < 10


async def test_fluent_that_cannot_be_reached_is_no_answer(new_gateway: NewGateway, one: Requests) -> None:
    gateway = new_gateway(base_url="http://127.0.0.1:9", max_retries=0)
    assert await gateway.handle(one.hold(1)) is None
    assert gateway.meters.logins == {"password ConnectError": 1}
