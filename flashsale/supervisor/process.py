"""Starts the child so that it can not outlive its supervisor."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence

PR_SET_PDEATHSIG = 1
"""prctl(2): the signal that a process gets when the thread that started it ends."""


def start(command: Sequence[str], keep_open: Sequence[int] = ()) -> subprocess.Popen[bytes]:
    """Start `command` in this process group; it inherits the descriptors in `keep_open`.

    Call it from the main thread: on Linux the kernel kills the child when the thread that started it ends.
    Standard output belongs to announced lines, of which a worker has none: it goes to standard error.
    """
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr.fileno(),
        pass_fds=keep_open,
        preexec_fn=_die_with_parent(),
    )


def _die_with_parent() -> Callable[[], None] | None:
    """What the child does between fork and exec. None where the kernel does not offer it."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def in_child() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before the call above
            os._exit(1)

    return in_child


def end_with(pipe: int, status: int) -> None:
    """In the child: end at once when the other end of `pipe` closes, which is when the supervisor ends.

    This is what other systems than Linux have; there it only says the same once more.
    """

    def watch() -> None:
        os.read(pipe, 1)
        os._exit(status)

    threading.Thread(target=watch, name="supervisor", daemon=True).start()
