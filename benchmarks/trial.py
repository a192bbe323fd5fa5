"""A system under test: topics, the Fluent simulator, one worker, a promotion that has begun.

It is driven by the wire contract only, its commands and its topics, so that any revision can be measured.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Self

from confluent_kafka import Consumer

from benchmarks import prefill
from benchmarks.reader import reader, wait_committed
from benchmarks.result import Arena, Result
from benchmarks.subject import Subject
from benchmarks.usage import cpu_s, disk_mb, rss_mb
from rehearsal.demo.processes import Process, wait_for
from schemas.topics import ORDER_OUTCOMES, ORDER_PLACED, PROMOTION_RESULTS, PROMOTION_START

CONFIG: dict[str, Any] = {
    "fluentRequestsPerSecond": 1_000,
    # Nothing of this is to happen while orders are measured.
    "settleDelaySeconds": 3_600,
    "reconciliationIntervalSeconds": 3_600,
}
LOGIN = ("FLUENT_ACCOUNT", "FLUENT_CLIENT_ID", "FLUENT_CLIENT_SECRET", "FLUENT_USERNAME", "FLUENT_PASSWORD")
ADDRESS = re.compile(r"(?<=FLUENT_BASE_URL=)\S+")
READY = re.compile(r"^ready$", re.MULTILINE)
PLACE = "LOC-1"
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0

Measure = Callable[[Arena, Subject], list[Result]]
"""Takes one figure, or some that belong together, of a revision."""


class Trial:
    """Use as a context manager: inside it `skus` SKUs are set aside and nothing runs but the simulator."""

    def __init__(
        self,
        arena: Arena,
        subject: Subject,
        partitions: int,
        skus: int,
        units: int = prefill.UNITS,
        **config: Any,
    ) -> None:
        """`config` are settings by their names in the configuration file, before those of all trials."""
        self._arena = arena
        self._subject = subject
        self.partitions = partitions
        self._skus = skus
        self._units = units
        self._config = {**CONFIG, **config, "partitions": partitions}
        self._name = f"{subject.name}-{uuid.uuid4().hex[:6]}"
        self._directory = arena.directory / self._name
        self._exit = ExitStack()
        self._starts = 0
        self.worker: Process | None = None

    def __enter__(self) -> Self:
        try:
            self._set_up()
        except BaseException:
            self._exit.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    @property
    def client(self) -> dict[str, Any]:
        """Settings of a confluent-kafka client."""
        return self._arena.client

    def topic(self, name: str) -> str:
        """A topic's name on the broker."""
        return f"{self._name}-{name}"

    def start_worker(self, disk: str = "data") -> float:
        """Start a worker; returns the Unix time at which it said that it is ready. `worker` is the newest."""
        self._launch(disk).said(READY, START_TIMEOUT_S)
        return time.time()

    def start_workers(self, count: int) -> tuple[float, list[int]]:
        """Start some at once; returns the Unix time at which the first one was ready, and their processes."""
        started = [self._launch(f"data-{number}" if number else "data") for number in range(count)]

        def ready() -> bool:
            for each in started:
                each.check()
            return any(READY.search(each.output) for each in started)

        wait_for(ready, "a worker is ready", START_TIMEOUT_S)
        return time.time(), [each.pid for each in started]

    def _launch(self, disk: str) -> Process:
        self._starts += 1
        log = self._directory / f"worker-{self._starts}.log"
        environment = {**self._environment, "DATA_DIR": str(self._directory / disk)}
        worker = Process(self._subject.command("worker"), environment, log, cwd=self._subject.tree)
        self.worker = worker
        self._exit.callback(worker.kill)
        return worker

    def stop_worker(self) -> None:
        """Stop it in order."""
        if self.worker is not None:
            self.worker.terminate()
            self.worker.close(STOP_TIMEOUT_S)

    def start_promotion(self, promotion: str, units: int) -> None:
        """Have `units` of each SKU set aside; does not wait."""
        skus = [{"sku": f"SKU-{i}", "quantity": units} for i in range(self._skus)]
        start = {"promotion": {"id": promotion, "skus": skus, "durationMinutes": 10_080}}
        event = (promotion.encode(), json.dumps(start).encode())
        prefill.send(self.client, self.topic(PROMOTION_START), [event])

    def place(self, orders: int, lines: int = 1, *, keyed_by_ref: bool = True) -> None:
        """Put orders into order-placed."""
        events = prefill.orders(orders, self._skus, lines, keyed_by_ref=keyed_by_ref)
        prefill.send(self.client, self.topic(ORDER_PLACED), events)

    def wait_decided(self, count: int, timeout_s: float = 300.0) -> float:
        """Wait for this many outcomes; returns the Unix time of the last one's commit, to 50 ms.

        Raises RuntimeError when they do not come, or when there are others.
        """
        try:
            topic = self.topic(ORDER_OUTCOMES)
            return wait_committed(self.client, topic, self.partitions, count, timeout_s).at
        except RuntimeError as error:
            raise RuntimeError(f"{self._subject.name}: {error}") from None

    def cpu_s(self) -> float:
        """Processor seconds of the worker so far, all its processes together."""
        assert self.worker is not None
        return cpu_s(self.worker.pid)

    def broker_cpu_s(self) -> float:
        """Processor seconds of the broker so far."""
        return cpu_s(self._arena.broker_pid)

    def rss_mb(self) -> float:
        """Resident memory of the worker's processes in MB."""
        assert self.worker is not None
        return rss_mb(self.worker.pid)

    def disk_mb(self, disk: str = "data") -> float:
        """Size of a worker's files in MB."""
        return disk_mb(self._directory / disk)

    def outcomes(self) -> Consumer:
        """A `read_committed` reader of the outcomes, from the beginning."""
        return reader(self.client, self.topic(ORDER_OUTCOMES), self.partitions)

    def _set_up(self) -> None:
        self._directory.mkdir()
        self._exit.callback(shutil.rmtree, self._directory, ignore_errors=True)
        self._start_simulator()
        self.fluent_url = self._simulator.said(ADDRESS, START_TIMEOUT_S)
        self._environment = self._environment_of(self.fluent_url)
        log = self._directory / "topics.log"
        topics = Process(self._subject.command("topics"), self._environment, log, cwd=self._subject.tree)
        topics.finish(START_TIMEOUT_S)
        self.start_worker()
        self._begin()
        self.stop_worker()

    def _start_simulator(self) -> None:
        stock = self._directory / "stock.json"
        stock.write_text(json.dumps({f"SKU-{i}": {PLACE: 2 * prefill.UNITS} for i in range(self._skus)}))
        self._simulator = Process(
            ["rehearsal.fluent", "--port", "0", "--stock", str(stock)],
            _bare(),
            self._directory / "simulator.log",
        )
        self._exit.callback(self._simulator.kill)

    def _environment_of(self, fluent_url: str) -> dict[str, str]:
        config = self._directory / "config.json"
        config.write_text(json.dumps(self._config))
        return {
            **_bare(),
            **self._subject.environment,
            "KAFKA_BOOTSTRAP_SERVERS": self._arena.bootstrap,
            "TOPIC_PREFIX": f"{self._name}-",
            "RESERVATION_CONFIG": str(config),
            "FLUENT_BASE_URL": fluent_url,
            **dict.fromkeys(LOGIN, "simulator"),
        }

    def _begin(self) -> None:
        self.start_promotion(prefill.PROMOTION, self._units)
        results = reader(self.client, self.topic(PROMOTION_RESULTS), self.partitions)
        try:
            answer = wait_for(lambda: _first(results), "the promotion has its results", START_TIMEOUT_S)
        finally:
            results.close()
        if answer["summary"]["errors"]:
            raise RuntimeError(f"{self._subject.name} refused {answer['summary']['errors']} SKUs")


def _bare() -> dict[str, str]:
    """This process's environment without what says where Kafka and Fluent are."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("KAFKA_", "FLUENT_"))}


def _first(results: Consumer) -> Any:
    for message in results.consume(100, 0.05):
        if message.error() is None:
            return json.loads(message.value() or b"{}")
    return None
