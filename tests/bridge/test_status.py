"""`GET`: where orders and promotions stand, from what the outcome topics said."""

from __future__ import annotations

import json
import os
from contextlib import closing
from pathlib import Path
from unittest.mock import AsyncMock

import psutil
import pytest
from starlette.requests import Request

import bridge.status
import bridge.store
from bridge.events import Events
from bridge.main import SPARE_FILES
from bridge.problems import Problem
from bridge.records import Arrival, Source
from bridge.sale.sales import Sales
from bridge.service import Bridge
from bridge.signing import Guard
from bridge.status import Questions, Status
from bridge.store import BUFFER_BYTES, STORE_BYTES, Store, StoreFailed
from schemas.topics import PROMOTION_END, RECONCILIATION_REPORTS, SALE_FIGURES
from streams.settings import ConfigurationError, load_settings
from tests.bridge.decisions import Decider, outcome, report, results
from tests.bridge.process import BridgeProcess, Caller
from tests.bridge.sale.told import NOW_MS, arrival, at, figures, line, told
from tests.bridge.sale.told import report as told_report
from tests.streams.engine.test_store import full_disk
from tests.support.system import wait_until


def test_what_was_never_seen_is_a_404_with_a_sentence(caller: Caller) -> None:
    for path, name in (("/orders/NEVER", "order NEVER"), ("/promotions/NEVER", "promotion NEVER")):
        answer = caller.get(path)
        assert answer.status_code == 404
        assert name in answer.json()["error"] and answer.json()["recommendation"]


def test_an_order_is_a_list_with_its_newest_outcome_for_each_promotion(
    caller: Caller, decider: Decider
) -> None:
    old, new, other = outcome("BASKET", "P1"), outcome("BASKET", "P1", revision=2), outcome("BASKET", "P2")
    decider.publish(*[("order-outcomes", value, {}) for value in (old, other, new, outcome("BASKET-2"))])

    def entries() -> object:
        answer = caller.get("/orders/BASKET")
        return answer.is_success and sorted(answer.json(), key=lambda entry: str(entry["promotionId"]))

    wait_until(lambda: entries() == [new, other], "both promotions of the order, the newest of each")


@pytest.mark.parametrize("ref", ["A/B", "A B", "Ü-1", "a?b#c", "100%", "x" * 256])
def test_any_ref_can_be_asked_for(caller: Caller, decider: Decider, ref: str) -> None:
    accepted = caller.post(
        "/consume-reservation",
        {"order": {"ref": ref, "promotionId": "P", "items": [{"sku": "S", "quantity": 1}]}},
    )
    decider.publish(("order-outcomes", outcome(ref), {}))
    url = accepted.json()["statusUrl"]
    wait_until(lambda: caller.get(url).is_success, f"the outcome of {ref}")
    assert caller.get(url).json() == [outcome(ref)]


def test_a_promotion_says_results_status_and_newest_report(caller: Caller, decider: Decider) -> None:
    decider.publish(("reconciliation-reports", report("STANDING", "INTERIM", "PENDING"), {}))
    wait_until(lambda: caller.get("/promotions/STANDING").is_success, "the first report")
    pending = caller.get("/promotions/STANDING").json()
    assert pending["status"] == "PENDING" and "reservations" not in pending
    pages = [results("STANDING", [f"SKU-{page}"], page, 2, of=2) for page in (1, 2)]
    decider.publish(*[("promotion-results", page, {}) for page in pages])
    decider.publish(("reconciliation-reports", report("STANDING", "FINAL", "CLOSED"), {}))
    wait_until(lambda: caller.get("/promotions/STANDING").json()["status"] == "CLOSED", "the FINAL report")
    found = caller.get("/promotions/STANDING").json()
    assert [line["sku"] for line in found["reservations"]] == ["SKU-1", "SKU-2"]
    assert found["summary"] == {"success": 2, "errors": 0}
    assert found["report"]["kind"] == "FINAL" and found["report"]["totals"]["drift"] == 0


def running(sku: str, consumed: int) -> dict[str, object]:
    return figures(sku, "RUNNING", seconds=consumed, consumed=consumed)


def test_a_running_promotion_says_how_it_stands_before_its_first_report(
    caller: Caller, decider: Decider
) -> None:
    decider.publish(*[("sale-figures", running(f"SKU-{n}", n), {}) for n in (1, 2, 3)])
    wait_until(lambda: caller.get("/promotions/RUNNING").is_success, "the figures")
    decider.publish(("sale-figures", running("SKU-3", 5), {}))

    def sold() -> object:
        return caller.get("/promotions/RUNNING").json()["figures"]["consumed"]

    wait_until(lambda: sold() == 8, "the newest figures of each SKU")
    found = caller.get("/promotions/RUNNING").json()
    assert found["status"] == "ACTIVE" and "report" not in found
    assert (found["figures"]["reserved"], found["figures"]["left"]) == (30, 22)
    assert found["figures"]["at"] == at(5)


@pytest.mark.parametrize("is_caught_up", [False, True])
async def test_figures_of_a_promotion_are_answered_once_all_of_its_skus_are_read(
    tmp_path: Path, is_caught_up: bool
) -> None:
    sales = Sales()
    sales.arrived(arrival(SALE_FIGURES, figures("A")))
    sales.settle(NOW_MS, is_caught_up=is_caught_up)
    request = Request({"type": "http", "method": "GET", "path_params": {"id": "P"}, "headers": []})
    with closing(Status(tmp_path)) as status:
        questions = Questions(status, sales, Guard(None), lambda: is_caught_up)
        if is_caught_up:
            assert json.loads(bytes((await questions.promotion(request)).body))["figures"]["reserved"] == 10
        else:
            with pytest.raises(Problem, match="still reads"):
                await questions.promotion(request)


async def test_the_answer_right_after_the_final_report_says_closed(tmp_path: Path) -> None:
    """Seen on a busy machine: the report said FINAL and the promotion beside it was ACTIVE for a second."""
    sales = told((SALE_FIGURES, figures("A", seconds=1)))
    final = arrival(RECONCILIATION_REPORTS, told_report(line("A"), kind="FINAL", status="CLOSED", seconds=2))
    request = Request({"type": "http", "method": "GET", "path_params": {"id": "P"}, "headers": []})
    with closing(Status(tmp_path)) as status:
        status.arrived(final)
        sales.arrived(final)
        answer = await Questions(status, sales, Guard(None), lambda: True).promotion(request)
    found = json.loads(bytes(answer.body))
    assert (found["report"]["kind"], found["status"]) == ("FINAL", "CLOSED")
    assert found["figures"]["at"] == at(2)


def test_a_new_bridge_knows_the_recent_past_when_it_is_ready(
    environment: dict[str, str], decider: Decider, directory: Path
) -> None:
    decider.publish(
        ("order-outcomes", outcome("PAST"), {}), ("promotion-results", results("PAST", ["S"]), {})
    )
    decider.publish(("order-outcomes", outcome("PAST-NOT"), {}), commit=False)
    with BridgeProcess(environment, directory) as process:
        client = Caller(process.wait_ready().url)
        assert client.get("/orders/PAST").json() == [outcome("PAST")]
        assert client.get("/orders/PAST-NOT").status_code == 404
        assert client.get("/promotions/PAST").json()["status"] == "ACTIVE"
        client.close()


def bytes_in(store: Path) -> int:
    return sum(file.stat().st_size for file in store.glob("*.sst"))


def test_a_full_store_forgets_the_oldest_and_keeps_the_newest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge.store, "STORE_BYTES", 1 << 20)
    monkeypatch.setattr(bridge.store, "BUFFER_BYTES", 1 << 18)
    store = Store(tmp_path / "store")
    for number in range(20_000):
        store.put(f"ORDER-{number:05}", "P", os.urandom(500))
    wait_until(lambda: bytes_in(tmp_path / "store") <= 2 << 20, "old files are dropped")
    assert [(name, len(value)) for name, value in store.of("ORDER-19999")] == [("P", 500)]
    assert not list(store.of("ORDER-00000"))
    store.close()


def test_a_store_keeps_no_more_files_open_than_the_bridge_leaves_room_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To scale: a store of 8 MiB with buffers of 64 KiB has as many files as one of 1 GiB with 8 MiB."""
    monkeypatch.setattr(bridge.store, "STORE_BYTES", STORE_BYTES >> 7)
    monkeypatch.setattr(bridge.store, "BUFFER_BYTES", BUFFER_BYTES >> 7)
    before = psutil.Process().num_fds()
    store = Store(tmp_path / "store")
    value = 4 * json.dumps(outcome("ORDER")).encode()
    for number in range(50_000):
        store.put(f"ORDER-{number}", "P", value)
    assert psutil.Process().num_fds() - before < SPARE_FILES / 2
    store.close()


def test_bridges_that_share_a_data_directory_take_different_places_and_reuse_them(tmp_path: Path) -> None:
    first, second = Status(tmp_path), Status(tmp_path)
    assert {path.name for path in (tmp_path / "bridge").iterdir() if path.is_dir()} == {"0", "1"}
    first.close()
    third = Status(tmp_path)
    assert {path.name for path in (tmp_path / "bridge").iterdir() if path.is_dir()} == {"0", "1"}
    second.close()
    third.close()


def test_a_data_directory_that_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "bridge").write_text("a file where a folder should be")
    with pytest.raises(ConfigurationError, match="DATA_DIR cannot be used"):
        Status(tmp_path)


def remembered(status: Status, ref: str) -> None:
    status.arrived(Arrival("order-outcomes", ref, json.dumps(outcome(ref)).encode(), None, {}))


def test_without_a_disk_nothing_is_remembered_and_once_there_is_one_the_past_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge.status, "RENEW_EVERY_S", 0.0)
    status = Status(tmp_path)
    remembered(status, "BEFORE")
    with full_disk():
        wait_until(lambda: lost(status), "the disk is full")
        remembered(status, "MEANWHILE")
        assert not status.renewed()
        with pytest.raises(Problem, match="disk cannot be used") as answer:
            status.order("BEFORE")
        assert answer.value.status == 503
    assert status.renewed()
    assert not status.renewed()
    remembered(status, "AGAIN")
    assert len(status.order("AGAIN")) == 1
    status.close()


def test_a_disk_that_gives_way_while_the_stores_are_made_anew_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge.status, "RENEW_EVERY_S", 0.0)
    status = Status(tmp_path)
    status._fail(StoreFailed("No space left on device"))

    def without_room(path: Path) -> Store:
        if path.name == "promotions":
            raise StoreFailed("No space left on device")
        return Store(path)

    with monkeypatch.context() as full:
        full.setattr(bridge.status, "Store", without_room)
        assert not status.renewed()
    assert status.renewed()
    remembered(status, "AGAIN")
    assert len(status.order("AGAIN")) == 1
    status.close()


async def test_without_a_disk_the_end_of_a_sale_is_taken_from_a_caller_that_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bridge = Bridge(load_settings({"DATA_DIR": str(tmp_path)}))
    bridge.status._fail(StoreFailed("No space left on device"))
    monkeypatch.setattr(bridge, "send", AsyncMock(return_value=Source(PROMOTION_END, 0, 7)))
    answer = await Events(bridge, Guard(None), 0).take(PROMOTION_END, end_request("SALE", wait_s=1))
    assert answer.status_code == 202
    bridge.status.close()


def end_request(promotion: str, wait_s: int) -> Request:
    """`POST /end-flash-sale` of a caller that waits."""
    body = json.dumps({"promotion": {"id": promotion}}).encode()

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    headers = [(b"prefer", b"wait=%d" % wait_s)]
    scope = {"type": "http", "method": "POST", "path": "/end-flash-sale", "headers": headers, "client": None}
    return Request(scope, receive)


def lost(status: Status) -> bool:
    """Write some more; whether the disk has refused it."""
    for number in range(2_000):
        remembered(status, f"ORD-{number}")
    try:
        status.order("ORD-1")
    except Problem:
        return True
    return False
