"""How long orders wait when one of two workers, or one of three brokers, is lost in the middle of a sale.

Orders go out at a steady rate, and each order's outcome is received. What counts is the SKU that waits the
longest: from the loss to the first outcome of an order that was placed after it, for the last SKU of all.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from itertools import pairwise
from typing import Any

import httpx
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from benchmarks import prefill
from benchmarks.open_loop import Offered, offer
from benchmarks.result import Arena, Result
from benchmarks.subject import Subject
from benchmarks.trial import START_TIMEOUT_S, Measure, Trial
from rehearsal.demo.processes import Process, wait_for
from rehearsal.kafka import KafkaCluster

PARTITIONS = 12
SKUS = 60
RATE = 300
LOSS_AFTER_S = 8.0
SECONDS_AFTER = {"worker": 20, "broker": 35}
SLOW_FLUENT_MS = 1_000
ASKED_S = 0.7
"""From a promotion's start to the calls to Fluent that it causes."""

PATIENT = {"broker.session.timeout.ms": "9000", "broker.heartbeat.interval.ms": "2000"}
"""Kafka's defaults: a silent broker stays the leader for so long. The embedded Kafka is quicker."""

STEPS = (
    "tasks_suspended",
    "rows_restored",
    "tasks_registered",
    "tasks_open",
    "takeover_waits",
    "worker_stopped",
)
"""Lines of the log that tell how a takeover went on."""


class Loss:
    """Something that is taken away LOSS_AFTER_S from now; `at` is the Unix time of it."""

    def __init__(self, take: Callable[[], float]) -> None:
        self.at = 0.0
        self._take = take
        self._timer = threading.Timer(LOSS_AFTER_S, self._do)
        self._timer.start()

    def _do(self) -> None:
        self.at = self._take()


def _lost_worker(
    arena: Arena, subject: Subject, *, name: str, aim: str, take: Callable[[Trial, Process], float]
) -> list[Result]:
    with Trial(arena, subject, PARTITIONS, SKUS) as trial:
        victim, survivor = _two_workers(trial)
        loss = Loss(partial(take, trial, victim))
        offered = offer(trial, RATE, round(LOSS_AFTER_S) + SECONDS_AFTER["worker"], skus=SKUS)
        _tell(victim, loss.at)
        _tell(survivor, loss.at)
    return [_result(name, aim, offered, loss.at)]


def _lost_broker(arena: Arena, subject: Subject) -> list[Result]:
    """The one that coordinates the workers' group, with three copies of everything of which two suffice."""
    with KafkaCluster(overrides=PATIENT) as cluster:
        there = Arena(cluster.bootstrap, cluster.nodes[0].pid or 0, arena.directory)
        with Trial(there, subject, PARTITIONS, SKUS) as trial:
            workers = _two_workers(trial)
            victim = cluster.nodes[_coordinator(trial) - 1]

            def kill() -> float:
                at = time.time()
                victim.kill()
                return at

            loss = Loss(kill)
            offered = offer(trial, RATE, round(LOSS_AFTER_S) + SECONDS_AFTER["broker"], skus=SKUS)
            for worker in workers:
                _tell(worker, loss.at)
            restarts = sum(worker.output.count("worker_restarts") for worker in workers)
    notes = f"{restarts} workers started again"
    return [_result("one of three brokers is killed", "12 s", offered, loss.at, notes)]


def _two_workers(trial: Trial) -> tuple[Process, Process]:
    trial.start_worker("one")
    first = trial.worker
    trial.start_worker("two")
    second = trial.worker
    assert first is not None and second is not None
    return first, second


def _kill(_trial: Trial, victim: Process) -> float:
    at = time.time()
    victim.kill()
    return at


def _stop(_trial: Trial, victim: Process) -> float:
    at = time.time()
    victim.terminate()
    return at


def _stop_while_fluent_is_asked(trial: Trial, victim: Process) -> float:
    httpx.post(f"{trial.fluent_url}/_control", json={"latencyMs": SLOW_FLUENT_MS}).raise_for_status()
    trial.start_promotion("LATE", 1)
    time.sleep(ASKED_S)
    return _stop(trial, victim)


def _coordinator(trial: Trial) -> int:
    group, admin = trial.topic("flashsale"), AdminClient(trial.client)

    def asked() -> int | None:
        try:
            described = admin.describe_consumer_groups([group], request_timeout=5)[group].result(6)
        except (KafkaException, TimeoutError):
            return None
        return int(described.coordinator.id)

    return wait_for(asked, "the coordinator of the group is known", START_TIMEOUT_S)


def _result(name: str, aim: str, offered: Offered, at: float, notes: str = "") -> Result:
    told = [f"nothing at all for {silence_s(offered, at):.1f} s", notes]
    if offered.missing:
        told.append(f"{offered.missing} orders have no outcome")
    return Result(
        f"until all decide again: {name}", waited_s(offered, at), "s", aim, "; ".join(filter(None, told))
    )


def waited_s(offered: Offered, at: float) -> float:
    """Seconds from `at` until there is, for every SKU, an outcome of an order that was placed later."""
    first: dict[str, float] = {}
    for number, sku in enumerate(_skus(len(offered.taken))):
        due = offered.began + number / RATE
        if due > at:
            first[sku] = min(first.get(sku, float("inf")), due + offered.taken[number] - at)
    return max(first.values())


def numbers_of(sku: str, orders: int) -> list[int]:
    """Which of the first `orders` orders are for a SKU."""
    return [number for number, each in enumerate(_skus(orders)) if each == sku]


def _skus(orders: int) -> Iterator[str]:
    for _, value in prefill.orders(orders, SKUS):
        yield json.loads(value)["order"]["items"][0]["sku"]


def silence_s(offered: Offered, at: float) -> float:
    """The longest time from `at` to the last order in which no outcome came."""
    end = offered.began + len(offered.taken) / RATE
    came = sorted(offered.began + number / RATE + taken for number, taken in enumerate(offered.taken))
    later = [at, *(moment for moment in came if at < moment < end)]
    return max(after - before for before, after in pairwise(later))


def _tell(worker: Process, at: float) -> None:
    """Print how its takeover went on, in seconds from the loss."""
    for line in _lines(worker):
        since = datetime.fromisoformat(line.pop("timestamp")).timestamp() - at
        step = line["event"].replace(" ", "_")  # as it was spelt before
        if since > 0 and step in STEPS:
            told = {key: value for key, value in line.items() if key not in ("event", "level", "logger")}
            print(f"    +{since:.2f} s {worker.name} {step} {told}", file=sys.stderr)


def _lines(worker: Process) -> Iterator[dict[str, Any]]:
    for line in worker.output.splitlines():
        if line.startswith("{"):
            yield json.loads(line)


STOPPED: Measure = partial(_lost_worker, name="SIGTERM", aim="1.5 s", take=_stop)
FIGURES: tuple[Measure, ...] = (
    partial(_lost_worker, name="SIGKILL", aim="8 s", take=_kill),
    STOPPED,
    partial(_lost_worker, name="SIGTERM, Fluent takes 1 s", aim="4 s", take=_stop_while_fluent_is_asked),
    _lost_broker,
)
