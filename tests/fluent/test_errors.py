"""What Fluent and the network say, and what we make of it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fluent.errors import (
    SPECIAL,
    WAITS_S,
    Duplicate,
    FluentError,
    NotFound,
    NotUnderstood,
    RateLimited,
    Refused,
    ServerFailed,
    TooComplex,
    error_from,
)
from streams.ledger.commands import HoldConfirmed, SettleConfirmed
from tests.fluent.conftest import LIKE_CODES, NewGateway
from tests.fluent.support import Network, Requests, live
from tests.support.fluent import FluentSimulator

GUIDE = (Path(__file__).parents[2] / "docs" / "fluent.md").read_text()
MEANINGS: dict[str, type[FluentError]] = {
    "slows down": RateLimited,
    "tries again": ServerFailed,
    "halves the batch": TooComplex,
    "the part exists": Duplicate,
    "reads again": NotFound,
    "gives up": Refused,
}
"""How a row of the guide's table begins, and the error that makes the gateway do so."""

CODE = re.compile(r"\b[CST](?:\d{4}|\d{3}x|…)(?: to (S\d{4}))?|\((\d+) s\)")


def documented() -> Iterator[tuple[str, type[FluentError], float]]:
    """Each code of the guide's table of errors, its meaning, and how long Fluent's SDK waits after it."""
    for said, done in re.findall(r"^\| (.+) \| (.+) \|$", GUIDE, re.MULTILINE):
        kind = next((kind for words, kind in MEANINGS.items() if done.startswith(words)), None)
        if kind is None:
            continue
        codes: list[str] = []
        for found in CODE.finditer(said):
            if found[2]:
                yield from ((code, kind, float(found[2])) for code in codes)
                codes = []
            else:
                first = found[0].split()[0].replace("x", "5").replace("…", "0001")
                codes += [first, found[1]] if found[1] else [first]
        yield from ((code, kind, 0.0) for code in codes)


CODES = list(documented())


def test_the_guide_names_every_code_that_is_told_apart() -> None:
    assert {code for code, _, _ in CODES} >= SPECIAL.keys() | WAITS_S.keys()


@pytest.mark.parametrize(("code", "kind", "wait_s"), [*CODES, ("C9999", NotUnderstood, 0)])
def test_a_code_means_what_the_guide_says_in_the_extensions_and_in_the_message(
    code: str, kind: type[FluentError], wait_s: float
) -> None:
    for given in ({"message": "no", "extensions": {"code": f"{code}E"}}, {"message": f"{code}E: no"}):
        error = error_from([given])
        assert isinstance(error, kind)
        assert (error.wait_s, error.code) == (wait_s, code)


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
    hold = one.hold(1, b'{"note":"%s"}' % (b"x" * 1_000))
    await new_gateway().handle(hold)
    gateway = new_gateway(max_response_bytes=1_000, max_retries=0)
    assert await gateway.handle(hold) is None
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


@pytest.mark.parametrize("sku", LIKE_CODES)
@pytest.mark.parametrize("whole", [False, True])
async def test_a_sku_that_is_named_like_a_code_is_not_taken_for_one(
    new_gateway: NewGateway, sku: str, whole: bool
) -> None:
    """Seen: "S0012:LOC-1 is locked" was a permanent failure, and the hold was refused for good."""
    said: dict[str, Any] = {"message": f"Exception while fetching data: {sku}:LOC-1:DEFAULT is locked"}
    errors = [said if whole else said | {"path": ["c0_part"]}]
    busy = [httpx.Response(200, json={"data": {"c0_part": None}, "errors": errors})]
    network = Network(
        instead=lambda request: busy.pop() if busy and b"CreatePart" in request.content else None
    )
    gateway = new_gateway(transport=network)
    one = Requests(sku, f"NAMED-{whole}")
    assert await gateway.handle(one.hold(10)) == HoldConfirmed(one.promotion, sku, 1, 10)
    assert gateway.meters.calls["CreatePart", "NotUnderstood"] == 1 and gateway.client.gate.share == 1.0


def test_a_code_is_found_behind_a_sku_that_is_named_like_one() -> None:
    found = error_from([{"message": "position of S0012: C0121E, there is one"}], '{"sku":"S0012"}')
    assert isinstance(found, Duplicate)
