"""`flashsale demo` as a process of its own, its temporary files in a folder of the test's."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from tests.support.system import TimedOut, is_gone, wait_until

ADDRESS = re.compile(r"simulator is at (http://\S+)")


class Performance:
    """A demo that runs. Standard error is read by a thread, so that a test can wait for a line of it."""

    def __init__(
        self, directory: Path, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> None:
        self.temporary = directory / "tmp"
        self.temporary.mkdir()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "flashsale.cli", "demo", *arguments],
            env={**os.environ, "TMPDIR": str(self.temporary), **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said: list[str] = []
        self._more = threading.Condition()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        self.started: set[psutil.Process] = set()

    def wait_for(self, text: str, timeout_s: float) -> str:
        """The first line on standard error with `text`; also remembers the processes that run by then."""

        def line() -> str | None:
            return next((said for said in self.said if text in said), None)

        with self._more:
            found = self._more.wait_for(lambda: line() or not self._listener.is_alive(), timeout_s)
            assert found and line() is not None, f"it never said {text!r}:\n{''.join(self.said)}"
        self.started |= set(psutil.Process(self.process.pid).children(recursive=True))
        return line() or ""

    def finish(self, timeout_s: float) -> tuple[int, str, str]:
        """Exit status, standard output and standard error."""
        try:
            assert self.process.stdout is not None
            # Standard output is a page of text at most: the pipe takes it while we wait.
            status = self.process.wait(timeout_s)
            self._listener.join(10)
            return status, self.process.stdout.read(), "".join(self.said)
        finally:
            self.close()

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def left_behind(self) -> list[str]:
        """Processes that it started and that do not end soon after it, and files that it left.

        Those that its own processes had started are told to end by the kernel, when these are gone.
        """
        with suppress(TimedOut):
            wait_until(lambda: not self._running(), "its processes are gone", 20)
        return self._running() + [str(path) for path in self.temporary.iterdir()]

    def _running(self) -> list[str]:
        return [process.name() for process in self.started if not is_gone(process)]

    def close(self) -> None:
        """End it if it still runs, and give the pipes back."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)
        self._listener.join(10)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()

    def _listen(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._more:
                self.said.append(line)
                self._more.notify_all()
        with self._more:
            self._more.notify_all()
