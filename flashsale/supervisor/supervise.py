"""The loop: start, wait, decide whether to start again."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence

from flashsale.supervisor.backoff import Backoff
from flashsale.supervisor.exits import STOPPED, described, final_status, stopped_status
from flashsale.supervisor.process import start
from flashsale.supervisor.signals import Signals
from streams.log import get_logger

log = get_logger("supervisor")

STOP_TIMEOUT_S = 20.0
"""The worker bounds its own stop by 15 s; this is for one that hangs altogether."""


def supervise(
    command: Sequence[str],
    *,
    keep_open: Sequence[int] = (),
    backoff: Backoff | None = None,
    stop_timeout_s: float = STOP_TIMEOUT_S,
) -> int:
    """Run `command` again and again until it is not wanted any more; returns the exit status to end with.

    It ends on SIGTERM or SIGINT, which the child gets too and has `stop_timeout_s` for, and when the child
    exits with 0, or with 2 for a configuration that another start would not mend. Main thread only.
    """
    pauses = backoff or Backoff()
    with Signals() as signals:
        starts = 0
        while True:
            starts += 1
            began = time.monotonic()
            status = _run(start(command, keep_open), signals, stop_timeout_s)
            if signals.stopping():
                return _stopped(status)
            final = final_status(status, starts)
            if final is not None:
                return final
            delay_s = pauses.delay_s(time.monotonic() - began)
            log.warning("worker restarts", ended=described(status), delay_s=round(delay_s, 2), starts=starts)
            signals.pause(delay_s)
            if signals.stopping():
                return STOPPED


def _run(child: subprocess.Popen[bytes], signals: Signals, stop_timeout_s: float) -> int:
    """Wait for the child's end, passing a signal to stop on; returns its status as Popen gives it."""
    kill_at: float | None = None
    while (status := child.poll()) is None:
        now = time.monotonic()
        if signals.stopping() and kill_at is None:
            kill_at = now + stop_timeout_s
            child.terminate()
        elif kill_at is not None and now >= kill_at:
            log.error("worker killed", why=f"it did not stop within {stop_timeout_s:g} s")
            child.kill()
            return child.wait()
        signals.wait(None if kill_at is None else max(0.0, kill_at - now))
    return status


def _stopped(status: int) -> int:
    final = stopped_status(status)
    if final != STOPPED:
        log.warning(
            "worker did not stop cleanly", ended=described(status), recommendation="none: it restores"
        )
    return final
