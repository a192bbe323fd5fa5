"""One simulator for the folder; each test works on SKUs of its own and finds the switches at rest."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count
from typing import Any

import pytest

from fluent import Gateway
from rehearsal.fluent.switches import Controls
from tests.fluent.support import Network, Requests, options_for
from tests.support.fluent import FluentSimulator, at_rest

SKUS = 600
ALIKE = ("A", "24-A", "B", "B-sale")
"""SKUs whose names run together with those of a promotion, or of a booking."""
LIKE_CODES = ("S0012", "C0121", "C0020", "C0011", "T1234")
"""SKUs whose names look like Fluent's codes."""
AT_REST = Controls(strict_credentials=True, activation_delay_ms=10, hang_ms=5_000)

NewGateway = Callable[..., Gateway]


@pytest.fixture(scope="session")
def shared_fluent() -> Iterator[FluentSimulator]:
    stock = {f"ONE-{number:03d}": {"LOC-1": 100} for number in range(SKUS)}
    stock |= {f"TWO-{number:03d}": {"LOC-1": 60, "LOC-2": 60} for number in range(SKUS)}
    stock |= {f"PAGE-{number:03d}": {"LOC-1": 60, "LOC-2": 60} for number in range(500)}
    stock |= {sku: {"LOC-1": 8, "LOC-2": 100} for sku in ALIKE}
    stock |= {sku: {"LOC-1": 100} for sku in LIKE_CODES}
    stock["MANY"] = {f"STORE-{number:03d}": 2 for number in range(120)}
    with FluentSimulator(stock) as simulator:
        yield simulator


@pytest.fixture
def simulator(shared_fluent: FluentSimulator) -> Iterator[FluentSimulator]:
    with at_rest(shared_fluent, AT_REST):
        yield shared_fluent


@pytest.fixture(scope="session")
def numbers() -> Iterator[int]:
    return count()


@pytest.fixture
def one(numbers: Iterator[int]) -> Requests:
    """Requests for a SKU with 100 units at LOC-1."""
    return Requests(f"ONE-{next(numbers):03d}")


@pytest.fixture
def two(numbers: Iterator[int]) -> Requests:
    """Requests for a SKU with 60 units at LOC-1 and 60 at LOC-2."""
    return Requests(f"TWO-{next(numbers):03d}")


@pytest.fixture
async def new_gateway(simulator: FluentSimulator) -> AsyncIterator[NewGateway]:
    """Makes gateways that are closed at the end: `new_gateway(transport=…, call_timeout_s=…)`, `kind=` for a
    defective one."""
    made: list[Gateway] = []
    own = ("transport", "lease_expires_at", "now_ms")

    def make(kind: type[Gateway] = Gateway, **options: Any) -> Gateway:
        passed = {"transport": Network()} | {name: options.pop(name) for name in own if name in options}
        made.append(kind(options_for(simulator, **options), **passed))
        return made[-1]

    yield make
    for gateway in made:
        await gateway.aclose()


@pytest.fixture
def gateway(new_gateway: NewGateway) -> Gateway:
    return new_gateway()
