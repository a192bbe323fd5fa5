"""The broker's Java process: started, asked to stop, killed, and never left behind."""

from __future__ import annotations

import atexit
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

PR_SET_PDEATHSIG = 1
"""prctl(2): the signal that a process gets when the thread that started it ends."""

STOP_TIMEOUT_S = 10


class BrokerProcess:
    """One Java process with its output in a log file."""

    def __init__(self, command: Sequence[str], work_dir: Path, log: Path) -> None:
        """Start it. It dies with this process, even with a killed one where Linux helps."""
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=work_dir,
                # Ctrl-C reaches Python only, which stops the broker in order. A session of its own would do
                # that as well, but Linux shares the processor among sessions first, and priorities end there.
                process_group=0,
                preexec_fn=die_with_parent(),
            )
        atexit.register(self.kill)

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def stop(self) -> None:
        """End it in order (SIGTERM), by force after `STOP_TIMEOUT_S`."""
        if self.exit_code is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._reap()

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        if self.exit_code is None:
            self._process.kill()
        self._reap()

    def _reap(self) -> None:
        self._process.wait()
        atexit.unregister(self.kill)


def die_with_parent() -> Callable[[], None] | None:
    """Return what the child does between fork and exec so that the kernel ends it with its parent.

    Only from the main thread: the signal comes when the starting *thread* ends, and a pool's thread ends long
    before the process. Started elsewhere, or not on Linux, the broker is ended at this process's exit only.
    """
    if sys.platform != "linux" or threading.current_thread() is not threading.main_thread():
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def in_child() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it ended before the call above
            os._exit(1)

    return in_child
