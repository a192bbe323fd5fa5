"""`flashsale bridge`."""

from __future__ import annotations

from flashsale.cli.start import configured


def run_bridge(
    host: str,
    port: int,
    operations_host: str,
    operations_port: int | None,
    *,
    unsigned: bool,
    default_wait_s: float | None,
) -> int:
    """Run the HTTP bridge until SIGTERM. Raises ConfigurationError."""
    settings = configured("INFO")
    from bridge.main import Options, run

    return run(settings, Options(host, port, operations_host, operations_port, unsigned, default_wait_s))
