"""What happens to the processes of a sale: each act ends when decisions go on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Self

from rehearsal.kafka import EmbeddedKafka
from schemas.topics import ORDER_OUTCOMES
from tests.faults.long_sale.timeline import Timeline
from tests.support.storm import follower
from tests.support.system import System, WorkerProcess, wait_until

POLICIES = ("partial", "all-or-nothing")
BEYOND_THE_SESSION_S = 2.0
AWAY_S = 5.0
VISIT_S = 3.0
STOPPED_WITHIN_S = 60.0
JOINED_WITHIN_S = 20.0
GOES_ON_WITHIN_S = 120.0

DATABASE_FILES = ("0", "MANIFEST")
"""How the names of RocksDB's tables and write-ahead logs begin, and of the file that lists them."""


class Decisions(threading.Thread):
    """Counts the outcomes that a `read_committed` reader sees. Use as a context manager."""

    def __init__(self, sale: System) -> None:
        super().__init__(name="decisions", daemon=True)
        self.count = 0
        self._consumer = follower(sale, ORDER_OUTCOMES)
        self._stopping = threading.Event()

    def run(self) -> None:
        """Count until the end of the `with` block; a broker that is away answers nothing for a while."""
        while not self._stopping.is_set():
            found = self._consumer.consume(5_000, 0.05)
            self.count += sum(1 for message in found if message.error() is None)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self.join(20)
        self._consumer.close()


@dataclass
class Staff:
    """The workers of a sale. They differ in what an order means: half of them take all or nothing."""

    sale: System
    directory: Path
    common: Mapping[str, str]
    all: list[WorkerProcess] = field(default_factory=list)
    stops: Counter[int] = field(default_factory=Counter)
    """By exit status."""

    def start(self, name: str, policy: str) -> WorkerProcess:
        """A worker on the disk `name`, which may be one of before."""
        config = self.directory / f"{policy}.json"
        if not config.exists():
            given = json.loads(Path(self.common["RESERVATION_CONFIG"]).read_text())
            config.write_text(json.dumps({**given, "orderPolicy": policy}))
        worker = WorkerProcess({**self.common, "RESERVATION_CONFIG": str(config)}, self.directory, name)
        self.all.append(worker)
        return worker

    def stop(self, worker: WorkerProcess) -> None:
        """Stop it in order, or by force where it does not end."""
        try:
            status = worker.terminate(STOPPED_WITHIN_S)
        except subprocess.TimeoutExpired:
            worker.kill()
            status = -signal.SIGKILL
        self.stops[status] += 1

    def disk(self, worker: WorkerProcess) -> Path:
        """Where a worker keeps its databases."""
        return self.directory / worker.log_path.stem

    def restarts(self) -> int:
        """How often a supervisor had to start its worker again."""
        logs = {worker.log_path: worker.log for worker in self.all}
        return sum(log.count("worker_restarts") for log in logs.values())

    def close(self) -> None:
        """Kill what still runs, the frozen included."""
        for worker in self.all:
            worker.kill()


class Visitor(threading.Thread):
    """A worker that joins, stays for VISIT_S, leaves in order, and comes again with the disk that it had."""

    def __init__(self, staff: Staff) -> None:
        super().__init__(name="visitor", daemon=True)
        self.visits = 0
        self.failure: Exception | None = None
        self._staff = staff
        self._leaving = threading.Event()

    def run(self) -> None:
        """Visit again and again until `leave`."""
        try:
            while not self._leaving.is_set():
                self._visit()
        except Exception as error:
            self.failure = error

    def _visit(self) -> None:
        worker = self._staff.start("visitor", POLICIES[self.visits % 2])
        before, deadline = worker.ready_count(), time.monotonic() + JOINED_WITHIN_S
        while (
            worker.ready_count() == before and time.monotonic() < deadline and worker.process.poll() is None
        ):
            self._leaving.wait(0.1)
        self._leaving.wait(VISIT_S)
        self._staff.stop(worker)
        self.visits += 1

    def leave(self) -> None:
        """End the last visit. Raises what went wrong."""
        self._leaving.set()
        self.join(120)
        if self.failure is not None:
            raise self.failure


class Weather:
    """Two workers, to which one thing after another happens; `say` hears what it was and what it cost."""

    def __init__(
        self, staff: Staff, broker: EmbeddedKafka, decisions: Decisions, say: Callable[[str], None]
    ) -> None:
        self._staff = staff
        self._broker = broker
        self._decisions = decisions
        self._say = say
        self._session_s = staff.sale.config["kafkaSessionTimeoutMs"] / 1_000
        self._residents = [staff.start(f"resident-{place}", POLICIES[place]) for place in range(2)]
        self._turn = cycle((0, 1))
        self._hired = 0
        for worker in self._residents:
            worker.wait_ready()

    def pass_over(self, busy: Callable[[], bool], timeline: Timeline) -> Counter[str]:
        """Every kind of weather once, and again while the sale is `busy`; returns how often each was."""
        kinds = (
            self._kill,
            self._freeze,
            self._restart_broker,
            self._stop,
            self._lose_disk,
            self._kill_broker,
            self._damage_disk,
            self._freeze_broker,
            self._lose_fluent,
        )
        seen: Counter[str] = Counter()
        for kind in cycle(kinds):
            if len(seen) == len(kinds) and not busy():
                return seen
            began = time.monotonic()
            told = (kind.__doc__ or "").rstrip(".")
            with timeline.during(told):
                kind()
                self._until_decisions_go_on()
            self._say(f"{told}; {time.monotonic() - began:.1f} s until decisions go on")
            seen[told] += 1
        raise AssertionError("a cycle has no end")

    def _kill(self) -> None:
        """A worker is killed and comes back on its disk."""
        place = next(self._turn)
        self._residents[place].kill()
        self._replace(place, self._residents[place].log_path.stem)

    def _lose_disk(self) -> None:
        """A worker is killed, and one with an empty disk comes instead."""
        place = next(self._turn)
        self._residents[place].kill()
        self._hired += 1
        self._replace(place, f"hired-{self._hired}")

    def _stop(self) -> None:
        """A worker is stopped in order and comes back on its disk."""
        place = next(self._turn)
        self._staff.stop(self._residents[place])
        self._replace(place, self._residents[place].log_path.stem)

    def _freeze(self) -> None:
        """A worker is frozen for longer than its session, and wakes."""
        frozen = self._residents[next(self._turn)]
        frozen.signal(signal.SIGSTOP)
        time.sleep(self._session_s + BEYOND_THE_SESSION_S)
        frozen.signal(signal.SIGCONT)

    def _restart_broker(self) -> None:
        """The broker is stopped, and starts again."""
        self._broker.stop()
        self._broker.start()

    def _kill_broker(self) -> None:
        """The broker is killed, and starts again."""
        self._broker.kill()
        self._broker.start()

    def _freeze_broker(self) -> None:
        """The broker is frozen for longer than a session, and wakes."""
        assert self._broker.pid is not None
        os.kill(self._broker.pid, signal.SIGSTOP)
        time.sleep(self._session_s + BEYOND_THE_SESSION_S)
        os.kill(self._broker.pid, signal.SIGCONT)

    def _damage_disk(self) -> None:
        """A worker is killed, and comes back on a disk whose files have lost their second half."""
        place = next(self._turn)
        self._residents[place].kill()
        for file in self._staff.disk(self._residents[place]).rglob("*"):
            if file.name.startswith(DATABASE_FILES):
                os.truncate(file, file.stat().st_size // 2)
        self._replace(place, self._residents[place].log_path.stem)

    def _lose_fluent(self) -> None:
        """Fluent answers nothing but errors for a while."""
        self._staff.sale.fluent.control(failing=503)
        time.sleep(AWAY_S)
        self._staff.sale.fluent.control(failing=0)

    def _replace(self, place: int, name: str) -> None:
        self._residents[place] = self._staff.start(name, POLICIES[place])

    def _until_decisions_go_on(self) -> None:
        known = self._decisions.count
        wait_until(lambda: self._decisions.count > known, "decisions go on", GOES_ON_WITHIN_S)
