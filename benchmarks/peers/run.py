"""One peer decides one workload, from the first order taken to the last outcome's commit; then the audit."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka.admin import AdminClient, NewTopic

from benchmarks import prefill
from benchmarks.peers.audit import find_faults
from benchmarks.peers.peer import Peer
from benchmarks.peers.workload import SKUS, Orders
from benchmarks.reader import Committed, committed, wait_committed
from benchmarks.result import Arena
from benchmarks.subject import HERE, TODAY
from benchmarks.trial import Trial
from benchmarks.usage import cpu_s, rss_mb
from rehearsal.demo.processes import StageError, wait_for
from schemas.topics import ORDER_OUTCOMES, ORDER_PLACED

PARTITIONS = 4
STREAM_THREADS = "2"
"""Of Kafka Streams: the fastest number for it on two cores."""

START_TIMEOUT_S, TIMEOUT_S, STOP_TIMEOUT_S = 90.0, 600.0, 30.0
STARTED = re.compile(r"^started ([\d.]+)$", re.MULTILINE)


@dataclass(frozen=True)
class Measured:
    """What a peer did with a workload."""

    seconds: float
    events: int
    client_us: float
    """Processor time of the peer's own processes, an order."""
    server_us: float
    """The same of the broker, and of the database where there is one."""
    rss_mb: float
    later_rate: float
    """Orders a second of the second half: a compiler that was cold has warmed up."""
    faults: Sequence[str] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Orders a second."""
        return self.events / self.seconds


class Meter:
    """Processor time of some processes, from its making on."""

    def __init__(self, clients: Sequence[int], servers: Sequence[int]) -> None:
        self._clients, self._servers = clients, servers
        self._began = self._now()

    def measured(self, began: float, ended: Committed, events: int, faults: Sequence[str]) -> Measured:
        """What has been used since."""
        client, servers = (now - then for now, then in zip(self._now(), self._began, strict=True))
        per_order = 1e6 / events
        return Measured(
            ended.at - began,
            events,
            client * per_order,
            servers * per_order,
            sum(map(rss_mb, self._clients)),
            ended.later_rate(began, events),
            faults,
        )

    def _now(self) -> tuple[float, float]:
        return sum(map(cpu_s, self._clients)), sum(map(cpu_s, self._servers))


def measure(arena: Arena, peer: Peer, workload: str, orders: Orders) -> Measured:
    """Have the peer decide orders that have piled up. Raises RuntimeError or StageError when it does not."""
    return _ours(arena, peer, orders) if peer.command is None else _theirs(arena, peer, workload, orders)


def _ours(arena: Arena, peer: Peer, orders: Orders) -> Measured:
    with Trial(arena, TODAY, PARTITIONS, SKUS, orders.units) as trial:
        topic, count = trial.topic(ORDER_OUTCOMES), len(orders.events)
        prefill.send(trial.client, trial.topic(ORDER_PLACED), orders.records(peer.key))
        began, workers = trial.start_workers(peer.workers)
        meter = Meter(workers, [arena.broker_pid])
        ended = wait_committed(trial.client, topic, PARTITIONS, count, TIMEOUT_S)
        faults = find_faults(orders, committed(trial.client, topic, PARTITIONS))
        return meter.measured(began, ended, count, faults)


def _theirs(arena: Arena, peer: Peer, workload: str, orders: Orders) -> Measured:
    name, count = f"peer-{peer.name}-{uuid.uuid4().hex[:6]}", len(orders.events)
    source, outcomes = f"{name}-orders", f"{name}-outcomes"
    assert peer.command is not None
    command = peer.command(arena.directory, workload)
    with ExitStack() as closing:
        closing.enter_context(_topics(arena, [source, outcomes]))
        prefill.send(arena.client, source, orders.records(peer.key))
        server = closing.enter_context(peer.server()) if peer.server else None
        folder = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="peer-")))
        told = {
            "PEER_BOOTSTRAP": arena.bootstrap,
            "PEER_ORDERS": source,
            "PEER_OUTCOMES": outcomes,
            "PEER_NAME": name,
            "PEER_UNITS": str(orders.units),
            "PEER_SKUS": str(SKUS),
            "PEER_DIRECTORY": str(folder),
            "PEER_SERVER": server.address if server else "",
            "PEER_THREADS": STREAM_THREADS,
        }
        process, log = closing.enter_context(_running(command, told, folder / "peer.log"))
        began = _started(process, log)
        meter = Meter([process.pid], [arena.broker_pid, *([server.pid] if server else [])])
        try:
            ended = wait_committed(arena.client, outcomes, PARTITIONS, count, TIMEOUT_S)
        except RuntimeError as error:
            raise RuntimeError(f"{peer.title}: {error}; its last words:\n{_last_words(log)}") from None
        faults = find_faults(orders, committed(arena.client, outcomes, PARTITIONS))
        return meter.measured(began, ended, count, faults)


def _started(process: subprocess.Popen[bytes], log: Path) -> float:
    """The Unix time at which the peer says that it took its first order."""

    def look() -> re.Match[str] | None:
        if process.poll() is not None:
            raise RuntimeError(f"{log.parent.name} ended with {process.returncode}:\n{_last_words(log)}")
        return STARTED.search(log.read_text(errors="replace"))

    try:
        return float(wait_for(look, "the first order is taken", START_TIMEOUT_S)[1])
    except StageError as error:
        raise RuntimeError(f"{error} The log says:\n{_last_words(log)}") from None


def _last_words(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:]


@contextmanager
def _running(
    command: Sequence[str], told: Mapping[str, str], log: Path
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    environment = {**os.environ, **told, "PYTHONPATH": str(HERE)}
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, env=environment, cwd=log.parent, stdout=out, stderr=out, process_group=0
        )
    try:
        yield process, log
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def _topics(arena: Arena, names: Sequence[str]) -> Iterator[None]:
    """Topics that are there for the run only, with those that a peer makes for itself under the same name."""
    admin = AdminClient(arena.client)
    for made in admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in names]).values():
        made.result(START_TIMEOUT_S)
    try:
        yield
    finally:
        stem = names[0].rpartition("-")[0]
        known = [name for name in admin.list_topics(timeout=START_TIMEOUT_S).topics if stem in name]
        for gone in admin.delete_topics(known).values():
            gone.result(START_TIMEOUT_S)
