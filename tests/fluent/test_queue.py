"""The queue: one request per SKU at a time, the newest counts, nobody waits for another SKU."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

from fluent import Gateway, RequestQueue
from streams.ledger.commands import HoldConfirmed, SettleConfirmed
from streams.ledger.fluent_requests import FluentRequest
from tests.fluent.conftest import NewGateway
from tests.fluent.support import Network, Requests, live
from tests.support.fluent import FluentSimulator


@pytest.fixture
async def queue(gateway: Gateway) -> AsyncIterator[RequestQueue]:
    queue = RequestQueue(gateway, check_documents=False)
    yield queue
    await queue.close()


async def test_a_newer_number_supersedes_what_is_queued_and_waits_for_what_is_in_flight(
    simulator: FluentSimulator, queue: RequestQueue, one: Requests
) -> None:
    answers: list[Any] = []
    done: list[int] = []
    hold = one.hold(100)
    settles = [one.settle(100 - units, units) for units in (10, 20, 30)]
    requests: list[FluentRequest] = [hold, *settles]
    for request in requests:
        assert queue.submit(request, answers.append, partial(done.append, request.number))
    await queue.drain()
    assert [(type(answer), answer.number) for answer in answers] == [(HoldConfirmed, 1), (SettleConfirmed, 4)]
    assert done == [2, 3, 1, 4]
    assert queue.meters.superseded == 2
    assert live(simulator, one.sku) == {f"{one.ref}-1": 70}


async def test_repeats_of_what_is_queued_or_in_flight_are_dropped(queue: RequestQueue, one: Requests) -> None:
    answers: list[Any] = []
    done: list[int] = []
    hold, settle = one.hold(100), one.settle(90, 10)
    for request in (hold, hold, settle, settle, hold):
        queue.submit(request, answers.append, partial(done.append, request.number))
    await queue.drain()
    assert [answer.number for answer in answers] == [1, 2]
    assert sorted(done) == [1, 1, 1, 2, 2]
    assert queue.meters.dropped_repeats == 3


async def test_an_old_number_is_not_done_after_a_newer_one(
    simulator: FluentSimulator, queue: RequestQueue, one: Requests
) -> None:
    """A request read again from the topic must not make the hold larger again."""
    answers: list[Any] = []
    hold, old, new = one.hold(100), one.settle(90, 10), one.settle(50, 50)
    for request in (hold, new):
        queue.submit(request, answers.append)
        await queue.drain()
    queue.submit(old, answers.append)
    queue.submit(hold, answers.append)
    await queue.drain()
    assert [answer.number for answer in answers] == [1, 3]
    assert live(simulator, one.sku) == {f"{one.ref}-1": 50}


async def test_an_answered_hold_is_answered_again_without_asking_fluent(
    queue: RequestQueue, one: Requests
) -> None:
    answers: list[Any] = []
    hold = one.hold(100)
    queue.submit(hold, answers.append)
    await queue.drain()
    calls = queue.meters.calls.total()
    queue.submit(hold, answers.append)
    await queue.drain()
    assert len(answers) == 2 and answers[0] == answers[1]
    assert queue.meters.calls.total() == calls


async def test_two_reservations_of_a_sku_are_worked_on_one_after_the_other(
    new_gateway: NewGateway, one: Requests
) -> None:
    bodies: list[bytes] = []
    queue = RequestQueue(new_gateway(transport=Network(before_call=lambda _, body: bodies.append(body))))
    other = Requests(one.sku, "FLASH-2")
    answers: list[Any] = []
    queue.submit(one.hold(60), answers.append)
    queue.submit(other.hold(60), answers.append)
    await queue.drain()
    await queue.close()
    assert [type(answer).__name__ for answer in answers] == ["HoldConfirmed", "HoldFailed"]
    of_the_first = [one.ref.encode() in body for body in bodies if b"FindParts" in body or b"Part(" in body]
    assert of_the_first == sorted(of_the_first, reverse=True)


async def test_a_full_queue_says_so_and_has_room_again(new_gateway: NewGateway) -> None:
    queue = RequestQueue(new_gateway(), max_queued=3, max_skus=1)
    answers: list[Any] = []
    answered = asyncio.Event()

    def note(answer: Any) -> None:
        answers.append(answer)
        answered.set()

    holds = [Requests(f"ONE-{number}").hold(1) for number in range(540, 546)]
    taken = [queue.submit(hold, note) for hold in holds]
    assert taken == [True, True, True, True, False, False]
    await asyncio.wait_for(answered.wait(), 10)
    assert queue.submit(holds[4], note)
    await queue.drain()
    await queue.close()
    assert len(answers) == 5
    assert queue.meters.refused_full == 2


async def test_fluent_away_is_no_answer_and_the_next_ask_recovers(
    simulator: FluentSimulator, new_gateway: NewGateway, one: Requests
) -> None:
    simulator.control(failing=503)
    queue = RequestQueue(new_gateway(max_retries=1, budget_s=2.0))
    answers: list[Any] = []
    done: list[bool] = []
    hold = one.hold(100)
    queue.submit(hold, answers.append, lambda: done.append(True))
    await queue.drain()
    assert (answers, done) == ([], [True])
    simulator.control(failing=0)
    queue.submit(hold, answers.append)
    await queue.drain()
    await queue.close()
    assert answers == [HoldConfirmed(one.promotion, one.sku, 1, 100)]


async def test_a_queue_that_is_dropped_is_not_worked_on(new_gateway: NewGateway) -> None:
    queue = RequestQueue(new_gateway(), max_skus=1)
    answers: list[Any] = []
    done: list[bool] = []
    for number in range(546, 550):
        queue.submit(Requests(f"ONE-{number}").hold(1), answers.append, lambda: done.append(True))
    queue.forget()
    await queue.drain()
    await queue.close()
    assert (len(answers), len(done)) == (1, 4)


async def test_documents_that_do_not_fit_are_warned_of_with_the_first_request(
    new_gateway: NewGateway, one: Requests
) -> None:
    gateway = new_gateway()
    mapped = gateway.profile.operations["catalogue"]
    mapped.operation.text = mapped.operation.text.replace("status", "colour")
    queue = RequestQueue(gateway)
    answers: list[Any] = []
    queue.submit(one.hold(1), answers.append)
    await queue.close(60)
    assert isinstance(answers[0], HoldConfirmed), "a warning, not a stop"
    assert queue.meters.document_misfits == 1
