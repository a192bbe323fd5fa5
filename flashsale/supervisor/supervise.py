"""The loop: start the worker, wait for its end, decide whether and when to start it again."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from flashsale.supervisor.exits import STOPPED, described, final_status, stopped_status
from flashsale.supervisor.signals import Signals
from streams.log import get_logger
from streams.system import die_with_parent

log = get_logger("supervisor")

STOP_TIMEOUT_S = 20.0
"""The worker bounds its own stop by 15 s; this is for one that hangs altogether."""

LOOK_BEFORE = "none, once; when it repeats, the lines before it say why"

MAKE_ROOM = "see what the machine lacks (memory, processes, open files); it tries again by itself"

MIN_DELAY_S = 0.2
MAX_DELAY_S = 15.0
HEALTHY_S = 60.0
"""A process that lived this long was well: the next delay is a short one again."""


@dataclass(slots=True)
class Backoff:
    """Delays between 0.2 and 15 s, each up to twice the one before, never in step with other workers.

    `choose(low, high)` picks the jitter; the default is a uniform one.
    """

    choose: Callable[[float, float], float] = field(default=random.uniform)
    _upper_s: float = MIN_DELAY_S

    def delay_s(self, lived_s: float) -> float:
        """Seconds to wait after a process that lived for `lived_s`."""
        if lived_s >= HEALTHY_S:
            self._upper_s = MIN_DELAY_S
        self._upper_s = min(MAX_DELAY_S, self._upper_s * 2)
        return self.choose(self._upper_s / 2, self._upper_s)


def supervise(
    command: Sequence[str],
    *,
    keep_open: Sequence[int] = (),
    backoff: Backoff | None = None,
    stop_timeout_s: float = STOP_TIMEOUT_S,
) -> int:
    """Run `command` again and again until it is not wanted any more; returns the exit status to end with.

    The child inherits the descriptors in `keep_open`. The loop ends on SIGTERM or SIGINT, which the child
    gets too and has `stop_timeout_s` for, and when the child exits with 0, or with 2 for a configuration
    that another start would not mend. Main thread only: on Linux the kernel kills the child when the thread
    that started it ends.
    """
    pauses = backoff or Backoff()
    with Signals() as signals:
        starts = 0
        while True:
            starts += 1
            began = time.monotonic()
            child = _started(command, keep_open, signals, pauses)
            if child is None:
                return STOPPED
            status = _run(child, signals, stop_timeout_s)
            if signals.stopping():
                return _stopped(status)
            final = final_status(status, starts)
            if final is not None:
                return final
            delay_s = pauses.delay_s(time.monotonic() - began)
            log.warning(
                "worker_restarts",
                ended=described(status),
                delay_s=round(delay_s, 2),
                starts=starts,
                recommendation=LOOK_BEFORE,
            )
            signals.pause(delay_s)
            if signals.stopping():
                return STOPPED


def _started(
    command: Sequence[str], keep_open: Sequence[int], signals: Signals, pauses: Backoff
) -> subprocess.Popen[bytes] | None:
    """The child, once the system has room for one more process; None after a signal to stop."""
    while True:
        try:
            return _start(command, keep_open)
        except (OSError, subprocess.SubprocessError) as error:
            log.error("worker_not_started", why=str(error), recommendation=MAKE_ROOM)
        signals.pause(pauses.delay_s(0))
        if signals.stopping():
            return None


def _start(command: Sequence[str], keep_open: Sequence[int]) -> subprocess.Popen[bytes]:
    """The child, in this process group. Standard output belongs to announced lines, of which it has none."""
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr.fileno(),
        pass_fds=keep_open,
        preexec_fn=die_with_parent(signal.SIGKILL),
    )


def _run(child: subprocess.Popen[bytes], signals: Signals, stop_timeout_s: float) -> int:
    """Wait for the child's end, passing a signal to stop on; returns its status as Popen gives it."""
    kill_at: float | None = None
    while (status := child.poll()) is None:
        now = time.monotonic()
        if signals.stopping() and kill_at is None:
            kill_at = now + stop_timeout_s
            child.terminate()
        elif kill_at is not None and now >= kill_at:
            log.error(
                "worker_killed",
                why=f"it did not stop within {stop_timeout_s:g} s",
                recommendation="none: nothing is lost; when it repeats, see whether the brokers answer",
            )
            child.kill()
            return child.wait()
        signals.wait(None if kill_at is None else max(0.0, kill_at - now))
    return status


def _stopped(status: int) -> int:
    final = stopped_status(status)
    if final != STOPPED:
        log.warning(
            "worker_did_not_stop_cleanly", ended=described(status), recommendation="none: it restores"
        )
    return final
