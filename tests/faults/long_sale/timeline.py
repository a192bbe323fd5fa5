"""What happened when: how much was sent and decided, twice a second, and each fault from begin to end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Self

EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Sample:
    """Events sent and outcomes seen so far, `at_s` seconds after the beginning."""

    at_s: float
    sent: int
    decided: int


@dataclass(frozen=True, slots=True)
class Fault:
    """From when it struck to when decisions went on."""

    from_s: float
    to_s: float
    what: str


@dataclass
class Timeline:
    """Samples itself while it is used as a context manager."""

    sent: Callable[[], int]
    decided: Callable[[], int]
    samples: list[Sample] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)
    _ended: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._watch, name="timeline", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    @contextmanager
    def during(self, what: str) -> Iterator[None]:
        """A fault lasts as long as the block."""
        from_s = self._now_s()
        try:
            yield
        finally:
            self.faults.append(Fault(from_s, self._now_s(), what))

    def _watch(self) -> None:
        while not self._ended.wait(EVERY_S):
            self.samples.append(Sample(self._now_s(), self.sent(), self.decided()))

    def _now_s(self) -> float:
        return round(time.monotonic() - self._began, 2)
