"""Pages of verifies in the gateway's queue: nothing has to wait for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import count
from typing import Any

import pytest

from fluent import Gateway, RequestQueue
from streams.ledger.commands import PageVerified
from streams.ledger.fluent_requests import ALONE, FluentRequest, VerifyPage
from tests.fluent.conftest import NewGateway
from tests.fluent.pages import PAGE, ROUND, held, page
from tests.fluent.support import Requests
from tests.support.fluent import FluentSimulator


@pytest.fixture
def some(own_numbers: Iterator[int]) -> list[Requests]:
    """Requests for SKUs with 60 units at LOC-1 and 60 at LOC-2."""
    return [Requests(f"PAGE-{next(own_numbers):03d}") for _ in range(6)]


@pytest.fixture(scope="module")
def own_numbers() -> Iterator[int]:
    """Of the SKUs that only these tests use."""
    return count(400)


@pytest.fixture
async def queue(gateway: Gateway) -> AsyncIterator[RequestQueue]:
    queue = RequestQueue(gateway, check_documents=False)
    yield queue
    await queue.close()


async def test_a_page_under_way_holds_up_no_request_of_its_skus(
    simulator: FluentSimulator, queue: RequestQueue, some: list[Requests]
) -> None:
    lines = await held(queue.gateway, some)
    simulator.control(hang_ms=1_500)
    simulator.next("timeoutBefore", match="Holds", contains=some[0].ref)
    answers: list[Any] = []
    queue.submit(page(lines), answers.append)
    queue.submit(some[0].settle(60, 40), answers.append)
    queue.submit(some[1].release(), answers.append)
    async with asyncio.timeout(1.2):
        while len(answers) < 2:
            await asyncio.sleep(0.01)
    assert {type(answer).__name__ for answer in answers} == {"SettleConfirmed", "ReleaseConfirmed"}


async def test_a_page_goes_after_everything_that_waits(new_gateway: NewGateway, some: list[Requests]) -> None:
    queue = RequestQueue(new_gateway(), max_skus=1, check_documents=False)
    lines = await held(queue.gateway, some)
    answers: list[Any] = []
    requests: list[FluentRequest] = [some[0].settle(90, 10), some[1].release(), some[2].verify(100)]
    for request in (Requests("PAGE-000").hold(1), page(lines), *requests):
        queue.submit(request, answers.append)
    await queue.drain()
    await queue.close()
    assert [type(answer).__name__ for answer in answers] == [
        "HoldConfirmed", "ReleaseConfirmed", "SettleConfirmed", "Verified", "PageVerified",
    ]  # fmt: skip


async def test_pages_leave_room_for_what_the_ledger_waits_for(
    new_gateway: NewGateway, some: list[Requests]
) -> None:
    """Seen: where all holds differed, the looks at each filled the queue, and settles were refused."""
    queue = RequestQueue(new_gateway(), max_queued=4, max_skus=1, check_documents=False)
    alone = [VerifyPage(ROUND, ALONE, [line]) for line in await held(queue.gateway, some)]
    assert [queue.submit(each, lambda _: None) for each in alone[:4]] == [True, True, True, False]
    assert [queue.submit(each.settle(90, 10), lambda _: None) for each in some[:3]] == [True, True, False]
    await queue.drain()
    await queue.close()


async def test_a_line_of_which_something_newer_is_asked_says_nothing(
    queue: RequestQueue, some: list[Requests]
) -> None:
    """Not to the ledger, which would not believe it, and not in the log."""
    lines = await held(queue.gateway, some)
    answers: list[Any] = []
    queue.submit(some[0].settle(60, 40), answers.append)
    await queue.drain()
    queue.submit(page(lines), answers.append)
    await queue.drain()
    assert [type(answer).__name__ for answer in answers] == ["SettleConfirmed", "PageVerified"]


async def test_a_page_of_the_next_round_takes_the_place_of_the_one_that_waits(
    new_gateway: NewGateway, some: list[Requests]
) -> None:
    queue = RequestQueue(new_gateway(), max_skus=1, check_documents=False)
    lines = await held(queue.gateway, some)
    answers: list[Any] = []
    for request in (Requests("PAGE-001").hold(1), page(lines), VerifyPage(ROUND + 1, PAGE, lines)):
        queue.submit(request, answers.append)
    await queue.drain()
    await queue.close()
    assert answers[1:] == [PageVerified(ROUND + 1, PAGE)]
