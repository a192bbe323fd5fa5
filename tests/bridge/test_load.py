"""Many callers at once, and a bridge that is killed under them."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.bridge.decisions import Decider
from tests.bridge.process import BridgeProcess, Caller, placed, signed, started
from tests.support.kafka import KafkaUnderTest, unique_prefix
from tests.support.system import System, system, wait_until

CLAIMS = 2_000
UNITS = 100
CONSUME = "/consume-reservation"


@pytest.fixture
def sale(kafka: KafkaUnderTest, tmp_path: Path) -> Iterator[System]:
    """A system with one worker."""
    with system(kafka.bootstrap, unique_prefix(), tmp_path, {"SKU-1": {"LOC-1": 500}}) as built:
        built.start_worker()
        yield built


async def claim(bridge: BridgeProcess, number: int) -> dict[str, Any]:
    """One claim on a connection of its own, which waits for its decision; the answer's body."""
    body = json.dumps(placed(f"O-{number}", "RUSH")).encode()
    headers = {**signed("POST", CONSUME, body), "Host": "bridge", "Prefer": "wait=30", "Connection": "close"}
    lines = [f"POST {CONSUME} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode()
    reader, writer = await asyncio.open_connection(*bridge.address)
    writer.write(head + body)
    answer = await reader.read()
    writer.close()
    status_line, _, rest = answer.partition(b"\r\n")
    assert status_line.startswith(b"HTTP/1.1 200 "), answer
    content: dict[str, Any] = json.loads(rest.partition(b"\r\n\r\n")[2])
    return content


async def claim_all(bridges: list[BridgeProcess]) -> list[dict[str, Any]]:
    """Every claim at the same time, in turn to each bridge."""
    async with asyncio.timeout(60):
        return await asyncio.gather(*(claim(bridges[n % len(bridges)], n) for n in range(CLAIMS)))


@pytest.mark.slow
def test_two_thousand_claims_at_once_for_a_hundred_units_take_exactly_a_hundred(
    sale: System, many_files: None
) -> None:
    environment = sale.environment()
    with (
        BridgeProcess(environment, sale.directory / "one") as one,
        BridgeProcess(environment, sale.directory / "two") as two,
    ):
        caller = Caller(one.wait_ready().url)
        two.wait_ready()
        start = caller.post("/start-flash-sale", started("RUSH", {"SKU-1": UNITS}), prefer="wait=30")
        assert start.json()["summary"] == {"success": 1, "errors": 0}
        answers = asyncio.run(claim_all([one, two]))
        caller.close()
    lines = [line for answer in answers for line in answer["consumeResults"]]
    assert sum(line["consumed"] for line in lines) == UNITS
    assert {line["reason"] for line in lines if not line["consumed"]} == {"EXHAUSTED"}


class Pressure:
    """A thread that sends orders until nobody answers; keeps the refs of those that were acknowledged."""

    def __init__(self, url: str, name: str) -> None:
        self.acknowledged: list[str] = []
        self._url = url
        self._name = name
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        caller = Caller(self._url)
        for number in range(1_000_000):
            ref = f"{self._name}-{number}"
            try:
                answer = caller.post(CONSUME, placed(ref))
            except httpx.TransportError:
                break
            if answer.status_code == 202:
                self.acknowledged.append(ref)
        caller.close()


def test_a_killed_bridge_has_acknowledged_nothing_that_is_not_in_kafka(
    environment: dict[str, str], decider: Decider, directory: Path
) -> None:
    with BridgeProcess(environment, directory) as process:
        process.wait_ready()
        pressures = [Pressure(process.url, f"KILL-{number}") for number in range(8)]
        wait_until(lambda: sum(len(p.acknowledged) for p in pressures) > 300, "enough is acknowledged")
        process.kill()
        for pressure in pressures:
            pressure.thread.join(30)
    acknowledged = {ref for pressure in pressures for ref in pressure.acknowledged}
    arrived = Counter(
        json.loads(value)["order"]["ref"] for _, value in decider.read("order-placed") if b"KILL-" in value
    )
    assert len(acknowledged) > 300
    assert acknowledged <= set(arrived)
    assert len(arrived) - len(acknowledged) <= len(pressures)
    assert set(arrived.values()) == {1}


def test_a_bridge_that_shuts_down_finishes_what_it_has_taken(
    environment: dict[str, str], decider: Decider, directory: Path
) -> None:
    with BridgeProcess(environment, directory) as process:
        process.wait_ready()
        pressures = [Pressure(process.url, f"STOP-{number}") for number in range(4)]
        wait_until(lambda: sum(len(p.acknowledged) for p in pressures) > 100, "enough is acknowledged")
        begun = time.monotonic()
        assert process.terminate() == 0
        assert time.monotonic() - begun < 10
        for pressure in pressures:
            pressure.thread.join(30)
    acknowledged = {ref for pressure in pressures for ref in pressure.acknowledged}
    arrived = {
        json.loads(value)["order"]["ref"] for _, value in decider.read("order-placed") if b"STOP-" in value
    }
    assert acknowledged == arrived
