"""What our processes ask of their operating system: the time, room on a disk, and to end together."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

PR_SET_PDEATHSIG = 1
"""prctl(2): the signal that a process gets when the thread that started it ends."""


def now_ms() -> int:
    """The wall clock in Unix milliseconds."""
    return time.time_ns() // 1_000_000


def die_with_parent(signum: signal.Signals) -> Callable[[], None] | None:
    """Return what a child does between fork and exec so that the kernel ends it with its parent, by `signum`.

    For Popen's `preexec_fn`, from the main thread only: the signal comes when the starting *thread* ends, and
    a pool's thread ends long before the process. Elsewhere, and on other systems than Linux, this is None.
    """
    if sys.platform != "linux" or threading.current_thread() is not threading.main_thread():
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def in_child() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signum)
        if os.getppid() != parent:  # it ended before the call above
            os._exit(1)

    return in_child


def end_with(pipe: int, status: int) -> None:
    """In a child: end with `status` at once when the other end of `pipe` closes, because its parent ended.

    This is what other systems than Linux have; there it only says the same once more.
    """

    def watch() -> None:
        os.read(pipe, 1)
        os._exit(status)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def no_room(directory: Path, needed_bytes: int) -> str | None:
    """Why a file of so many bytes cannot be written into a directory, None where it can.

    The directory is created for this user alone where it does not exist.
    """
    path = directory / "probe"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with path.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, needed_bytes)
                file.write(b"x")
                file.flush()
                os.fsync(file.fileno())
        finally:
            path.unlink(missing_ok=True)
    except OSError as error:
        return error.strerror or str(error)
    return None
