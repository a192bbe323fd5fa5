"""Bugs of engine, intake, timers, ends and gateway, each of which a sale of the whole system must notice."""

from __future__ import annotations

from tests.simulation.planting import Bug

ENGINE, PROTOCOL = "streams.engine.", "streams.engine.protocol."

TASKS = (
    Bug(
        "a missed generation is not noticed",
        ENGINE + "ownership:Membership.continues",
        "0 <= self.generation - former.generation <= 1",
        "True",
    ),
    Bug("a gap is accepted", PROTOCOL + "task:TaskState.received", "if start > expected:", "if False:"),
    Bug(
        "what was decided is decided again",
        PROTOCOL + "task:TaskState.received",
        "Decide(self.name, source, expected)",
        "Decide(self.name, source, start)",
    ),
    Bug(
        "decisions outlive an abort",
        ENGINE + "task:Task.discard",
        "self.rows.reset()",
        "pass",
    ),
    Bug(
        "positions do not go back after an abort",
        PROTOCOL + "task:TaskState.forget",
        "self.expected = dict(self.committed)",
        "self.expected = self.expected or dict(self.committed)",
    ),
    Bug(
        "an unknown outcome passes for an abort",
        ENGINE + "driver:Driver._conclude",
        "following = self.protocol.outcome_unknown()",
        "following = self.protocol.transaction_aborted(str(error), time.monotonic())",
    ),
    Bug(
        "positions are not among the rows",
        ENGINE + "task:Task.seal",
        "if source in self.stages:",
        "if False:",
    ),
    Bug(
        "a restore takes any disk for whole",
        ENGINE + "database:Database._restore",
        "self._changelog, self._partition, start,",
        "self._changelog, self._partition, self._reader.end_offset(self._changelog, self._partition),",
    ),
    Bug(
        "all records of a fetch are decided, whatever was decided of them",
        ENGINE + "fetched:Fetched.from_offset",
        "self.records[0].offset >= offset",
        "True",
    ),
)

TIME = (
    Bug(
        "some events are decided where they are read",
        "agents.intake:Intake.decide",
        "partition_of(key, self.tasks) == task",
        "len(key) % 2 == 0",
    ),
    Bug(
        "the watermark leaves a partition out",
        ENGINE + "barrier:Barrier.ends",
        "for partition, end in found.items() if end}",
        "for partition, end in found.items() if end and partition[1]}",
    ),
    Bug(
        "the watermark does not look at what was sent home",
        ENGINE + "barrier:Barrier._through",
        "if self._logs is Logs.COMMANDS:",
        "if True:",
    ),
    Bug(
        "a deadline does not wait for the watermark",
        "agents.timers:Timers._watermark_ms",
        "given_up_ms = now_ms - self.max_backlog_ms",
        "given_up_ms = now_ms",
    ),
    Bug(
        "a Tick says that everything is committed",
        "agents.timers:Waiting.committed_ms",
        "committed_ms(self.rows, self.topic)",
        "10**15",
    ),
    Bug(
        "an end is no deadline",
        "streams.ledger.reservations.lifecycle:end",
        "row.deadline_ms = min(row.deadline_ms, row.ended_at_ms)",
        "pass",
    ),
    Bug(
        "positions that moved over markers are not written down",
        PROTOCOL + "worker:WorkerProtocol._notice_drift",
        "task.moved |= task.drifted",
        "task.moved or task.drifted",
    ),
)

LOST = (
    Bug(
        "a gap is not noticed, and reading goes on at the oldest record",
        ENGINE + "takeover:Takeover.restore",
        "for source in task.stages:\n            self._check(",
        "rows = {of: row for of, row in rows.items() if row.offset >= self._logs.get(parse(of), (0,))[0]}\n"
        "        for source in task.stages:\n            self._check(",
    ),
    Bug(
        "a position that its log does not hold is no error",
        ENGINE + "takeover:_check_range",
        "if begin <= position <= end:",
        "if True:",
    ),
    Bug(
        "nobody looks whether a log still holds the position of what stands still",
        ENGINE + "driver:Driver.check_logs",
        "await self._check(self._takeover.check_logs(places))",
        "pass",
    ),
    Bug(
        "nobody looks whether a topic was created again",
        ENGINE + "driver:Driver.check_topics",
        "await self._check(self._takeover.check_topics(places_of(running)))",
        "pass",
    ),
    Bug(
        "the ids of topics are not compared",
        ENGINE + "broker.topic_ids:differ",
        "bool(known and now) and known != now",
        "False",
    ),
    Bug(
        "a position does not say which topic it is of",
        ENGINE + "task:Task.seal",
        'Position(offset, self.topic_ids.get(source, ""))',
        "Position(offset)",
    ),
    Bug(
        "an offset does not say which topic it is of",
        ENGINE + "broker.coordinators:Coordinators.commit",
        "owner.beside(offsets, self.topic_ids)",
        "owner.beside(offsets, {})",
    ),
)

GATEWAY = (
    Bug(
        "a release is confirmed that nobody has made",
        "fluent.settle:release",
        "await end_all(stock, parts, pause_s)",
        "pass",
    ),
    Bug(
        "a hold shrinks before the sale is booked",
        "fluent.settle:settle",
        "if request.book_sale:",
        "if False:",
    ),
)

BUGS = (*TASKS, *TIME, *LOST, *GATEWAY)

NOTICED: dict[str, int] = {
    "an unknown outcome passes for an abort": 8,
    "the watermark leaves a partition out": 58,
    "a gap is accepted": 0,
    "what was decided is decided again": 13,
    "decisions outlive an abort": 0,
    "positions do not go back after an abort": 0,
    "positions are not among the rows": 1,
    "a restore takes any disk for whole": 1,
    "all records of a fetch are decided, whatever was decided of them": 13,
    "some events are decided where they are read": 9,
    "the watermark does not look at what was sent home": 2,
    "a deadline does not wait for the watermark": 0,
    "an end is no deadline": 3,
    "a gap is not noticed, and reading goes on at the oldest record": 90,
    "a position that its log does not hold is no error": 90,
    "nobody looks whether a log still holds the position of what stands still": 25,
    "nobody looks whether a topic was created again": 114,
    "the ids of topics are not compared": 11,
    "a position does not say which topic it is of": 125,
    "an offset does not say which topic it is of": 127,
    "a release is confirmed that nobody has made": 6,
    "a hold shrinks before the sale is booked": 9,
}
"""A seed that notices each of them; docs/proof.md says what notices the others."""
