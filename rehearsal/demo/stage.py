"""The stage of the demo: Kafka, the Fluent simulator, workers, the bridge with the sale's page.

It is set, and cleared whatever happened.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import tempfile
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from rehearsal.demo.display import Progress
from rehearsal.demo.processes import Process, WorkerProcess, wait_for
from rehearsal.kafka import EmbeddedKafka
from streams.kafka import check_broker, client_config
from streams.settings import Settings, load_settings
from streams.system import now_ms

WORKERS = 2
PARTITIONS = 2
"""One for each worker."""

QUICK: dict[str, Any] = {
    "partitions": PARTITIONS,
    "claimGraceSeconds": 1,
    "expiryGraceSeconds": 0.5,
    "releaseIntervalSeconds": 0.5,
    "reconciliationIntervalSeconds": 2,
    "settleDelaySeconds": 2,
    "settleIntervalSeconds": 1,
    "fluentRequestsPerSecond": 500,
    "fluentTimeoutSeconds": 3,
    "fluentAskAgainSeconds": 3,
    "fluentVerifySeconds": 6,
    "kafkaSessionTimeoutMs": 2_500,
}
"""What takes minutes in a shop takes seconds here."""

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 8.0
RETRY_S = 0.2
ADDRESS = re.compile(r"(?<=FLUENT_BASE_URL=)\S+")
BRIDGE_ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")
LOGIN = ("FLUENT_ACCOUNT", "FLUENT_CLIENT_ID", "FLUENT_CLIENT_SECRET", "FLUENT_USERNAME", "FLUENT_PASSWORD")


class Stage:
    """Use as a context manager. After an error, or with `failed` set, the logs stay, and it says where.

    `KAFKA_BOOTSTRAP_SERVERS` names a broker to use instead of the embedded one, which is said before anything
    happens there. A prefix of its own keeps the demo apart from what is there, and its topics and consumer
    groups are removed at the end. Fluent is always the simulator.
    """

    def __init__(self, stock: Mapping[str, Mapping[str, int]], progress: Progress) -> None:
        self._stock = stock
        self._progress = progress
        self._exit = ExitStack()
        self._external = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
        not_ours = ("FLUENT_", "BRIDGE_") if self._external else ("FLUENT_", "BRIDGE_", "KAFKA_")
        self._inherited = {name: value for name, value in os.environ.items() if not name.startswith(not_ours)}
        self.failed = False
        self.workers: list[WorkerProcess] = []
        self.prefix = f"demo-{uuid.uuid4().hex[:8]}-"
        self.fluent_url = ""
        self.page_url = ""
        """Where all sales are shown as they go on."""

    def __enter__(self) -> Self:
        try:
            self._set()
        except BaseException as error:
            self._clear(error)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clear(error)

    def announce_broker(self) -> None:
        """Say whose broker the demo will run on where it is not its own.

        Raises ConfigurationError where that broker does not answer.
        """
        if self._external:
            self._progress.say(
                f"KAFKA_BOOTSTRAP_SERVERS is set: the demo runs on your broker, {self._external}. "
                f"Its topics and groups start with {self.prefix} and are removed at the end. "
                "Without that variable it brings its own broker."
            )
            check_broker(load_settings(self._inherited))

    @property
    def settings(self) -> Settings:
        """How the demo itself connects: exactly as the workers do. Raises ConfigurationError."""
        return load_settings(self._environment)

    def truth(self) -> dict[str, dict[str, Any]]:
        """The simulator's `/_truth`. Raises httpx.HTTPError."""
        answer = httpx.get(f"{self.fluent_url}/_truth", timeout=10, trust_env=False)
        truth: dict[str, dict[str, Any]] = answer.raise_for_status().json()
        return truth

    def check(self) -> None:
        """Raise StageError when a process has ended that should not have."""
        for process in (self._simulator, self._bridge, *self.workers):
            process.check()

    def kill_a_worker(self) -> tuple[str, int]:
        """SIGKILL for a worker and its supervisor; returns its name and the moment, in Unix milliseconds."""
        victim = self.workers.pop(0)
        at_ms = now_ms()
        victim.kill()
        return victim.name, at_ms

    def _set(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="flashsale-demo-"))
        self._exit.callback(self._remove_directory)
        with self._progress.phase("Kafka and Fluent's simulator"):
            self._start_simulator()
            bootstrap = self._external or self._start_kafka()
            self.fluent_url = self._simulator.said(ADDRESS, START_TIMEOUT_S)
            self._environment = self._environment_for(bootstrap)
        if self._external:
            self._exit.callback(self._remove_traces)
        with self._progress.phase("Topics"):
            topics = Process(["flashsale.cli", "topics"], self._environment, self._directory / "topics.log")
            self._exit.callback(topics.kill)
            topics.finish(START_TIMEOUT_S)
        with self._progress.phase(f"{WORKERS} workers and the sale's page"):
            self._start_bridge()
            self._start_workers()
            self.page_url = f"{self._bridge.said(BRIDGE_ADDRESS, START_TIMEOUT_S)}/sale"

    def _clear(self, error: BaseException | None) -> None:
        """End everything, undisturbed by a second Ctrl-C; each step is bounded in time."""
        self.failed |= isinstance(error, Exception)
        before = {each: signal.signal(each, signal.SIG_IGN) for each in (signal.SIGINT, signal.SIGTERM)}
        try:
            self._exit.close()
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)

    def _start_simulator(self) -> None:
        stock = self._directory / "stock.json"
        stock.write_text(json.dumps(self._stock))
        arguments = ["flashsale.cli", "fluent-simulator", "--port", "0", "--stock", str(stock)]
        self._simulator = Process(arguments, self._inherited, self._directory / "fluent-simulator.log")
        self._exit.callback(self._simulator.close, 1.0)
        self._exit.callback(self._simulator.terminate)

    def _start_kafka(self) -> str:
        kafka = EmbeddedKafka(self._directory / "kafka")
        self._exit.callback(kafka.kill)  # its data go too: there is nothing to end in order
        return kafka.start().bootstrap

    def _environment_for(self, bootstrap: str) -> dict[str, str]:
        config = self._directory / "reservation-config.json"
        config.write_text(json.dumps(QUICK))
        return {
            **self._inherited,
            "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
            "TOPIC_PREFIX": self.prefix,
            "RESERVATION_CONFIG": str(config),
            "FLUENT_BASE_URL": self.fluent_url,
            **dict.fromkeys(LOGIN, "simulator"),
        }

    def _start_bridge(self) -> None:
        own = {"DATA_DIR": str(self._directory / "bridge-data")}
        arguments = ["flashsale.cli", "bridge", "--port", "0", "--unsigned"]
        self._bridge = Process(arguments, {**self._environment, **own}, self._directory / "bridge.log")
        self._exit.callback(self._bridge.close, 1.0)
        self._exit.callback(self._bridge.terminate)

    def _start_workers(self) -> None:
        self._exit.callback(self._stop_workers)
        for number in range(1, WORKERS + 1):
            self.workers.append(WorkerProcess(self._environment, self._directory, f"worker-{number}"))

        def all_own_tasks() -> bool:
            tasks = [worker.tasks() for worker in self.workers]
            return min(tasks) > 0 and sum(tasks) == PARTITIONS

        wait_for(all_own_tasks, "each worker owns its part of the partitions", START_TIMEOUT_S, 0.1)

    def _stop_workers(self) -> None:
        for worker in self.workers:
            worker.terminate()
        deadline = time.monotonic() + STOP_TIMEOUT_S
        for worker in self.workers:
            worker.close(deadline - time.monotonic())

    def _remove_traces(self) -> None:
        """Delete the demo's topics and groups, and say what is left."""
        admin = AdminClient(client_config(self.settings))
        deadline = time.monotonic() + STOP_TIMEOUT_S
        try:
            while (left := self._traces(admin)) != ([], []):
                if time.monotonic() > deadline:
                    names = ", ".join([*left[0], *left[1]])
                    self._progress.say(f"Left behind on the broker, to be removed by hand: {names}.")
                    return
                _delete(admin, *left)  # a killed worker keeps its group busy until its session is over
        except KafkaException as error:
            self._progress.say(f"What starts with {self.prefix} is left behind on the broker: {error}.")

    def _traces(self, admin: AdminClient) -> tuple[list[str], list[str]]:
        """Names of topics, and of consumer groups, that start with the prefix."""
        groups = admin.list_consumer_groups(request_timeout=STOP_TIMEOUT_S).result(STOP_TIMEOUT_S).valid
        names = (admin.list_topics(timeout=STOP_TIMEOUT_S).topics, [group.group_id for group in groups or ()])
        topics, of_groups = ([name for name in each if name.startswith(self.prefix)] for each in names)
        return topics, of_groups

    def _remove_directory(self) -> None:
        if not self.failed:
            shutil.rmtree(self._directory, ignore_errors=True)
            return
        for entry in sorted(self._directory.rglob("*"), reverse=True):  # what is inside a folder comes first
            if entry.is_dir():
                with suppress(OSError):  # a log is in it
                    entry.rmdir()
            elif entry.suffix not in (".log", ".json") or "data" in entry.parts:
                entry.unlink(missing_ok=True)
        self._progress.say(f"The logs are in {self._directory}.")


def _delete(admin: AdminClient, topics: list[str], groups: list[str]) -> None:
    """Ask for it, and wait for the answers; what was refused is found by looking again."""
    asked: dict[str, Future[None]] = {}
    if topics:
        asked |= admin.delete_topics(topics, operation_timeout=STOP_TIMEOUT_S)
    if groups:
        asked |= admin.delete_consumer_groups(groups)
    for answer in asked.values():
        if answer.exception(STOP_TIMEOUT_S) is not None:
            time.sleep(RETRY_S)
