"""A worker process to be measured, and what it says about itself on /metrics."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from psutil import Process


class MeasuredWorker:
    """`python -m benchmarks.worker` with some stages only; use as a context manager."""

    def __init__(
        self, environment: Mapping[str, str], directory: Path, port: int, stages: Sequence[str] = ()
    ) -> None:
        self.port = port
        self.log = directory / f"worker-{port}.log"
        command = [sys.executable, "-m", "benchmarks.worker", str(port), *stages]
        self._out = self.log.open("ab")
        self.process = subprocess.Popen(
            command, env={**os.environ, **environment}, stdout=self._out, stderr=self._out
        )
        self.started_at = time.monotonic()

    def __enter__(self) -> MeasuredWorker:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        """End it as a machine that loses power."""
        self.process.kill()
        self.process.wait(20)
        self._out.close()

    def metric(self, name: str) -> float:
        """Sum of a metric over its labels; 0 while the worker does not answer."""
        try:
            url = f"http://127.0.0.1:{self.port}/metrics"
            with urllib.request.urlopen(url, timeout=2) as answer:
                text = answer.read().decode()
        except OSError:
            return 0.0
        return sum(float(v) for v in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE))

    def wait(self, name: str, value: float, timeout_s: float = 180.0) -> float:
        """Wait until a metric reaches a value; returns the monotonic time at which it did."""
        deadline = time.monotonic() + timeout_s
        while self.metric(name) < value:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{name} did not reach {value:,.0f}:\n{self.log.read_text()[-2000:]}")
            time.sleep(0.05)
        return time.monotonic()

    def rss_mb(self) -> float:
        """Resident memory in MB."""
        return float(Process(self.process.pid).memory_info().rss) / 1e6

    def cpu_s(self) -> float:
        """CPU seconds used so far."""
        times = Process(self.process.pid).cpu_times()
        return float(times.user + times.system)
