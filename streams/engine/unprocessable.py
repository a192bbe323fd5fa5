"""Records that end a worker: counted in the task's rows, tried three times, and then turned away.

An exception that escapes a stage is a bug: the process ends before anything of the batch is visible, and a
clean one tries again. Where the same record ends that one, too, it would stand in the way of a whole sale.
Each failure is written down first, as a row, so that whichever worker owns the task next knows of it, even
one with an empty disk. A record that fails the third time becomes a dead letter, which is committed before
anything behind it is tried: where that fails, too, it would undo the dead letter, and the two would end one
process after the other for ever. A worker that is broken itself would turn everything away so: after LIMIT
records in WITHIN_MS it ends instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from schemas.reasons import RECOMMENDATIONS, Reason
from streams.engine.portion import Portion
from streams.engine.protocol.actions import Action
from streams.engine.protocol.task import TaskState
from streams.engine.protocol.worker import WorkerProtocol
from streams.engine.stage import Record, Stage
from streams.engine.store import StoreFailed
from streams.ledger.effects import Effects, Notice
from streams.ledger.rows import Rows, Table
from streams.system import now_ms

TRIES = 3
LIMIT, WITHIN_MS = 20, 600_000
WRITE_DOWN_S = 5.0
"""A failure that is not written down in time is not counted: the record ends one more worker."""

MAX_WHY = 500
"""Characters of a trace's last line that are kept: it goes into a header."""

ALL = b"*"


class Failures(msgspec.Struct, array_like=True):
    """How often the record at `offset` of a source failed, and the last line of its newest trace."""

    offset: int
    count: int
    why: str


class GivenUp(msgspec.Struct, array_like=True):
    """When (Unix ms) records of a task were turned away lately."""

    at_ms: list[int]


FAILURES = Table(b"!x", Failures)
"""Key: `topic/partition`."""

GIVEN_UP = Table(b"!g", GivenUp)


class RecordFailed(Exception):
    """A stage raised while it decided the record at `offset` of `source`."""

    def __init__(self, source: str, offset: int, error: Exception) -> None:
        super().__init__(f"the record {source}/{offset} could not be decided: {error!r}")
        self.source = source
        self.offset = offset
        self.why = f"{type(error).__name__}: {error}"[:MAX_WHY].encode(errors="backslashreplace").decode()


class TooManyGivenUp(Exception):
    """It is not the records: this worker, or its version, must be looked at."""


def decide(
    stage: Stage,
    source: str,
    records: Sequence[Record],
    rows: Rows,
    effects: Effects,
    condemned: int | None = None,
) -> int:
    """Let a stage decide records of a source, but turn the `condemned` one away (its offset).

    Returns how many it has decided: as many as make a portion, which ends with the one that was turned away.
    A record is condemned by the process in which it failed for the last time. Any other tries it once more,
    however often it has failed before: it may be of a mended version. Raises RecordFailed for an exception of
    the stage's.
    """
    partition, failed = int(source.rpartition("/")[2]), rows.get(FAILURES, source.encode())
    if failed is None or failed.offset != condemned or all(each.offset != condemned for each in records):
        return _decide(stage, source, records, rows, effects)
    before = [record for record in records if record.offset < failed.offset]
    decided = _decide(stage, source, before, rows, effects)
    if decided < len(before):
        return decided
    stage.give_up(partition, records[decided], failed.why, rows, effects)
    effects.notices.append(_notice(source, failed))
    _remember_given_up(rows)
    rows.delete(FAILURES, source.encode())
    return decided + 1


def _decide(stage: Stage, source: str, records: Sequence[Record], rows: Rows, effects: Effects) -> int:
    if not records:
        return 0
    portion = Portion(records, rows, effects)
    try:
        stage.decide(int(source.rpartition("/")[2]), portion, rows, effects)
    except (StoreFailed, MemoryError, OSError):
        raise  # no fault of the record
    except Exception as error:
        raise RecordFailed(source, portion.offset, error) from error
    return len(portion)


class Undecided(Protocol):
    """The task whose record failed, as far as it is needed here."""

    name: str
    rows: Rows
    state: TaskState | None
    condemned: dict[str, int]

    def discard(self) -> None:
        """Forget every decision that was not committed."""


class Committing(Protocol):
    """The driver that commits what is written down, as far as it is needed here."""

    protocol: WorkerProtocol
    failing: set[str]

    @property
    def tasks(self) -> Mapping[str, Undecided]:
        """All tasks of this worker."""

    def carry_out(self, actions: Iterable[Action]) -> None:
        """Do what the protocol wants done."""

    async def settled(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition about the protocol is true."""


async def write_down(driver: Committing, task: Undecided, failed: RecordFailed) -> None:
    """Count a failure in the rows of its task, committed; what else the task had decided is decided again.

    Raises RecordFailed, which must end the process, unless that was the last try: then the source is read
    again and the record turned away. Raises TooManyGivenUp where this worker may turn no more away.
    """
    state, protocol = task.state, driver.protocol
    if state is None:
        raise failed

    def landed() -> bool:
        return not _is_in_flight(protocol, task)

    driver.failing.add(task.name)
    state.forget()
    task.discard()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(WRITE_DOWN_S):
            await driver.settled(landed)
            if protocol.tasks.get(task.name) is not state:
                raise failed  # the task was taken away meanwhile, and its new owner tries the record
            state.forget()
            task.discard()  # what somebody read meanwhile was the store without what has landed now
            _remember_failure(task.rows, failed)
            driver.carry_out(protocol.decided(task.name, 0, time.monotonic()))
            await driver.settled(lambda: landed() and not state.moved)
    known = task.rows.get(FAILURES, failed.source.encode())  # nothing where the transaction was aborted
    if known is None or known.offset != failed.offset or known.count < TRIES:
        raise failed
    given_up = sum(len(_lately(each.rows)) for each in driver.tasks.values())
    if given_up >= LIMIT:
        raise TooManyGivenUp(
            f"{failed}; {given_up} others were given up in the last {WITHIN_MS // 60_000} min"
        )
    task.condemned[failed.source] = failed.offset
    driver.failing.discard(task.name)
    driver.carry_out(state.seeks())


async def see_through(driver: Committing, task: Undecided) -> None:
    """Take nothing more of a task in until what it has decided is committed, or undone; then read on."""
    state, protocol = task.state, driver.protocol
    if state is None:
        return
    driver.failing.add(task.name)
    await driver.settled(lambda: not state.moved and not _is_in_flight(protocol, task))
    driver.failing.discard(task.name)
    driver.carry_out(state.seeks())


def _is_in_flight(protocol: WorkerProtocol, task: Undecided) -> bool:
    return protocol.in_flight is not None and task.name in protocol.in_flight.tasks


def _remember_failure(rows: Rows, failed: RecordFailed) -> None:
    key = failed.source.encode()
    known = rows.get(FAILURES, key)
    count = 1 if known is None or known.offset != failed.offset else known.count + 1
    rows.put(FAILURES, key, Failures(failed.offset, count, failed.why))


def _remember_given_up(rows: Rows) -> None:
    rows.put(GIVEN_UP, ALL, GivenUp([*_lately(rows), now_ms()][-LIMIT:]))


def _lately(rows: Rows) -> list[int]:
    known, now = rows.get(GIVEN_UP, ALL), now_ms()
    return [] if known is None else [at for at in known.at_ms if now - at < WITHIN_MS]


def _notice(source: str, failed: Failures) -> Notice:
    fields: dict[str, str | int] = {
        "source": source,
        "offset": failed.offset,
        "why": failed.why,
        "recommendation": RECOMMENDATIONS[Reason.UNPROCESSABLE],
    }
    return Notice("error", "record_given_up", fields)
