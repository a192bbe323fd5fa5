"""The queue: one request per SKU at a time, the newest counts, nobody waits for another SKU."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import msgspec
import pytest

from fluent import Gateway, RequestQueue
from streams.ledger.commands import HoldConfirmed, HoldFailed, SettleConfirmed
from streams.ledger.fluent_requests import FluentRequest, HoldRequest
from streams.system import now_ms
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
    assert queue.meters.dropped["superseded"] == 2
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
    assert queue.meters.dropped["repeated"] == 3


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
    assert queue.meters.dropped["no room"] == 2


async def test_a_release_always_finds_room_and_goes_before_everything_that_waits(
    new_gateway: NewGateway,
) -> None:
    queue = RequestQueue(new_gateway(), max_queued=3, max_skus=1, check_documents=False)
    answers: list[Any] = []
    first, *others = (Requests(f"ONE-{number}") for number in range(550, 555))
    waiting: list[FluentRequest] = [others[0].verify(0), others[1].settle(0, 0), others[2].hold(1)]
    for request in (first.hold(1), *waiting):
        assert queue.submit(request, answers.append)
    assert not queue.submit(others[3].hold(1), answers.append)
    assert queue.submit(others[3].release(), answers.append)
    await queue.drain()
    await queue.close()
    assert [type(answer).__name__ for answer in answers] == [
        "HoldConfirmed", "ReleaseConfirmed", "HoldConfirmed", "SettleConfirmed", "Verified",
    ]  # fmt: skip


def expiring_in(seconds: float, request: HoldRequest) -> HoldRequest:
    return msgspec.structs.replace(request, expires_at_ms=int((time.time() + seconds) * 1_000))


@pytest.mark.parametrize("profile", ["inventory-quantity", "template"])
@pytest.mark.parametrize("expires_in_s", [-1.0, 1.0])
async def test_a_hold_waits_for_the_units_of_a_promotion_that_is_about_to_end(
    simulator: FluentSimulator, new_gateway: NewGateway, one: Requests, expires_in_s: float, profile: str
) -> None:
    """The next sale right behind: its start is asked for before the units of the last one are back."""
    queue = RequestQueue(new_gateway(profile=profile), check_documents=False)
    answers: list[Any] = []
    queue.submit(expiring_in(expires_in_s, one.hold(100)), answers.append)
    await queue.drain()
    following = Requests(one.sku, "FLASH-2")
    queue.submit(following.hold(100), answers.append)
    await asyncio.sleep(1.5)
    assert len(answers) == 1, "it waits"
    queue.submit(one.release(), answers.append)
    await queue.drain()
    await queue.close()
    assert [type(answer).__name__ for answer in answers] == [
        "HoldConfirmed", "ReleaseConfirmed", "HoldConfirmed",
    ]  # fmt: skip
    assert list(live(simulator, one.sku).values()) == [100]


@pytest.mark.parametrize(
    ("expires_in_s", "brokers_ahead_s", "waits_s"),
    [(3_600.0, 0, 0.0), (-3_600.0, 0, 0.0), (4.0, 0, 6.0), (3_604.0, 3_600, 6.0), (4.0, 3_600, 0.0)],
)
async def test_a_hold_waits_no_longer_than_its_time_out_and_only_for_what_is_about_to_end_by_the_brokers_time(
    new_gateway: NewGateway, one: Requests, expires_in_s: float, brokers_ahead_s: int, waits_s: float
) -> None:
    gateway = new_gateway(hold_timeout_s=6.0, now_ms=lambda: now_ms() + brokers_ahead_s * 1_000)
    queue = RequestQueue(gateway, check_documents=False)
    answers: list[Any] = []
    queue.submit(expiring_in(expires_in_s, one.hold(100)), answers.append)
    await queue.drain()
    began = time.monotonic()
    queue.submit(Requests(one.sku, "FLASH-2").hold(100), answers.append)
    await queue.drain()
    await queue.close()
    assert waits_s <= time.monotonic() - began < waits_s + 5
    assert isinstance(answers[1], HoldFailed) and answers[1].reason == "INSUFFICIENT_INVENTORY"


async def test_a_hold_that_waits_gives_way_to_a_newer_request_and_to_a_rebalance(
    new_gateway: NewGateway, one: Requests
) -> None:
    queue = RequestQueue(new_gateway(), check_documents=False)
    answers: list[Any] = []
    done: list[int] = []
    queue.submit(expiring_in(1.0, one.hold(100)), answers.append)
    await queue.drain()
    following = Requests(one.sku, "FLASH-2")
    hold = following.hold(100)
    requests: list[FluentRequest] = [hold, following.release(), following.hold(100)]
    for request in requests:
        queue.submit(request, answers.append, partial(done.append, request.number))
        await asyncio.sleep(0.4)
    assert queue.submit(hold, answers.append, partial(done.append, 0)), "a repeat is dropped"
    assert done == [1, 2, 0]
    queue.forget()
    await asyncio.wait_for(queue.drain(), 1)
    await queue.close()
    assert done == [1, 2, 0, 3] and queue.meters.requests_queued == 0


async def test_an_old_number_is_not_done_after_a_newer_one_that_has_no_answer(
    simulator: FluentSimulator, new_gateway: NewGateway, one: Requests
) -> None:
    """The newer settle may have been carried out: only its answer is missing."""
    queue = RequestQueue(new_gateway(max_retries=0), check_documents=False)
    answers: list[Any] = []
    queue.submit(one.hold(100), answers.append)
    await queue.drain()
    old, new = one.settle(90, 10), one.settle(50, 50)
    simulator.next("closeAfter", match="ResizePart", contains=one.ref)
    queue.submit(new, answers.append)
    await queue.drain()
    queue.submit(old, answers.append)
    await queue.drain()
    await queue.close()
    assert len(answers) == 1 and live(simulator, one.sku) == {f"{one.ref}-1": 50}


async def test_an_answer_that_cannot_be_sent_holds_up_nobody(new_gateway: NewGateway, one: Requests) -> None:
    queue = RequestQueue(new_gateway(), check_documents=False)
    done: list[int] = []

    def fails(_: object) -> None:
        raise BufferError("the producer's queue is full")

    hold = one.hold(10)
    queue.submit(hold, fails, partial(done.append, 1))
    queue.submit(Requests(one.sku, "FLASH-2").hold(10), fails, partial(done.append, 2))
    await queue.drain()
    assert queue.submit(hold, fails, partial(done.append, 3)), "nor does a repeat of its answer"
    await queue.close()
    assert done == [1, 2, 3] and queue.meters.skus_in_flight == 0


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
