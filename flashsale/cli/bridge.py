"""`flashsale bridge`."""

from __future__ import annotations

from typing import Annotated

import typer

from flashsale.cli.console import configured


def bridge(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port; 0: any free one.")] = 8081,
    operations_port: Annotated[
        int | None,
        typer.Option(min=0, max=65_535, help="Port of /sale, /metrics, /healthz and /readyz; default: none."),
    ] = None,
    operations_host: Annotated[
        str, typer.Option(help="Address of the operations port; nothing on it is signed.")
    ] = "127.0.0.1",
    unsigned: Annotated[
        bool, typer.Option("--unsigned", help="Take requests without a signature; loopback only.")
    ] = False,
    default_wait: Annotated[
        float | None,
        typer.Option(min=0, help="Seconds to wait for the outcome of callers that send no Prefer."),
    ] = None,
) -> int:
    """Run the HTTP bridge until SIGTERM. Raises ConfigurationError."""
    settings = configured("INFO")
    settings.own_data_dir()
    from bridge.main import Options, run

    return run(settings, Options(host, port, operations_host, operations_port, unsigned, default_wait))
