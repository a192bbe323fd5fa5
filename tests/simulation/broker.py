"""A broker under virtual time: logs that stamp on append, and a clock that jumps to what is next."""

from __future__ import annotations

import heapq
import zlib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Headers = list[tuple[str, bytes]] | None


@dataclass(frozen=True, slots=True)
class Record:
    """One record; `value` is bytes, or an input event in the form that intake gives it."""

    at_ms: int
    key: bytes | None
    value: Any
    headers: Headers = None


class Clock:
    """Virtual time: runs what was planned, in order of time, without waiting."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms
        self._planned: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0

    def plan(self, at_ms: int, action: Callable[[], None]) -> None:
        """Run `action` at `at_ms`, or now if that is over; what was planned first runs first."""
        self._count += 1
        heapq.heappush(self._planned, (max(at_ms, self.now_ms), self._count, action))

    def after(self, delay_ms: int, action: Callable[[], None]) -> None:
        """Run `action` in `delay_ms`."""
        self.plan(self.now_ms + delay_ms, action)

    def run(self, max_steps: int) -> None:
        """Until nothing is planned any more: only then is the system at rest."""
        for _ in range(max_steps):
            if not self._planned:
                return
            self.now_ms, _, action = heapq.heappop(self._planned)
            action()
        raise AssertionError(f"the system did not come to rest within {max_steps} steps")


class Broker:
    """Topics with `partitions` partitions each; whoever listens to a topic hears of each record."""

    def __init__(self, clock: Clock, partitions: int) -> None:
        self.clock = clock
        self.partitions = partitions
        self.logs: dict[tuple[str, int], list[Record]] = defaultdict(list)
        self.listeners: dict[str, list[Callable[[int, Record], None]]] = defaultdict(list)

    def append(
        self, topic: str, key: bytes | None, value: Any, headers: Headers = None, partition: int | None = None
    ) -> None:
        """A record, to the partition of its key unless one is given."""
        if partition is None:
            partition = zlib.crc32(key or b"") % self.partitions
        record = Record(self.clock.now_ms, key, value, headers)
        self.logs[topic, partition].append(record)
        for listener in self.listeners[topic]:
            listener(partition, record)

    def read(self, topic: str) -> list[Record]:
        """All records of a topic, partition after partition."""
        return [record for partition in range(self.partitions) for record in self.logs[topic, partition]]
