"""A broker that goes away and comes back."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from flashsale.admin.topics import create_topics
from rehearsal.kafka import EmbeddedKafka
from streams.settings import load_settings
from tests.bridge.decisions import Decider
from tests.bridge.process import BridgeProcess, Caller, placed
from tests.support.system import wait_until

pytestmark = pytest.mark.kafka

CONSUME = "/consume-reservation"


@pytest.fixture
def broker() -> Iterator[EmbeddedKafka]:
    """A broker of this test's own."""
    with EmbeddedKafka() as found:
        yield found


@pytest.mark.slow
def test_without_kafka_it_is_503_and_with_kafka_again_202_and_nothing_acknowledged_is_lost(
    broker: EmbeddedKafka, directory: Path
) -> None:
    environment = {"KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap}
    create_topics(load_settings(environment))
    with BridgeProcess(environment, directory) as process:
        caller = Caller(process.wait_ready().url)
        statuses: dict[str, int] = {}

        def send(ref: str) -> int:
            answer = caller.post(CONSUME, placed(ref))
            statuses[ref] = answer.status_code
            assert answer.status_code == 202 or answer.headers["retry-after"] == "1"
            return answer.status_code

        for number in range(50):
            assert send(f"BEFORE-{number}") == 202
        broker.kill()
        begun = time.monotonic()
        assert send("FIRST") == 503
        assert time.monotonic() - begun < 9
        wait_until(lambda: not process.is_ready(), "the bridge says that it is not ready")
        begun = time.monotonic()
        assert send("SECOND") == 503
        assert time.monotonic() - begun < 4
        assert caller.get("/healthz").is_success
        broker.start()
        process.wait_ready()
        wait_until(lambda: send("AGAIN") == 202, "events are taken again")
        for number in range(50):
            assert send(f"AFTER-{number}") == 202
        caller.close()
        assert process.terminate() == 0
    values = [json.loads(value) for _, value in Decider(broker.bootstrap, "").read("order-placed")]
    arrived = Counter(value["order"]["ref"] for value in values)
    assert {ref for ref, status in statuses.items() if status == 202} <= set(arrived)
    assert all(count == 1 for ref, count in arrived.items() if ref.startswith(("BEFORE", "AFTER")))
