"""How often in a row a worker failed to take its tasks over: a count that outlives its processes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

FILE = "failed-takeovers"

FAILURES_BEFORE_A_WAIT = 3
FIRST_WAIT_S, LONGEST_WAIT_S = 15.0, 300.0

SETTLED_S = 30.0
"""A worker that ends sooner after its takeover disturbs the others as one does that could not take over."""


class FailedTakeovers:
    """How many takeovers in a row have failed: the process ended before they were done, or right afterwards.

    The count is a file in DATA_DIR, because it must outlive the process, however that ends. Where it cannot
    be written, the disk keeps the worker outside anyway.
    """

    def __init__(self, data_dir: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = data_dir / FILE
        self._clock = clock
        self._running = False
        self._done_at: float | None = None

    @property
    def count(self) -> int:
        """Failed in a row, so far."""
        try:
            return int(self._path.read_text())
        except (OSError, ValueError):
            return 0

    @property
    def wait_s(self) -> float:
        """How long to stay outside before the next one."""
        too_many = self.count - FAILURES_BEFORE_A_WAIT
        return 0.0 if too_many < 0 else min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(too_many, 10))

    def began(self) -> None:
        """The group has granted tasks. Counts as failed until the worker has settled."""
        self._done_at = None
        if not self._running:
            self._running = True
            with contextlib.suppress(OSError):
                self._path.write_text(f"{self.count + 1}\n")

    def succeeded(self) -> None:
        """All tasks run; `look` again SETTLED_S later."""
        self._done_at = self._clock()

    def look(self) -> None:
        """Begin to count anew if all tasks have been running for SETTLED_S."""
        if self._done_at is not None and self._clock() - self._done_at >= SETTLED_S:
            self.forget()

    def forget(self) -> None:
        """Begin to count anew."""
        self._running, self._done_at = False, None
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
