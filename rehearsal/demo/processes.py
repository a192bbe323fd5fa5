"""Processes of ours: started with a log file, awaited with a deadline, never left behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import httpx

from streams.system import die_with_parent

POLL_S = 0.02
PROBE_TIMEOUT_S = 1.0
HEALTH = re.compile(r"http://127\.0\.0\.1:\d+(?=/readyz)")
TASKS = re.compile(r"^flashsale_tasks ([0-9.]+)$", re.MULTILINE)

T = TypeVar("T")


class StageError(RuntimeError):
    """Something that the demo needs does not run; the text says what, and what to do."""


def wait_for(look: Callable[[], T | None], what: str, timeout_s: float, pause_s: float = POLL_S) -> T:
    """Call `look` until it gives something true. Raises StageError after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not (found := look()):
        if time.monotonic() > deadline:
            raise StageError(f"After {timeout_s:.0f} s still not: {what}.")
        time.sleep(pause_s)
    return found


class Process:
    """A Python module of ours as a process in a group of its own, its output in a file.

    Start it from the main thread: then it ends with this process even if that is killed.
    """

    def __init__(
        self, arguments: Sequence[str], environment: Mapping[str, str], log: Path, cwd: Path | None = None
    ) -> None:
        """`arguments` follow `python -m`; `environment` is all that it gets."""
        self.log = log
        self.name = log.stem
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=cwd,
                # Ctrl-C reaches only us, and we end it in order. Not a session of its own: Linux shares the
                # processor among sessions first.
                process_group=0,
                preexec_fn=die_with_parent(signal.SIGTERM),
            )

    @property
    def pid(self) -> int:
        """Its process id, which is that of its group."""
        return self._process.pid

    @property
    def output(self) -> str:
        """Everything that it has said."""
        return self.log.read_text(errors="replace")

    def check(self) -> None:
        """Raise StageError when it has ended."""
        status = self._process.poll()
        if status is not None:
            last = self.output.strip().splitlines()[-1:] or ["nothing"]
            raise StageError(f"{self.name} ended with status {status}; its last words: {last[0]}")

    def said(self, pattern: re.Pattern[str], timeout_s: float) -> str:
        """Wait until it says `pattern`, and return the match. Raises StageError when it does not."""

        def look() -> str | None:
            found = pattern.search(self.output)
            if found is None:
                self.check()
            return found.group() if found else None

        return wait_for(look, f"{self.name} has started", timeout_s)

    def finish(self, timeout_s: float) -> None:
        """Wait for its end. Raises StageError for a status other than 0, or when it takes too long."""
        try:
            status = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise StageError(f"{self.name} did not end within {timeout_s:.0f} s.") from None
        if status:
            self.check()

    def terminate(self) -> None:
        """Ask it to end (SIGTERM); does not wait."""
        if self._process.poll() is None:
            self._process.terminate()

    def kill(self) -> None:
        """End its whole group at once (SIGKILL), as a machine that loses power."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def close(self, timeout_s: float) -> None:
        """Wait for the end of a terminated process, and kill it when that takes too long."""
        try:
            self._process.wait(max(0.0, timeout_s))
        except subprocess.TimeoutExpired:
            self.kill()


class WorkerProcess(Process):
    """A `flashsale worker`: a supervisor and its child in one process group."""

    def __init__(self, environment: Mapping[str, str], directory: Path, name: str) -> None:
        own = {"DATA_DIR": str(directory / name)}
        arguments = ["flashsale.cli", "worker", "--health-port", "0"]
        super().__init__(arguments, {**environment, **own}, directory / f"{name}.log")

    def tasks(self) -> int:
        """How many tasks it takes records for; 0 until it is ready. Raises StageError when it has ended."""
        self.check()
        urls = HEALTH.findall(self.output)
        if not urls:
            return 0
        try:
            if httpx.get(f"{urls[-1]}/readyz", timeout=PROBE_TIMEOUT_S, trust_env=False).is_error:
                return 0
            text = httpx.get(f"{urls[-1]}/metrics", timeout=PROBE_TIMEOUT_S, trust_env=False).text
        except httpx.HTTPError:
            return 0
        found = TASKS.search(text)
        return int(float(found.group(1))) if found else 0
