"""When a transaction begins, and which tasks it carries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from streams.engine.protocol.task import TaskState

ABORTS_UNTIL_APART = 2
RETRY_S, RETRY_AT_MOST_S = 0.1, 30.0


@dataclass(frozen=True, slots=True)
class Pace:
    """When to commit: at once from `full` pending records on, else some time after the last commit began.

    That time is `seconds`, or `stretch` times what a commit takes lately if that is longer: a broker that is
    busy with many small transactions takes longer for each, and fewer, larger ones are the way out of that.
    One that took longer than `longest` was held up by something else, which says nothing about the next ones.
    """

    seconds: float = 0.008
    stretch: float = 1.2
    full: int = 1_000
    memory: float = 0.8
    longest: float = 0.5


@dataclass(slots=True)
class Pacer:
    """One decision for the whole worker: transactions are what costs, not what is in them."""

    pace: Pace
    began_at: float = float("-inf")
    took_s: float = 0.0

    def wait_s(self, now: float, pending: int) -> float:
        """Seconds until a transaction with `pending` records may begin; 0 for now."""
        if pending >= self.pace.full:
            return 0.0
        return max(0.0, self.began_at + max(self.pace.seconds, self.pace.stretch * self.took_s) - now)

    def began(self, now: float) -> None:
        """A transaction begins."""
        self.began_at = now

    def ended(self, now: float) -> None:
        """It is durable: its duration enters the moving average."""
        memory, took_s = self.pace.memory, max(0.0, now - self.began_at)
        self.took_s = memory * self.took_s + (1 - memory) * min(took_s, self.pace.longest)


@dataclass(slots=True)
class Company:
    """Which tasks go into a transaction together.

    All, until two transactions in a row were aborted; then each of those alone, until it has committed. So
    the culprit is named, and waits longer and longer, and the others go on.
    """

    aborts: int = 0
    _last_alone: bool = field(default=False)

    def choose(self, tasks: Sequence[TaskState], now: float) -> list[TaskState]:
        """The tasks of the next transaction, none while the only ones that have something must wait."""
        together = [task for task in tasks if not task.suspect]
        due = [task for task in tasks if task.suspect and task.retry_at <= now]
        if due and (not together or not self._last_alone):
            self._last_alone = True
            return [min(due, key=lambda task: task.retry_at)]
        self._last_alone = False
        return together

    def committed(self) -> None:
        """A transaction went through."""
        self.aborts = 0

    def aborted(self, tasks: list[TaskState], now: float) -> TaskState | None:
        """A transaction was aborted; returns the task that is to blame, if it is known."""
        self.aborts += 1
        if len(tasks) == 1 and tasks[0].suspect:
            (culprit,) = tasks
            culprit.strikes += 1
            culprit.retry_at = now + min(RETRY_AT_MOST_S, RETRY_S * 2**culprit.strikes)
            return culprit
        if self.aborts >= ABORTS_UNTIL_APART:
            for task in tasks:
                task.suspect, task.retry_at = True, now
        return None
