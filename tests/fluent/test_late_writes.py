"""Kafka's fence does not reach HTTP: what a frozen or slow gateway writes late must not stand."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from fluent import Gateway
from schemas.drift import DriftKind
from streams.ledger.commands import ReleaseConfirmed, SettleConfirmed, Verified
from streams.ledger.fluent_requests import FluentRequest, encode_request
from tests.fluent.conftest import NewGateway
from tests.fluent.support import Network, Requests, live
from tests.support.fluent import FluentSimulator

FREEZE_WITHIN_S = 20


@contextmanager
def frozen_at(simulator: FluentSimulator, operation: str, request: FluentRequest) -> Iterator[None]:
    """A gateway process that stands still right before it sends `operation`; in the end it has sent it."""
    script = Path(__file__).with_name("frozen_gateway.py")
    arguments = [simulator.base_url, operation, encode_request(request).hex()]
    process = subprocess.Popen([sys.executable, str(script), *arguments], stdout=subprocess.DEVNULL)
    try:
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), f"it did not freeze, wait status {status}"
        yield
        process.send_signal(signal.SIGCONT)
        assert process.wait(FREEZE_WITHIN_S) == 0
    finally:
        process.kill()
        process.wait()


@pytest.mark.faults
async def test_a_hold_written_after_the_reservation_was_closed_is_undone_and_reported(
    simulator: FluentSimulator, gateway: Gateway, one: Requests
) -> None:
    with frozen_at(simulator, "CreatePart", one.hold(100)):
        assert await gateway.handle(one.release()) == ReleaseConfirmed(one.promotion, one.sku, 2)
        assert live(simulator, one.sku) == {}
    assert live(simulator, one.sku) == {f"{one.ref}-1": 100}, "the late write has landed"
    verified = await gateway.handle(one.verify(closed=True))
    assert verified == Verified(one.promotion, one.sku, 3, 0, 100, DriftKind.LATE_ACTIVATION, 100)
    assert live(simulator, one.sku) == {}
    again = await gateway.handle(one.verify(closed=True))
    assert again == Verified(one.promotion, one.sku, 4, 0)


@pytest.mark.faults
@pytest.mark.parametrize("operation", ["ResizePart", "EndPart"])
async def test_a_settle_or_release_written_late_leaves_the_hold_ended(
    simulator: FluentSimulator, gateway: Gateway, one: Requests, operation: str
) -> None:
    await gateway.handle(one.hold(100))
    late = one.settle(60, 40) if operation == "ResizePart" else one.release()
    with frozen_at(simulator, operation, late):
        await gateway.handle(one.release())
    assert live(simulator, one.sku) == {}
    verified = await gateway.handle(one.verify(closed=True))
    assert isinstance(verified, Verified) and verified.drift_units == 0


async def test_a_part_that_was_revived_after_its_end_is_a_late_activation(
    simulator: FluentSimulator, gateway: Gateway, two: Requests
) -> None:
    await gateway.handle(two.hold(100))
    await gateway.handle(two.release())
    simulator.quantity(f"{two.ref}-2", status="ACTIVE")
    verified = await gateway.handle(two.verify(closed=True))
    assert verified == Verified(two.promotion, two.sku, 3, 0, 40, DriftKind.LATE_ACTIVATION, 40)
    assert live(simulator, two.sku) == {}


async def test_no_write_is_sent_unless_the_lease_outlives_the_call(
    simulator: FluentSimulator, new_gateway: NewGateway, one: Requests
) -> None:
    lease_s = [4.0]
    gateway = new_gateway(lease_expires_at=lambda: time.monotonic() + lease_s[0], call_timeout_s=5.0)
    hold = one.hold(100)
    assert await gateway.handle(hold) is None
    assert simulator.truth(one.sku)["holds"] == []
    lease_s[0] = 6.0
    assert await gateway.handle(hold) is not None
    assert live(simulator, one.sku) == {f"{one.ref}-1": 100}


async def test_without_a_lease_nothing_is_asked_at_all_and_a_request_ends_with_the_call_under_way(
    simulator: FluentSimulator, new_gateway: NewGateway, one: Requests
) -> None:
    lease_s, calls = [60.0], 0

    def lost(*_: object) -> None:
        nonlocal calls
        calls += 1
        lease_s[0] = -1.0

    gateway = new_gateway(
        transport=Network(before_call=lost), lease_expires_at=lambda: time.monotonic() + lease_s[0]
    )
    assert await gateway.handle(one.hold(100)) is None
    assert calls == 1
    assert simulator.truth(one.sku)["holds"] == []


async def test_after_a_time_out_nothing_is_written_before_it_was_read_back(
    simulator: FluentSimulator, new_gateway: NewGateway, one: Requests
) -> None:
    names: list[str] = []

    def note(_: int, body: bytes) -> None:
        names.append(msgspec.json.decode(body)["operationName"])

    gateway = new_gateway(transport=Network(before_call=note), call_timeout_s=0.4)
    await gateway.handle(one.hold(100))
    names.clear()
    simulator.next("timeoutAfter", match="ResizePart", contains=one.ref)
    settled = await gateway.handle(one.settle(60, 40))
    assert settled == SettleConfirmed(one.promotion, one.sku, 2, 60)
    assert names == ["FindParts", "ResizePart", "FindParts"]
