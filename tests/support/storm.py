"""Help for sales that run in bad weather: the shop that books in Fluent, and figures read from Fluent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import psutil
from confluent_kafka import Consumer, TopicPartition

from rehearsal.fluent.switches import Fault
from tests.support.audit import Key, key_of
from tests.support.system import System, WorkerProcess, wait_until

SHARE_OF_EACH_FAULT = 0.05
WEATHER: dict[str, Any] = {
    "faults": {fault.value: SHARE_OF_EACH_FAULT for fault in Fault},
    "latency_ms": 10,
    "hang_ms": 200,
    "late_ms": 1_500,
}
"""Two requests in three suffer something; a time-out's connection is closed after 200 ms."""

OUTCOMES = "order-outcomes"
QUIET = {"log_level": 2, "reconnect.backoff.max.ms": 500}
"""Of a librdkafka client: it need not say that the broker is away, for it was the test that stopped it."""

STOP_WITHIN_S = 20


class Shop(threading.Thread):
    """Fluent's order flow, as a shop drives it: books the accepted lines of each outcome, once per order.

    It does so `after_s` it has read the outcome, and gives back what a cancel gives back. Use as a context
    manager; `booked` are the orders whose bookings Fluent has. A failure is raised at the end.
    """

    def __init__(self, system: System, after_s: float = 0.0) -> None:
        super().__init__(name="shop", daemon=True)
        self.booked: set[Key] = set()
        self.failure: Exception | None = None
        self._system = system
        self._after_s = after_s
        self._read: deque[tuple[float, dict[str, Any]]] = deque()
        """When to book which outcome."""
        self._stopping = threading.Event()

    def run(self) -> None:
        """Follow the outcomes until the end of the `with` block."""
        consumer = follower(self._system, OUTCOMES)
        try:
            while not self._stopping.is_set():
                for message in consumer.consume(500, 0.05):
                    if message.error() is None:
                        outcome = json.loads(message.value() or b"{}")
                        self._read.append((time.monotonic() + self._after_s, outcome))
                while self._read and self._read[0][0] <= time.monotonic():
                    self._book(self._read.popleft()[1])
        except Exception as error:
            self.failure = error
        finally:
            consumer.close()

    def _book(self, outcome: dict[str, Any]) -> None:
        key = key_of(outcome)
        if "cancelResults" in outcome:
            back = [(each["sku"], each["quantity"]) for each in outcome["cancelResults"] if each["cancelled"]]
            if back:
                self._system.fluent.cancel("/".join(key), back, str(outcome["revision"]))
            return
        if key in self.booked:
            return
        items = [
            {"sku": line["sku"], "quantity": line["quantity"]}
            for line in outcome["consumeResults"]
            if line["consumed"]
        ]
        if items:
            self._system.fluent.order("/".join(key), items)
        self.booked.add(key)

    def has_booked(self, count: int) -> bool:
        """Whether that many orders are done with, refused ones included. Raises what the shop ran into."""
        if self.failure is not None:
            raise self.failure
        return len(self.booked) >= count

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self.join(STOP_WITHIN_S)
        if self.failure is not None:
            raise self.failure


def follower(system: System, topic: str) -> Consumer:
    """A read_committed consumer of all of a topic, from its beginning, that belongs to no group."""
    consumer = Consumer(
        {
            "bootstrap.servers": system.bootstrap,
            "group.id": f"{system.prefix}shop",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 20,
            **QUIET,
        }
    )
    partitions = consumer.list_topics(system.prefix + topic, 10).topics[system.prefix + topic].partitions
    consumer.assign([TopicPartition(system.prefix + topic, number, 0) for number in partitions])
    return consumer


def most_on_sale(entries: Iterable[dict[str, Any]]) -> dict[str, int]:
    """By SKU, the most that was on sale after any of these changes (entries of the simulator's journal)."""
    most: dict[str, int] = {}
    for entry in entries:
        most[entry["sku"]] = max(entry["available"], most.get(entry["sku"], entry["available"]))
    return most


def newest_report(sale: System) -> dict[str, Any]:
    """The last report that was published, of whatever kind; one without lines before the first."""
    reports: list[dict[str, Any]] = [message.json for message in sale.read("reconciliation-reports")]
    return max(reports, key=lambda report: str(report["generatedAt"]), default={"lines": []})


class FreezingWorker(WorkerProcess):
    """A worker that stops itself once, in the middle of sending `operation`: see freezing_worker.py."""

    def __init__(self, sale: System, operation: str) -> None:
        self.log_path = sale.directory / "freezing.log"
        self._log = self.log_path.open("ab")
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("freezing_worker.py")), operation],
            env={**os.environ, **sale.environment(), "DATA_DIR": str(sale.directory / "freezing")},
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        sale.workers.append(self)

    def wait_frozen(self, timeout_s: float = 60.0) -> None:
        """Wait until it stands still."""
        process = psutil.Process(self.process.pid)
        wait_until(lambda: process.status() == psutil.STATUS_STOPPED, "the worker is frozen", timeout_s)

    def wake(self) -> None:
        """Let it go on where it stopped."""
        self.signal(signal.SIGCONT)
