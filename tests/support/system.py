"""A whole system for a test: topics, worker processes, the Fluent simulator, producers and readers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil
from confluent_kafka import Consumer, Producer, TopicPartition

from flashsale.admin.topics import create_topics
from streams.reader import headers_of
from streams.settings import load_settings
from tests.support.fluent import FluentSimulator

QUICK: dict[str, Any] = {
    "claimGraceSeconds": 1,
    "expiryGraceSeconds": 0.3,
    "releaseIntervalSeconds": 0.2,
    "reconciliationIntervalSeconds": 2,
    "settleDelaySeconds": 1,
    "settleIntervalSeconds": 0.5,
    "fluentRequestsPerSecond": 500,
    "fluentTimeoutSeconds": 2,
    "fluentAskAgainSeconds": 2,
    "fluentVerifySeconds": 4,
    "kafkaSessionTimeoutMs": 2000,
    "partitions": 2,
}
"""A configuration with short times, so that what takes minutes in a shop takes seconds in a test."""


T = TypeVar("T")


class TimedOut(AssertionError):
    """A condition did not come true in time."""


def wait_until(condition: Callable[[], T | None], what: str, timeout_s: float = 30.0) -> T:
    """Wait until `condition` returns something true, and return it."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise TimedOut(f"after {timeout_s:.0f} s still not: {what}")
        time.sleep(0.05)


def is_gone(process: psutil.Process) -> bool:
    """Whether a process has ended; nobody may have asked for its status yet."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


WORKER = ("-m", "flashsale.cli", "worker")


class WorkerProcess:
    """One `flashsale worker`, in a process group of its own, its log in a file."""

    def __init__(
        self,
        environment: Mapping[str, str],
        directory: Path,
        name: str,
        *arguments: str,
        program: Sequence[str] = WORKER,
    ) -> None:
        self.log_path = directory / f"{name}.log"
        data = directory / name
        self._log = self.log_path.open("ab")
        self.process = subprocess.Popen(
            [sys.executable, *program, *arguments],
            env={**os.environ, **environment, "DATA_DIR": str(data)},
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )

    @property
    def log(self) -> str:
        """Everything it wrote so far."""
        return self.log_path.read_text(errors="replace")

    def ready_count(self) -> int:
        """How often it has said that it is ready."""
        return self.log.splitlines().count("ready")

    def wait_ready(self, times: int = 1, timeout_s: float = 60.0) -> None:
        """Wait for its `ready` line."""

        def ready() -> bool:
            if self.process.poll() is not None:
                raise AssertionError(f"the worker ended with {self.process.returncode}:\n{self.log[-3000:]}")
            return self.ready_count() >= times

        wait_until(ready, f"{self.log_path.name} is ready", timeout_s)

    def signal(self, signum: int) -> None:
        """Send a signal to supervisor and child together."""
        os.killpg(self.process.pid, signum)

    def kill(self) -> None:
        """SIGKILL, as a machine that loses power."""
        if self.process.poll() is None:
            self.signal(signal.SIGKILL)
        self.process.wait(20)
        self._log.close()

    def terminate(self, timeout_s: float = 40.0) -> int:
        """SIGTERM to the supervisor; returns its exit status."""
        if self.process.poll() is None:
            self.process.terminate()
        status = self.process.wait(timeout_s)
        self._log.close()
        return status


@dataclass
class System:
    """Topics under a prefix, with everything that a test needs around them."""

    bootstrap: str
    prefix: str
    directory: Path
    fluent: FluentSimulator
    config: dict[str, Any] = field(default_factory=dict)
    workers: list[WorkerProcess] = field(default_factory=list)
    extra_environment: dict[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """What every process of the system is started with."""
        file = self.directory / "config.json"
        file.write_text(json.dumps({**QUICK, **self.config}))
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap,
            "TOPIC_PREFIX": self.prefix,
            "RESERVATION_CONFIG": str(file),
            **self.fluent.environment(),
            **self.extra_environment,
        }

    def create_topics(self) -> None:
        """What `flashsale topics` does."""
        create_topics(load_settings(self.environment()))

    def start_worker(
        self, *arguments: str, wait: bool = True, program: Sequence[str] = WORKER
    ) -> WorkerProcess:
        """One more worker process, with these arguments of `flashsale worker`."""
        name = f"worker-{len(self.workers)}"
        worker = WorkerProcess(self.environment(), self.directory, name, *arguments, program=program)
        self.workers.append(worker)
        if wait:
            worker.wait_ready()
        return worker

    def publish(self, topic: str, events: Iterable[Any], key: Callable[[Any], str] | None = None) -> int:
        """Send events (dicts, or bytes as they are) to a topic; returns how many."""
        producer = Producer(
            {
                "bootstrap.servers": self.bootstrap,
                "enable.idempotence": True,
                "linger.ms": 5,
                "queue.buffering.max.messages": 1_000_000,
                "message.max.bytes": 4_000_000,
            }
        )
        count = 0
        for event in events:
            value = event if isinstance(event, bytes) else json.dumps(event).encode()
            producer.produce(self.prefix + topic, value, None if key is None else key(event))
            count += 1
            if not count % 1_000:
                producer.poll(0)
        assert producer.flush(60) == 0
        return count

    def read(self, topic: str) -> list[Message]:
        """All committed records of a topic up to its end now."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": f"{self.prefix}reader",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 20,
            }
        )
        try:
            partitions = consumer.list_topics(self.prefix + topic, 10).topics[self.prefix + topic].partitions
            consumer.assign([TopicPartition(self.prefix + topic, p, 0) for p in partitions])
            return list(_to_the_end(consumer, len(partitions)))
        finally:
            consumer.close()

    def wait_for(self, topic: str, count: int, timeout_s: float = 60.0) -> list[Message]:
        """Wait until a topic has `count` committed records, and return them."""

        def enough() -> list[Message]:
            found = self.read(topic)
            return found if len(found) >= count else []

        return wait_until(enough, f"{count} records in {topic}", timeout_s)

    def close(self) -> None:
        """Kill what still runs."""
        for worker in self.workers:
            worker.kill()


@dataclass(frozen=True)
class Message:
    """A committed record."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes
    headers: dict[str, str]
    timestamp_ms: int

    @property
    def json(self) -> Any:
        """The value, decoded."""
        return json.loads(self.value)


def _to_the_end(consumer: Consumer, partitions: int) -> Iterator[Message]:
    ended: set[int] = set()
    deadline = time.monotonic() + 30
    while len(ended) < partitions and time.monotonic() < deadline:
        for message in consumer.consume(2_000, 0.05):
            if message.error() is not None:
                ended.add(message.partition() or 0)
                continue
            headers = {name: (value or b"").decode(errors="replace") for name, value in headers_of(message)}
            yield Message(
                message.partition() or 0,
                message.offset() or 0,
                message.key(),
                message.value() or b"",
                headers,
                message.timestamp()[1],
            )


@contextmanager
def system(
    bootstrap: str, prefix: str, directory: Path, stock: dict[str, dict[str, int]], **config: Any
) -> Iterator[System]:
    """A system with its simulator and topics; workers are started by the test."""
    with FluentSimulator(stock) as fluent:
        built = System(bootstrap, prefix, directory, fluent, config)
        built.create_topics()
        try:
            yield built
        finally:
            built.close()
