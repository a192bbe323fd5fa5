"""What keeps a worker out of its group: a disk without room for rows, and takeovers that failed in a row.

Each time that a worker joins and leaves, all workers of the group stop for a moment. One that would only fail
again stays outside, says why and what to do, and joins when that is over. Its health port answers meanwhile.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from flashsale.supervisor import FailedTakeovers
from flashsale.worker.readiness import Readiness
from streams.engine.store import READ_BACK
from streams.log import get_logger
from streams.system import no_room

log = get_logger("worker")

NEEDED_BYTES = 32 << 20
"""Room that a disk must have before a worker joins; the rows may need more."""

LOOK_EVERY_S = 1.0
TELL_EVERY_S = 60.0

MAKE_ROOM = (
    "free at least 32 MiB there, allow this user to write, or stop the worker and set another DATA_DIR; "
    "it goes on by itself once it can write"
)
LOOK_BACK = (
    "look at the lines `worker_ends` before this one and mend the cause; a worker that is started anew "
    "tries at once"
)


def wait_outside(data_dir: Path, takeovers: FailedTakeovers, readiness: Readiness) -> None:
    """Return when the worker may join its group. Blocks; a signal to stop ends the process."""
    if (seconds := takeovers.wait_s) > 0:
        failed = takeovers.count
        readiness.stays_outside = (
            f"{failed} takeovers in a row have failed; the next one is in {seconds:.0f} s"
        )
        log.error("stays_outside", failed_takeovers=failed, seconds=seconds, recommendation=LOOK_BACK)
        time.sleep(seconds)
    _wait_for_disk(data_dir, readiness)
    readiness.stays_outside = ""


def _wait_for_disk(data_dir: Path, readiness: Readiness) -> None:
    told_at = float("-inf")
    while (why := unusable(data_dir)) is not None:
        readiness.stays_outside = f"DATA_DIR {data_dir} cannot be used: {why}"
        if time.monotonic() - told_at > TELL_EVERY_S:
            told_at = time.monotonic()
            log.error("disk_unusable", path=str(data_dir), why=why, recommendation=MAKE_ROOM)
        time.sleep(LOOK_EVERY_S)


def unusable(data_dir: Path) -> str | None:
    """Why rows cannot be kept here; a cache that leaves no room for them is thrown away first."""
    why = no_room(data_dir, NEEDED_BYTES)
    caches = [path for path in data_dir.glob("task-*") if path.is_dir()] if why is not None else []
    if not caches:
        return why
    log.warning("rows_thrown_away", path=str(data_dir / "task-*"), why=why, recommendation=READ_BACK)
    for path in caches:
        shutil.rmtree(path, ignore_errors=True)
    return no_room(data_dir, NEEDED_BYTES)
