"""`flashsale bridge`."""

from __future__ import annotations

from flashsale.cli.start import configured


def run_bridge(host: str, port: int, *, unsigned: bool, default_wait_s: float | None) -> int:
    """Run the HTTP bridge until SIGTERM. Raises ConfigurationError."""
    settings = configured("INFO")
    from bridge.main import run

    return run(settings, host, port, unsigned, default_wait_s)
