"""Waits for whatever comes first: a signal to stop, the end of a child, or a time."""

from __future__ import annotations

import os
import select
import signal
import time
from types import FrameType, TracebackType
from typing import Any, Self

STOPPING = (signal.SIGTERM, signal.SIGINT)
DRAIN_BYTES = 4_096


class Signals:
    """Inside of its `with` block SIGTERM and SIGINT are remembered, not obeyed. Main thread only.

    Signals are written into a pipe by the interpreter itself, so that none is lost between a look and a wait.
    """

    def __init__(self) -> None:
        self._stop = False
        self._former: dict[signal.Signals, Any] = {}
        self._reader, self._writer = os.pipe()
        for end in (self._reader, self._writer):
            os.set_blocking(end, False)
        self._former_descriptor = -1

    def __enter__(self) -> Self:
        self._former_descriptor = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for signum in (*STOPPING, signal.SIGCHLD):
            self._former[signum] = signal.signal(signum, self._arrived)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for signum, handler in self._former.items():
            signal.signal(signum, handler)
        signal.set_wakeup_fd(self._former_descriptor)
        os.close(self._reader)
        os.close(self._writer)

    def stopping(self) -> bool:
        """Whether a signal to stop has come."""
        return self._stop

    def wait(self, timeout_s: float | None) -> None:
        """Return at the next signal, a child's end included, or when time is up (None: never)."""
        ready, _, _ = select.select([self._reader], [], [], timeout_s)
        if ready:
            os.read(self._reader, DRAIN_BYTES)

    def pause(self, seconds: float) -> None:
        """Wait for `seconds`, or until there is a signal to stop."""
        deadline = time.monotonic() + seconds
        while not self._stop and (left_s := deadline - time.monotonic()) > 0:
            self.wait(left_s)

    def _arrived(self, signum: int, frame: FrameType | None) -> None:
        self._stop |= signum in STOPPING
