"""`flashsale worker`: the supervisor, which starts the worker itself as a child."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from flashsale.cli.console import configured
from flashsale.supervisor import FailedTakeovers, locked, supervise


def worker(
    health_port: Annotated[
        int | None,
        typer.Option(min=0, max=65_535, help="Serve /healthz, /readyz and /metrics here; 0: any free port."),
    ] = None,
    health_host: Annotated[
        str, typer.Option(help="Address of the health port. Anybody who reaches it may read the figures.")
    ] = "127.0.0.1",
) -> int:
    """Run one worker until SIGTERM; returns the supervisor's status. Raises ConfigurationError."""
    settings = configured("INFO")
    settings.require_kafka()
    settings.require_fluent()
    with locked(settings.own_data_dir()) as lock:
        reader, writer = os.pipe()  # the child reads; it closes when this process ends, however it ends
        FailedTakeovers(settings.data_dir).forget()  # whoever starts a worker wants it to try at once
        try:
            return supervise(_command(health_host, health_port, reader), keep_open=(lock, reader))
        finally:
            os.close(reader)
            os.close(writer)


def _command(health_host: str, health_port: int | None, pipe: int) -> list[str]:
    """The child's command line; `pipe` is the descriptor that it watches its supervisor by."""
    health = [] if health_port is None else ["--health-host", health_host, "--health-port", str(health_port)]
    return [sys.executable, "-m", "flashsale.worker", "--pipe", str(pipe), *health]
