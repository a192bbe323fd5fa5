"""How a worker process ends: its exit statuses, and what its supervisor makes of each.

docs/operations.md lists them for people.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from types import MappingProxyType

from streams.log import get_logger

log = get_logger("worker")

STOPPED = 0
NOT_CLEAN = 1
CONFIGURATION = 2
NO_BROKER = 69
CANNOT_GO_ON = 70
STOP_TOO_SLOW = 71
ORPHANED = 72
TOO_MANY_GIVEN_UP = 73

MEANINGS: Mapping[int, str] = MappingProxyType(
    {
        NOT_CLEAN: "an error that nobody expected",
        NO_BROKER: "no Kafka broker answered",
        CANNOT_GO_ON: "it could not go on: its last line says why",
        STOP_TOO_SLOW: "it did not stop in time",
        ORPHANED: "its supervisor ended",
        TOO_MANY_GIVEN_UP: "too many records made it fail",
    }
)


LOOK_AT_THE_WORKER = (
    "look at the traces of `stage_failed`: the fault is the worker's, not the records'; start it again with "
    "a version that is mended, then send the dead letters with the reason UNPROCESSABLE again"
)
STARTS_CLEAN = (
    "none, once: the supervisor starts a clean process; when it repeats, a person has to do what `why` says"
)


def die(why: str) -> None:
    """End this worker now: a clean process restores everything that was committed, and nothing else."""
    log.error("worker_ends", why=why, recommendation=STARTS_CLEAN)
    os._exit(CANNOT_GO_ON)


def stop(why: str) -> None:
    """End this worker now, and its supervisor with it: a new process would do the same again."""
    log.error("worker_stops", why=why, recommendation=LOOK_AT_THE_WORKER)
    os._exit(TOO_MANY_GIVEN_UP)


def final_status(status: int, starts: int) -> int | None:
    """The supervisor's own status after a child that nobody asked to stop; None: start it again.

    No broker at the first start is a mistake in the configuration, later it is an outage.
    """
    if status in (STOPPED, CONFIGURATION):
        return status
    if status == NO_BROKER and starts == 1:
        return CONFIGURATION
    return NOT_CLEAN if status == TOO_MANY_GIVEN_UP else None


def stopped_status(status: int) -> int:
    """The supervisor's own status after a child that was asked to stop."""
    return STOPPED if status in (STOPPED, -signal.SIGTERM, -signal.SIGINT) else NOT_CLEAN


def described(status: int) -> str:
    """How a process ended, for a log line."""
    if status >= 0:
        return f"status {status}" + (f" ({MEANINGS[status]})" if status in MEANINGS else "")
    hint = ", out of memory?" if status == -signal.SIGKILL else ""
    return f"signal {_signal(-status)}{hint}"


def _signal(number: int) -> str:
    """Its name; most of those for real-time use have none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
