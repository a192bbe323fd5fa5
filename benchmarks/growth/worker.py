"""A worker without Kafka: its tasks' real stages and RocksDB databases, the logs between them in memory.

Records take the way that they take in a worker: a batch is decided against the overlay, its rows go to the
database in one write, and only then does what was sent become readable. Time is the caller's.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from agents import intake, orders, promotions, reservations
from schemas.topics import FLUENT_REQUESTS, ORDER_OUTCOMES, SKU_COMMANDS
from streams.engine import portion, unprocessable
from streams.engine.partitioner import partition_of
from streams.engine.protocol.pace import Pace
from streams.engine.stage import LOG_APPEND_TIME, Stage
from streams.engine.store import RocksStore
from streams.ledger.commands import (
    HoldConfirmed,
    PageVerified,
    ReleaseConfirmed,
    SettleConfirmed,
    SkuCommand,
    Tick,
    Verified,
    encode,
)
from streams.ledger.effects import Effects, Headers, Send
from streams.ledger.fluent_requests import (
    AnyRequest,
    HoldRequest,
    ReleaseRequest,
    SettleRequest,
    VerifyPage,
    decode_request,
)
from streams.ledger.rows import Rows
from streams.ledger.terms import Terms

BATCH = Pace().full
"""Records in a transaction of a worker that is busy."""

NOON_MS = 1_800_000_000_000

DEFAULT_TERMS = Terms()

Pair = tuple[bytes, bytes]


@dataclass(slots=True)
class Logged:
    """A record in one of the logs."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    timestamp_type: int = LOG_APPEND_TIME


@dataclass(slots=True)
class Counts:
    """What was done so far."""

    records: int = 0
    """Decided, of all logs."""
    sent: int = 0
    rows: int = 0
    """Written, deletions included."""
    requests: int = 0
    outcomes: int = 0
    rounds: int = 0
    most_rows: int = 0
    """Of one task in one batch."""
    longest_s: float = 0.0
    """CPU seconds of the longest batch, without RocksDB's own threads: nothing else happens meanwhile."""


class Task:
    """One task: its stages by topic, and its rows."""

    def __init__(self, number: int, tasks: int, directory: Path, terms: Terms) -> None:
        self.number = number
        self.store = RocksStore(directory / f"task-{number}", tasks)
        self.rows = Rows(self.store)
        commands = {
            stage.topic: stage for stage in (a.stage(str) for a in (orders, promotions, reservations))
        }
        self.stages: dict[str, Stage] = {**intake.stages(str, terms, {}, commands, tasks), **commands}

    def deadlines_ms(self) -> list[tuple[int, str]]:
        """Each stage's next deadlines, by broker time and by the watermark, with the stage's topic."""
        found = [
            (at_ms, topic)
            for topic, stage in self.stages.items()
            for at_ms in (
                stage.earliest_deadline_ms(self.rows),
                stage.next_watermark_deadline_ms(self.rows),
            )
        ]
        return [(at_ms, topic) for at_ms, topic in found if at_ms is not None]


@dataclass
class Worker:
    """Some tasks, Fluent, and their logs. `put` appends records, `run` decides until every log is read."""

    directory: Path
    partitions: int = 1
    terms: Terms = DEFAULT_TERMS
    fluent_answers: bool = True
    now_ms: int = NOON_MS
    counts: Counts = field(default_factory=Counts)

    def __post_init__(self) -> None:
        self.tasks = [Task(n, self.partitions, self.directory, self.terms) for n in range(self.partitions)]
        self._logs: dict[tuple[str, int], deque[Logged]] = defaultdict(deque)
        self._ends: dict[tuple[str, int], int] = defaultdict(int)
        self.unanswered: list[AnyRequest] = []

    def feed(self, topic: str, records: Iterable[Pair]) -> None:
        """Append (key, value) records and decide them, a batch at a time."""
        left = iter(records)
        while batch := list(islice(left, BATCH)):
            self.put(topic, batch)
            self.run()

    def put(self, topic: str, records: Iterable[Pair]) -> None:
        """Append (key, value) records, each to its key's partition; nothing is decided yet."""
        for key, value in records:
            self._append(topic, partition_of(key, self.partitions), key, value, [])

    def run(self) -> None:
        """Decide and commit by turns until nothing is left."""
        while self.behind:
            self.round()

    @property
    def behind(self) -> bool:
        """Whether there are records that were not decided."""
        return any(self._logs.values())

    def round(self) -> None:
        """One transaction: a batch of every task, and what they send becomes readable."""
        began = time.thread_time()
        sends: list[tuple[int, Send]] = []
        room = max(1, BATCH // self.partitions)
        for task in self.tasks:
            effects = Effects()
            for topic in task.stages:
                if len(task.rows.changed) < portion.MAX_ROWS:
                    self._decide(task, topic, room, effects)
            changes = task.rows.flush()
            task.store.write(changes)
            task.rows.committed()
            self.counts.rows += len(changes)
            self.counts.most_rows = max(self.counts.most_rows, len(changes))
            sends += ((task.number, send) for send in effects.sends)
        self.counts.longest_s = max(self.counts.longest_s, time.thread_time() - began)
        self.counts.rounds += 1
        for number, send in sends:
            self._deliver(number, send)

    def pass_time(self, until_ms: int, step_ms: int = 250) -> None:
        """Let time go by. As a worker's timer does it, whatever is due gets a Tick every `step_ms`."""
        while self.now_ms < until_ms:
            due = [at_ms for task in self.tasks for at_ms, _ in task.deadlines_ms()]
            self.now_ms = min(until_ms, max(self.now_ms + step_ms, min(due, default=until_ms)))
            self.tick()
            self.run()

    def tick(self) -> None:
        """Send a Tick to every stage of which a deadline has passed. All is decided: the watermark is now."""
        for task in self.tasks:
            for topic in {topic for at_ms, topic in task.deadlines_ms() if at_ms <= self.now_ms}:
                self._append(topic, task.number, b"", encode(Tick(self.now_ms, self.now_ms)), [])

    def answer_fluent(self) -> None:
        """Fluent answers what it was asked while `fluent_answers` was off."""
        requests, self.unanswered = self.unanswered, []
        self.put(SKU_COMMANDS, ((request.sku.encode(), encode(_answer(request))) for request in requests))

    def stored_rows(self) -> int:
        """Rows in the databases."""
        return sum(len(task.store.scan(b"\x01", b"\xff", 10**9)) for task in self.tasks)

    def _decide(self, task: Task, topic: str, room: int, effects: Effects) -> None:
        log = self._logs[topic, task.number]
        records = list(islice(log, room))
        if not records:
            return
        stage, source = task.stages[topic], f"{topic}/{task.number}"
        decided = unprocessable.decide(stage, source, records, task.rows, effects)
        self.counts.records += decided
        for _ in range(decided):
            log.popleft()

    def _deliver(self, sender: int, send: Send) -> None:
        self.counts.sent += 1
        if send.topic == FLUENT_REQUESTS:
            self.counts.requests += 1
            self.unanswered.append(decode_request(send.value or b""))
            if self.fluent_answers:
                self.answer_fluent()
        elif send.topic in self.tasks[0].stages:
            number = sender if send.own else partition_of(send.key or b"", self.partitions)
            self._append(send.topic, number, send.key, send.value, send.headers or [])
        elif send.topic == ORDER_OUTCOMES:
            self.counts.outcomes += 1

    def _append(
        self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Headers
    ) -> None:
        log = topic, partition
        self._logs[log].append(Logged(self._ends[log], self.now_ms, key, value, headers))
        self._ends[log] += 1


def _answer(request: AnyRequest) -> SkuCommand:
    if isinstance(request, VerifyPage):
        return PageVerified(request.round, request.page)
    ids = (request.promotion_id, request.sku, request.number)
    if isinstance(request, HoldRequest):
        return HoldConfirmed(*ids, request.quantity)
    if isinstance(request, SettleRequest):
        return SettleConfirmed(*ids, request.remaining)
    if isinstance(request, ReleaseRequest):
        return ReleaseConfirmed(*ids)
    return Verified(*ids, 0 if request.closed else request.held)
