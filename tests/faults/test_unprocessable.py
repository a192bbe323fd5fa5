"""An order at which a worker fails, real processes: it ends two of them, and then it is out of the way."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flashsale.supervisor.exits import CANNOT_GO_ON
from schemas.headers import DeadLetterHeaders
from tests.support import failing_worker
from tests.support.audit import order
from tests.support.kafka import KafkaUnderTest
from tests.support.system import System, system

BAD = "ORD-BAD"


@contextmanager
def with_a_bug(sale: System, name: str) -> Iterator[subprocess.Popen[str]]:
    """A worker that fails at BAD, with a disk of its own."""
    with subprocess.Popen(
        [sys.executable, failing_worker.__file__, BAD],
        env={**os.environ, **sale.environment(), "DATA_DIR": str(sale.directory / name)},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_an_order_that_ended_two_workers_is_a_dead_letter_and_its_neighbours_are_decided(
    kafka: KafkaUnderTest, topic_prefix: str, tmp_path: Path
) -> None:
    with system(kafka.bootstrap, topic_prefix, tmp_path, {"SKU": {"LOC": 10}}, partitions=1) as sale:
        events = [order(ref, "FLASH", ("SKU", 1)) for ref in ("ORD-1", BAD, "ORD-2")]
        sale.publish("order-placed", events)
        for name in ("first", "second"):
            with with_a_bug(sale, name) as process:
                _, log = process.communicate(timeout=60)
                assert process.returncode == CANNOT_GO_ON, log
            assert f"nobody thought of {BAD}" in log.splitlines()[-1]
            [trace] = [line for line in log.splitlines() if '"stage_failed"' in line]
            assert "in failing" in trace and "LookupError" in trace
            assert sale.read("order-outcomes") == sale.read("dead-letters") == []
        with with_a_bug(sale, "third"):
            [dead] = sale.wait_for("dead-letters", 1)
            outcomes = sale.wait_for("order-outcomes", 2)
    headers = DeadLetterHeaders.model_validate(dead.headers)
    assert (headers.reason, headers.error) == ("UNPROCESSABLE", f"LookupError: nobody thought of {BAD}")
    assert (headers.source_topic, dead.json) == (f"{topic_prefix}order-placed", events[1])
    assert sorted(outcome.json["orderRef"] for outcome in outcomes) == ["ORD-1", "ORD-2"]
