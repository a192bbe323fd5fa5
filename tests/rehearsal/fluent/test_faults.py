"""Every fault on demand: what the client sees, and what became of its change."""

from __future__ import annotations

import time

import httpx
import pytest

from tests.rehearsal.fluent.caller import CREATE, PASSWORD_GRANT, Caller, codes, eventually, hold
from tests.support.fluent import FluentSimulator

ME = "{ me { ref } }"
NOT_APPLIED = ("timeoutBefore", "errorBefore", "closeBefore", "tooManyRequests", "refused")
APPLIED = ("timeoutAfter", "errorAfter", "closeAfter", "truncated", "garbage", "slowDrip")
SILENT = {"timeoutBefore", "timeoutAfter", "closeBefore", "closeAfter", "truncated"}


def outcome(fluent: Caller, ref: str, sku: str) -> httpx.Response | None:
    """The answer to the creation of a hold, None when there was none."""
    try:
        return fluent.post(CREATE, timeout=0.5, input=hold(ref, sku, 10))
    except httpx.TransportError:
        return None


@pytest.mark.parametrize("fault", [*NOT_APPLIED, *APPLIED])
def test_a_fault_applies_the_change_or_not_as_its_name_says(
    fluent: Caller, simulator: FluentSimulator, sku: str, fault: str
) -> None:
    simulator.next(fault, match="createInventoryQuantity", contains=f"{sku}-H")
    answer = outcome(fluent, f"{sku}-H", sku)
    assert (answer is None) == (fault in SILENT)
    assert simulator.truth(sku)["held"] == (10 if fault in APPLIED else 0)
    assert fluent.data(ME) == {"me": {"ref": "simulator"}}, "a one-shot happens once"


def test_what_comes_back_is_what_the_fault_says(fluent: Caller, simulator: FluentSimulator) -> None:
    simulator.next("errorBefore", status=502)
    assert fluent.post(ME).status_code == 502
    simulator.next("tooManyRequests")
    assert fluent.post(ME).headers["retry-after"] == "1"
    simulator.next("garbage")
    with pytest.raises(ValueError, match="Expecting value"):
        fluent.post(ME).json()
    simulator.next("refused", code="S0002E")
    assert codes(fluent.ask(ME)) == ["S0002E"]
    simulator.next("truncated")
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        fluent.post(ME)
    simulator.next("closeAfter")
    with pytest.raises(httpx.RemoteProtocolError, match="disconnected without sending a response"):
        fluent.post(ME)


def test_a_slow_drip_is_complete_in_the_end(fluent: Caller, simulator: FluentSimulator) -> None:
    simulator.control(drip_ms=10)
    simulator.next("slowDrip")
    start = time.monotonic()
    assert fluent.data(ME) == {"me": {"ref": "simulator"}}
    assert time.monotonic() - start > 0.15


def test_a_late_request_is_applied_after_its_client_gave_up(
    fluent: Caller, simulator: FluentSimulator, sku: str
) -> None:
    simulator.control(late_ms=900)
    simulator.next("late")
    assert outcome(fluent, f"{sku}-H", sku) is None
    assert simulator.truth(sku)["held"] == 0
    eventually(lambda: simulator.truth(sku)["held"] == 10)


def test_a_stale_read_shows_the_stock_of_a_moment_ago(
    fluent: Caller, simulator: FluentSimulator, sku: str
) -> None:
    simulator.control(stale_ms=60_000)
    fluent.create(f"{sku}-H", sku, 10)
    simulator.next("staleRead", count=2)
    assert fluent.available(sku) == 0, "a minute ago there was no stock at all"
    assert fluent.read(f"{sku}-H") is None
    assert fluent.available(sku) == 90
    simulator.control(stale_ms=0)
    simulator.next("staleRead")
    assert fluent.available(sku) == 90


def test_a_stale_read_shows_the_version_before_the_last_changes(
    fluent: Caller, simulator: FluentSimulator, sku: str
) -> None:
    fluent.create(f"{sku}-H", sku, 30)
    created = simulator.journal(sku=sku)["entries"][-1]["atMs"]
    eventually(lambda: time.time() * 1000 > created + 400)
    fluent.update(f"{sku}-H", quantity=-20)
    fluent.update(f"{sku}-H", quantity=-5)
    simulator.control(stale_ms=int(time.time() * 1000 - created - 200))
    simulator.next("staleRead")
    found = fluent.read(f"{sku}-H")
    assert found is not None
    assert found["quantity"] == -30


def test_one_alias_can_be_refused_applied_or_not(
    fluent: Caller, simulator: FluentSimulator, sku: str
) -> None:
    simulator.refuse(f"{sku}-A", "S0040E")
    simulator.refuse(f"{sku}-B", "T0001E", applied=True)
    for name in "AB":
        envelope = fluent.ask(CREATE, input=hold(f"{sku}-{name}", sku, 10))
        assert envelope["data"] == {"createInventoryQuantity": None}
        assert codes(envelope) == [{"A": "S0040E", "B": "T0001E"}[name]]
    assert [found["ref"] for found in simulator.truth(sku)["holds"]] == [f"{sku}-B"]
    assert fluent.create(f"{sku}-A", sku, 10)["ref"] == f"{sku}-A"


def test_a_one_shot_waits_for_the_request_that_it_names(
    fluent: Caller, simulator: FluentSimulator, sku: str
) -> None:
    simulator.next("errorBefore", match="Hold", contains=f"{sku}-B", skip=1)
    fluent.create(f"{sku}-A", sku, 1)
    fluent.create(f"{sku}-B", sku, 1)
    assert fluent.post(CREATE, input=hold(f"{sku}-B", sku, 1)).status_code == 503
    assert codes(fluent.ask(CREATE, input=hold(f"{sku}-B", sku, 1))) == ["C0121E"]


def test_the_token_call_can_fail_too(fluent: Caller, simulator: FluentSimulator) -> None:
    simulator.next("errorBefore", match="token", status=500)
    assert fluent.data(ME)["me"]
    assert fluent.token(PASSWORD_GRANT).status_code == 500
    assert fluent.token(PASSWORD_GRANT).status_code == 200


def test_everything_can_be_switched_off_and_on_again(
    fluent: Caller, simulator: FluentSimulator, sku: str
) -> None:
    simulator.control(failing=503)
    assert fluent.post(ME).status_code == 503
    assert fluent.token().status_code == 503
    assert simulator.truth(sku)["available"] == 150, "the truth stays in sight"
    simulator.control(failing=0)
    assert fluent.post(ME).status_code == 200


def test_answers_take_the_time_that_was_asked_for(fluent: Caller, simulator: FluentSimulator) -> None:
    simulator.control(latency_ms=200, jitter_ms=0)
    start = time.monotonic()
    fluent.data(ME)
    assert time.monotonic() - start > 0.19


def test_a_switch_that_does_not_exist_or_a_bad_value_changes_nothing(simulator: FluentSimulator) -> None:
    before = simulator.control()["controls"]
    for switches in ({"fault_rat": 0.1}, {"latency_ms": 5, "fault_rate": 2}, {"faults": {"nonsense": 0.1}}):
        with pytest.raises(httpx.HTTPStatusError) as refused:
            simulator.control(**switches)
        assert refused.value.response.status_code == 422
    assert simulator.control()["controls"] == before


def test_the_control_shows_what_was_asked_and_what_went_wrong(
    fluent: Caller, simulator: FluentSimulator
) -> None:
    before = simulator.control()
    simulator.next("errorBefore", match="me", count=3)
    fluent.post(ME)
    after = simulator.control()
    assert after["requests"]["me"] - before["requests"].get("me", 0) == 1
    assert after["faults"]["errorBefore"] - before["faults"].get("errorBefore", 0) == 1
    assert [(shot["match"], shot["count"]) for shot in after["next"]] == [("me", 2)]
