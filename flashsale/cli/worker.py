"""`flashsale worker`: the supervisor, which starts the worker itself."""

from __future__ import annotations

import os
import sys

from flashsale.cli.start import configured
from flashsale.supervisor import locked, supervise


def run_worker(health_host: str, health_port: int | None) -> int:
    """Run one worker until SIGTERM; returns the supervisor's status. Raises ConfigurationError."""
    settings = configured("INFO")
    settings.require_kafka()
    settings.require_fluent()
    with locked(settings.data_dir) as lock:
        reader, writer = os.pipe()  # the child reads; it closes when this process ends, however it ends
        try:
            return supervise(_command(health_host, health_port, reader), keep_open=(lock, reader))
        finally:
            os.close(reader)
            os.close(writer)


def _command(health_host: str, health_port: int | None, pipe: int) -> list[str]:
    """The child's command line; `pipe` is the descriptor that it watches its supervisor by."""
    health = [] if health_port is None else ["--health-host", health_host, "--health-port", str(health_port)]
    return [sys.executable, "-m", "flashsale.worker", "--pipe", str(pipe), *health]
