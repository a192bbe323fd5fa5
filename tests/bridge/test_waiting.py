"""`Prefer: wait=N`: callers get the decision of their own event, whoever else asks."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import httpx
import pytest

import bridge.waiting
from bridge.records import Arrival, Source
from bridge.waiting import MAX_WAIT_S, Wait, Waiters, wait_of
from tests.bridge.decisions import Decider, Record, dead_letter, outcome, report, results
from tests.bridge.process import BridgeProcess, Caller, placed, started
from tests.support.system import wait_until

CONSUME = "/consume-reservation"


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


@pytest.mark.parametrize(
    ("prefer", "default_s", "wait"),
    [
        ([], 0, Wait(0)),
        ([], 5, Wait(5)),
        (["wait=7"], 5, Wait(7, "wait=7")),
        (["return=minimal, Wait = 7"], 0, Wait(7, "wait=7")),
        (['handling=strict, wait="7"; note'], 0, Wait(7, "wait=7")),
        (["wait=3, wait=9"], 0, Wait(3, "wait=3")),
        (["return=minimal", "wait=4"], 0, Wait(4, "wait=4")),
        (["wait=3600"], 0, Wait(MAX_WAIT_S, f"wait={MAX_WAIT_S}")),
        (["wait=0"], 5, Wait(0, "wait=0")),
        (["respond-async"], 5, Wait(0, "respond-async")),
        (["respond-async, wait=2"], 0, Wait(2, "wait=2")),
        (["wait=-1"], 5, Wait(5)),
        (["wait=soon, wait"], 0, Wait(0)),
    ],
)
def test_prefer_is_read_as_rfc_7240_says(prefer: list[str], default_s: float, wait: Wait) -> None:
    assert wait_of(prefer, default_s) == wait


def ask(
    threads: ThreadPoolExecutor, caller: Caller, path: str, body: object, wait_s: int = 20
) -> Future[httpx.Response]:
    return threads.submit(caller.post, path, body, prefer=f"wait={wait_s}")


def answered(
    threads: ThreadPoolExecutor, caller: Caller, decider: Decider, path: str, body: object, *records: Record
) -> httpx.Response:
    """What a waiting caller gets when `records`, headers completed by its event's source, are published."""
    topic = {CONSUME: "order-placed", "/cancel-order": "order-cancelled"}.get(path)
    topic = topic or {"/start-flash-sale": "promotion-start"}.get(path, "promotion-end")
    mark = records[0][2]["mark"]
    waiting = ask(threads, caller, path, body)
    source = decider.source_of(topic, str(mark))
    decider.publish(*[(name, value, {**headers, **source}) for name, value, headers in records])
    return waiting.result(30)


def test_an_order_gets_the_templates_answer(
    threads: ThreadPoolExecutor, caller: Caller, decider: Decider
) -> None:
    value = outcome("WAIT-1")
    record = ("order-outcomes", value, {"mark": "WAIT-1"})
    answer = answered(threads, caller, decider, CONSUME, placed("WAIT-1"), record)
    assert answer.status_code == 200
    assert answer.headers["preference-applied"] == "wait=20"
    content = answer.json()
    assert content["status"] == 200 and content["orderRef"] == "WAIT-1"
    assert content["consumeResults"] == value["consumeResults"]
    assert isinstance(content["duration"], int) and 0 < content["duration"] < 20_000


def test_a_start_gets_every_page_of_its_results_as_one(
    threads: ThreadPoolExecutor, caller: Caller, decider: Decider
) -> None:
    pages = [results("PAGED", [f"SKU-{page}{i}" for i in range(3)], page, 3, of=9) for page in (1, 2, 3)]
    records = [("promotion-results", page, {"mark": "PAGED"}) for page in pages]
    body = started("PAGED", {"SKU-11": 5})
    answer = answered(threads, caller, decider, "/start-flash-sale", body, *records)
    assert answer.status_code == 200
    content = answer.json()
    assert [line["sku"] for line in content["reservations"]] == [
        f"SKU-{p}{i}" for p in (1, 2, 3) for i in range(3)
    ]
    assert content["summary"] == {"success": 9, "errors": 0}
    assert content["promotionId"] == "PAGED" and content["status"] == 200


def test_a_cancel_gets_what_was_given_back(
    threads: ThreadPoolExecutor, caller: Caller, decider: Decider
) -> None:
    value = outcome("BACK-1", revision=2) | {
        "outcome": "CANCELLED",
        "cancelResults": [{"sku": "SKU-1", "quantity": 1, "cancelled": True}],
        "cancellationRef": "RMA-1",
    }
    body = {"order": {"ref": "BACK-1", "promotionId": "P", "cancellationRef": "RMA-1"}}
    record = ("order-outcomes", value, {"mark": "BACK-1"})
    content = answered(threads, caller, decider, "/cancel-order", body, record).json()
    assert content["outcome"] == "CANCELLED" and content["revision"] == 2
    assert content["cancelResults"] == value["cancelResults"] and content["cancellationRef"] == "RMA-1"


def test_an_end_gets_the_final_report_once_all_of_it_is_out(
    threads: ThreadPoolExecutor, caller: Caller, decider: Decider
) -> None:
    waiting = ask(threads, caller, "/end-flash-sale", {"promotion": {"id": "ENDED"}})
    decider.source_of("promotion-end", "ENDED")
    decider.publish(("reconciliation-reports", report("ENDED", "INTERIM", "CLOSING"), {}))
    decider.publish(("reconciliation-reports", report("ENDED", "FINAL", "CLOSED", 1, 2), {}))
    wait_until(lambda: caller.get("/promotions/ENDED").is_success, "the interim report")
    assert not waiting.done()
    decider.publish(("reconciliation-reports", report("ENDED", "FINAL", "CLOSED", 2, 2), {}))
    content = waiting.result(30).json()
    assert content["status"] == 200 and content["promotionId"] == "ENDED"
    assert content["report"]["kind"] == "FINAL" and content["report"]["status"] == "CLOSED"
    again = caller.post("/end-flash-sale", {"promotion": {"id": "ENDED"}}, prefer="wait=20")
    assert again.json()["report"] == content["report"]


def test_a_conflicting_caller_gets_409_and_the_first_one_its_own_answer(
    threads: ThreadPoolExecutor, caller: Caller, decider: Decider
) -> None:
    first = ask(threads, caller, CONSUME, placed("TWICE", quantity=1))
    source = decider.source_of("order-placed", "TWICE", 1)
    second = ask(threads, caller, CONSUME, placed("TWICE", quantity=2))
    conflicting = decider.source_of("order-placed", "TWICE", 2)
    letter = (
        "dead-letters",
        placed("TWICE"),
        {**dead_letter("CONFLICT", "TWICE came before"), **conflicting},
    )
    decider.publish(letter)
    answer = second.result(30)
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["preference-applied"] == "wait=20"
    assert answer.json() == {
        "type": "about:blank",
        "title": "Conflict",
        "status": 409,
        "detail": "TWICE came before",
        "error": "TWICE came before",
        "recommendation": "Do better.",
        "reason": "CONFLICT",
    }
    assert not first.done()
    decider.publish(("order-outcomes", outcome("TWICE"), source))
    assert first.result(30).status_code == 200


@pytest.mark.parametrize(
    ("reason", "status"),
    [("INVALID", 422), ("CONFLICT", 409), ("NO_PROMOTION", 404), ("UNPROCESSABLE", 500), ("UNHEARD_OF", 422)],
)
def test_a_dead_letter_is_answered_by_its_reason(
    threads: ThreadPoolExecutor, caller: Caller, decider: Decider, reason: str, status: int
) -> None:
    ref = f"DEAD-{reason}"
    record = ("dead-letters", placed(ref), {"mark": ref, **dead_letter(reason, "It is dead")})
    answer = answered(threads, caller, decider, CONSUME, placed(ref), record)
    assert answer.status_code == status
    assert answer.json()["error"] == "It is dead" and answer.json()["reason"] == reason


async def test_a_decision_that_comes_before_the_acknowledgement_is_kept_for_its_caller() -> None:
    waiters = Waiters()
    source = Source("order-placed", 0, 7)
    waiters.arrived(Arrival("order-outcomes", "O", b"{}", source, {}))
    with waiters.waiting(source, "O") as waiter:
        assert [arrival.source for arrival in await waiter.answer(0.01)] == [source]
    with waiters.waiting(source, "O") as again:
        assert await again.answer(0.01) == []


async def test_a_page_that_is_read_once_more_is_not_another_page_of_the_answer() -> None:
    waiters, source = Waiters(), Source("promotion-start", 0, 7)
    pages = [json.dumps(results("P", [f"SKU-{page}"], page, 2, of=2)).encode() for page in (1, 2)]
    with waiters.waiting(source, "P") as waiter:
        for value in (pages[0], *pages):
            waiters.arrived(Arrival("promotion-results", "P", value, source, {}))
        assert [arrival.value for arrival in await waiter.answer(0.01)] == pages


def test_another_orders_decision_at_the_same_place_is_nobodys_answer(
    threads: ThreadPoolExecutor, caller: Caller, decider: Decider
) -> None:
    waiting = ask(threads, caller, CONSUME, placed("ANEW-1"))
    source = decider.source_of("order-placed", "ANEW-1")
    decider.publish(("order-outcomes", outcome("BEFORE-ANEW-1"), source))
    wait_until(lambda: caller.get("/orders/BEFORE-ANEW-1").is_success, "the other order's decision is here")
    assert not waiting.done()
    decider.publish(("order-outcomes", outcome("ANEW-1"), source))
    assert waiting.result(30).json()["orderRef"] == "ANEW-1"


async def test_an_early_decision_of_another_order_at_the_same_place_is_nobodys_answer() -> None:
    waiters = Waiters()
    source = Source("order-placed", 0, 7)
    waiters.arrived(Arrival("order-outcomes", "OTHER", b"{}", source, {}))
    with waiters.waiting(source, "O") as waiter:
        assert await waiter.answer(0.01) == []


async def test_only_so_many_early_decisions_are_kept_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge.waiting, "MAX_EARLY", 3)
    monkeypatch.setattr(bridge.waiting, "MAX_EARLY_BYTES", 100)
    for size, kept in ((1, {7, 8, 9}), (50, {8, 9}), (101, set())):
        waiters = Waiters()
        for offset in range(10):
            place = Source("order-placed", 0, offset)
            waiters.arrived(Arrival("order-outcomes", "O", b"x" * size, place, {}))
        found = set()
        for offset in range(10):
            with waiters.waiting(Source("order-placed", 0, offset), "O") as waiter:
                found |= {offset} if await waiter.answer(0) else set()
        assert found == kept


def test_without_a_decision_in_time_it_is_a_202_with_the_status_url(caller: Caller) -> None:
    begun = time.monotonic()
    answer = caller.post(CONSUME, placed("LATE 1"), prefer="wait=1")
    assert 0.9 < time.monotonic() - begun < 10
    assert answer.status_code == 202 and answer.headers["preference-applied"] == "wait=1"
    assert answer.json()["statusUrl"] == answer.headers["location"] == "/orders/LATE%201"


def test_an_aborted_decision_is_nobodys_answer(
    threads: ThreadPoolExecutor, caller: Caller, decider: Decider
) -> None:
    waiting = ask(threads, caller, CONSUME, placed("ABORTED"))
    source = decider.source_of("order-placed", "ABORTED")
    decider.publish(("order-outcomes", outcome("ABORTED", taken=True), source), commit=False)
    decider.publish(("order-outcomes", outcome("ABORTED", taken=False), source))
    assert waiting.result(30).json()["outcome"] == "REJECTED"


FOREIGN = (b"{}", b'{"promotionId":"\xff"}', b'{"other":' + b"[" * 10_000 + b"]" * 10_000 + b"}")


def test_what_the_bridge_cannot_read_in_an_outcome_topic_disturbs_nobody(
    threads: ThreadPoolExecutor, caller: Caller, decider: Decider
) -> None:
    decider.publish(("order-outcomes", b"\xff not json", {"source-topic": "x"}))
    decider.publish(("promotion-results", b"[]", {"source-offset": "many"}))
    for topic in ("order-outcomes", "promotion-results", "sale-figures", "reconciliation-reports"):
        decider.publish(*[(topic, value, {}) for value in FOREIGN])
    record = ("order-outcomes", outcome("AFTER-POISON"), {"mark": "AFTER-POISON"})
    answer = answered(threads, caller, decider, CONSUME, placed("AFTER-POISON"), record)
    assert answer.status_code == 200


def test_two_bridges_each_answer_their_own_callers(
    threads: ThreadPoolExecutor,
    caller: Caller,
    environment: dict[str, str],
    decider: Decider,
    bridge: BridgeProcess,
) -> None:
    with BridgeProcess(environment, bridge.log_path.parent / "second") as second:
        second.wait_ready()
        other = Caller(second.url)
        here = ask(threads, caller, CONSUME, placed("INSTANCE-A"))
        there = ask(threads, other, CONSUME, placed("INSTANCE-B"))
        sources = [decider.source_of("order-placed", ref) for ref in ("INSTANCE-A", "INSTANCE-B")]
        decider.publish(
            *[("order-outcomes", outcome(f"INSTANCE-{n}"), s) for n, s in zip("AB", sources, strict=True)]
        )
        assert here.result(30).json()["orderRef"] == "INSTANCE-A"
        assert there.result(30).json()["orderRef"] == "INSTANCE-B"
        wait_until(
            lambda: other.get("/orders/INSTANCE-A").is_success, "the other's outcome is known here too"
        )
        other.close()


def test_a_bridge_that_shuts_down_gives_who_waits_a_202_and_exits_with_0(
    threads: ThreadPoolExecutor, environment: dict[str, str], decider: Decider, bridge: BridgeProcess
) -> None:
    with BridgeProcess(environment, bridge.log_path.parent / "leaving") as leaving:
        client = Caller(leaving.wait_ready().url)
        waiting = ask(threads, client, CONSUME, placed("LEAVING"), 30)
        decider.source_of("order-placed", "LEAVING")
        begun = time.monotonic()
        assert leaving.terminate() == 0
        assert time.monotonic() - begun < 15
        assert waiting.result(5).status_code == 202
        client.close()
