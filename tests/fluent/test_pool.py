"""The pool: one request per SKU at a time, the newest counts, nobody waits for another SKU."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

from fluent import Gateway, GatewayPool
from streams.ledger.commands import HoldConfirmed, SettleConfirmed
from streams.ledger.fluent_requests import FluentRequest
from tests.fluent.conftest import NewGateway
from tests.fluent.support import Network, Requests, live
from tests.support.fluent import FluentSimulator


@pytest.fixture
async def pool(gateway: Gateway) -> AsyncIterator[GatewayPool]:
    pool = GatewayPool(gateway, check_documents=False)
    yield pool
    await pool.close()


async def test_a_newer_number_supersedes_what_is_queued_and_waits_for_what_is_in_flight(
    simulator: FluentSimulator, pool: GatewayPool, one: Requests
) -> None:
    answers: list[Any] = []
    done: list[int] = []
    hold = one.hold(100)
    settles = [one.settle(100 - units, units) for units in (10, 20, 30)]
    requests: list[FluentRequest] = [hold, *settles]
    for request in requests:
        assert pool.submit(request, answers.append, partial(done.append, request.number))
    await pool.drain()
    assert [(type(answer), answer.number) for answer in answers] == [(HoldConfirmed, 1), (SettleConfirmed, 4)]
    assert done == [2, 3, 1, 4]
    assert pool.meters.superseded == 2
    assert live(simulator, one.sku) == {f"{one.ref}-1": 70}


async def test_repeats_of_what_is_queued_or_in_flight_are_dropped(pool: GatewayPool, one: Requests) -> None:
    answers: list[Any] = []
    done: list[int] = []
    hold, settle = one.hold(100), one.settle(90, 10)
    for request in (hold, hold, settle, settle, hold):
        pool.submit(request, answers.append, partial(done.append, request.number))
    await pool.drain()
    assert [answer.number for answer in answers] == [1, 2]
    assert sorted(done) == [1, 1, 1, 2, 2]
    assert pool.meters.dropped_repeats == 3


async def test_an_old_number_is_not_done_after_a_newer_one(
    simulator: FluentSimulator, pool: GatewayPool, one: Requests
) -> None:
    """A request read again from the topic must not make the hold larger again."""
    answers: list[Any] = []
    hold, old, new = one.hold(100), one.settle(90, 10), one.settle(50, 50)
    for request in (hold, new):
        pool.submit(request, answers.append)
        await pool.drain()
    pool.submit(old, answers.append)
    pool.submit(hold, answers.append)
    await pool.drain()
    assert [answer.number for answer in answers] == [1, 3]
    assert live(simulator, one.sku) == {f"{one.ref}-1": 50}


async def test_an_answered_hold_is_answered_again_without_asking_fluent(
    pool: GatewayPool, one: Requests
) -> None:
    answers: list[Any] = []
    hold = one.hold(100)
    pool.submit(hold, answers.append)
    await pool.drain()
    calls = pool.meters.calls.total()
    pool.submit(hold, answers.append)
    await pool.drain()
    assert len(answers) == 2 and answers[0] == answers[1]
    assert pool.meters.calls.total() == calls


async def test_two_reservations_of_a_sku_are_worked_on_one_after_the_other(
    new_gateway: NewGateway, one: Requests
) -> None:
    bodies: list[bytes] = []
    pool = GatewayPool(new_gateway(transport=Network(before_call=lambda _, body: bodies.append(body))))
    other = Requests(one.sku, "FLASH-2")
    answers: list[Any] = []
    pool.submit(one.hold(60), answers.append)
    pool.submit(other.hold(60), answers.append)
    await pool.drain()
    await pool.close()
    assert [type(answer).__name__ for answer in answers] == ["HoldConfirmed", "HoldFailed"]
    of_the_first = [one.ref.encode() in body for body in bodies if b"FindParts" in body or b"Part(" in body]
    assert of_the_first == sorted(of_the_first, reverse=True)


async def test_a_full_queue_says_so_and_has_room_again(new_gateway: NewGateway) -> None:
    pool = GatewayPool(new_gateway(), max_queued=3, max_skus=1)
    answers: list[Any] = []
    holds = [Requests(f"ONE-{number}").hold(1) for number in range(540, 546)]
    taken = [pool.submit(hold, answers.append) for hold in holds]
    assert taken == [True, True, True, True, False, False]
    await asyncio.wait_for(pool.room(), 10)
    assert pool.submit(holds[4], answers.append)
    await pool.drain()
    await pool.close()
    assert len(answers) == 5
    assert pool.meters.refused_full == 2


async def test_fluent_away_is_no_answer_and_the_next_ask_recovers(
    simulator: FluentSimulator, new_gateway: NewGateway, one: Requests
) -> None:
    simulator.control(failing=503)
    pool = GatewayPool(new_gateway(max_retries=1, budget_s=2.0))
    answers: list[Any] = []
    done: list[bool] = []
    hold = one.hold(100)
    pool.submit(hold, answers.append, lambda: done.append(True))
    await pool.drain()
    assert (answers, done) == ([], [True])
    simulator.control(failing=0)
    pool.submit(hold, answers.append)
    await pool.drain()
    await pool.close()
    assert answers == [HoldConfirmed(one.promotion, one.sku, 1, 100)]


async def test_a_queue_that_is_dropped_is_not_worked_on(new_gateway: NewGateway) -> None:
    pool = GatewayPool(new_gateway(), max_skus=1)
    answers: list[Any] = []
    done: list[bool] = []
    for number in range(546, 550):
        pool.submit(Requests(f"ONE-{number}").hold(1), answers.append, lambda: done.append(True))
    pool.forget()
    await pool.drain()
    await pool.close()
    assert (len(answers), len(done)) == (1, 4)


async def test_documents_that_do_not_fit_are_warned_of_with_the_first_request(
    new_gateway: NewGateway, one: Requests
) -> None:
    gateway = new_gateway()
    mapped = gateway.profile.operations["catalogue"]
    mapped.operation.text = mapped.operation.text.replace("status", "colour")
    pool = GatewayPool(gateway)
    answers: list[Any] = []
    pool.submit(one.hold(1), answers.append)
    await pool.close(60)
    assert isinstance(answers[0], HoldConfirmed), "a warning, not a stop"
    assert pool.meters.document_misfits == 1
