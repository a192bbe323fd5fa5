"""The barrier of offsets: from when on every message up to a given time is known to be decided.

A deadline that tells a customer "too late" must not be acted on while an order that was placed in time still
waits in a backlog. Suppose a sale's deadline has passed at broker time t. The barrier notes where each input
log ends after t, waits until the group's committed positions have reached those ends, then does the same for
the command logs that intake writes to. Outputs and positions are one transaction, so every claim of an order
that was placed up to t then stands in sku-commands, ahead of the Tick that carries t as the watermark.

    begin ─► ends of the inputs ─► positions there ─► ends of the commands ─► positions there ─► Passed
                │       ▲            │       ▲           │       ▲               │       ▲
                └ Blocked: look again, in the same place ┴───────┴───────────────┴───────┘

A pure state machine: answers in, the next question out; no sockets and no clock.

- Ends are those of the logs, not last stable offsets: a record in somebody's open transaction has been placed
  already, and will be an order when that transaction commits. So an open transaction holds time back. Nor
  are they high watermarks: what is not replicated yet has been placed, too.
- A log may end sooner than it did, because its leader was lost with what was not replicated. What comes in
  that place comes later, and need not be waited for.
- Positions are committed offsets as they are. One that a transaction is about to change counts as it was,
  one in a topic that was deleted and created again since as none.
- The question about the commands comes after the positions of the inputs have arrived: what intake sent home
  was in the command logs by then.
- What is undecided below the ends may be decided in any order and by any worker of the group.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

Partition = tuple[str, int]
"""Topic and partition number."""


class Logs(Enum):
    """The two groups of logs, in the order in which a message crosses them."""

    INPUTS = "inputs"
    COMMANDS = "commands"


@dataclass(frozen=True, slots=True)
class ReadEnds:
    """Ask the leaders for the end of every partition of these logs, as it is now.

    Partitions that a topic gained a moment ago belong to the answer, and so do those that nobody can read.
    """

    logs: Logs


@dataclass(frozen=True, slots=True)
class ReadPositions:
    """Ask the group's coordinator for the committed positions of these partitions."""

    partitions: tuple[Partition, ...]


@dataclass(frozen=True, slots=True)
class Blocked:
    """These partitions are so many records short of the barrier (None: nobody says); look again later."""

    behind: Mapping[Partition, int | None]


@dataclass(frozen=True, slots=True)
class Passed:
    """Everything up to this broker time is decided."""

    at_ms: int


Step = ReadEnds | ReadPositions | Blocked | Passed

ENDS_AGAIN = 10
"""Where positions are short, each look of this many reads the ends anew: a log may have become shorter."""


@dataclass(slots=True)
class Barrier:
    """One barrier, for one time. Whoever needs a later time begins another one."""

    at_ms: int
    """A broker time that has passed before the first question is asked."""
    _logs: Logs = Logs.INPUTS
    _short: dict[Partition, int] | None = field(default=None)
    """End offsets that positions have not reached yet; None until the ends are read."""
    _looks: int = 0

    def look(self) -> Step:
        """What to ask: at the beginning, and again after Blocked."""
        self._looks += 1
        if self._short is None or self._looks % ENDS_AGAIN == 0:
            return ReadEnds(self._logs)
        return ReadPositions(tuple(self._short))

    def ends(self, found: Mapping[Partition, int | None]) -> Step:
        """The answer to ReadEnds: end offset by partition, None where no leader answers."""
        if self._short is not None:
            now = {each: end for each, end in found.items() if end is not None}
            self._short = {each: min(end, now.get(each, end)) for each, end in self._short.items()}
            return ReadPositions(tuple(self._short))
        unknown: dict[Partition, int | None] = {each: None for each, end in found.items() if end is None}
        if unknown:
            return Blocked(unknown)
        self._short = {partition: end for partition, end in found.items() if end}
        return ReadPositions(tuple(self._short)) if self._short else self._through()

    def positions(self, found: Mapping[Partition, int | None]) -> Step:
        """The answer to ReadPositions: None where the group has committed nothing yet."""
        short = self._short or {}
        missing = {partition: end - (found.get(partition) or 0) for partition, end in short.items()}
        behind: dict[Partition, int | None] = {each: count for each, count in missing.items() if count > 0}
        self._short = {partition: short[partition] for partition in behind}
        return Blocked(behind) if behind else self._through()

    def _through(self) -> Step:
        if self._logs is Logs.COMMANDS:
            return Passed(self.at_ms)
        self._logs, self._short = Logs.COMMANDS, None
        return ReadEnds(self._logs)
