"""How the simulated workers learn a watermark: by offsets, as the real ones do, and by nothing else."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from schemas.topics import ORDER_COMMANDS, PROMOTION_COMMANDS
from tests.simulation.broker import Broker

HOMES = (ORDER_COMMANDS, PROMOTION_COMMANDS)
FIRST_LOOK_MS, LAST_LOOK_MS = 20, 5_000


class Reader(Protocol):
    """A task, as far as a barrier looks at it."""

    index: int

    def committed(self, topic: str) -> int:
        """Up to which offset it has committed its own partition of a topic."""


class Barrier:
    """Says when everything that was placed up to a time is decided, and what follows from it written."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.readers: list[Reader] = []
        self.backlog: dict[int, int] = {}
        """Input records that nobody has read yet: when each was placed, by a number of its own."""
        self.longest_wait_ms = 0

    def when_passed(self, at_ms: int, then: Callable[[], None]) -> None:
        """Run `then` once everything that was placed up to `at_ms` is decided."""
        self._until_read(at_ms, FIRST_LOOK_MS, then)

    def _until_read(self, at_ms: int, next_ms: int, then: Callable[[], None]) -> None:
        """First every input record has to be read, which takes it to the log in which it is decided."""
        if any(placed_ms <= at_ms for placed_ms in self.backlog.values()):
            self._later(next_ms, partial(self._until_read, at_ms, _longer(next_ms), then))
        else:
            ends = {(topic, each): len(self.broker.logs[topic, each.index]) for topic, each in self._homes()}
            self._until_decided(at_ms, FIRST_LOOK_MS, ends, then)

    def _until_decided(
        self, at_ms: int, next_ms: int, ends: dict[tuple[str, Reader], int], then: Callable[[], None]
    ) -> None:
        if any(each.committed(topic) < end for (topic, each), end in ends.items()):
            self._later(next_ms, partial(self._until_decided, at_ms, _longer(next_ms), ends, then))
        else:
            self.longest_wait_ms = max(self.longest_wait_ms, self.broker.clock.now_ms - at_ms)
            then()

    def _homes(self) -> list[tuple[str, Reader]]:
        return [(topic, each) for topic in HOMES for each in self.readers]

    def _later(self, delay_ms: int, look: Callable[[], None]) -> None:
        self.broker.clock.after(delay_ms, look)


def _longer(delay_ms: int) -> int:
    return min(2 * delay_ms, LAST_LOOK_MS)
