"""One simulator for the whole folder; each test works on a SKU of its own and finds the switches at rest."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from rehearsal.fluent.switches import Controls
from tests.rehearsal.fluent.caller import Caller
from tests.support.fluent import FluentSimulator, at_rest

SKUS = 150
AT_REST = Controls(strict_credentials=True, activation_delay_ms=0, hang_ms=5_000)


@pytest.fixture(scope="session")
def shared_simulator() -> Iterator[FluentSimulator]:
    stock = {f"SKU-{number:03d}": {"LOC-1": 100, "LOC-2": 50} for number in range(SKUS)}
    with FluentSimulator(stock) as simulator:
        yield simulator


@pytest.fixture(scope="session")
def skus() -> Iterator[int]:
    return count()


@pytest.fixture
def sku(skus: Iterator[int]) -> str:
    """100 units at LOC-1 and 50 at LOC-2, touched by no other test."""
    return f"SKU-{next(skus):03d}"


@pytest.fixture
def simulator(shared_simulator: FluentSimulator) -> Iterator[FluentSimulator]:
    with at_rest(shared_simulator, AT_REST):
        yield shared_simulator


@pytest.fixture
def fluent(simulator: FluentSimulator) -> Iterator[Caller]:
    """A logged-in client of the simulated API."""
    with Caller(simulator.base_url) as caller:
        caller.login()
        yield caller
