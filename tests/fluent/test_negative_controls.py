"""What the protections are for: without each of them the same crash ends in a wrong number."""

from __future__ import annotations

import pytest

from fluent import Gateway
from streams.ledger.commands import HoldConfirmed
from tests.fluent.conftest import NewGateway
from tests.fluent.defective import BlindGateway, ClockGateway
from tests.fluent.support import Network, Requests
from tests.support.fluent import FluentSimulator

CREATE_CALL = 3
"""FindParts, Positions, Available, CreatePart."""


@pytest.mark.parametrize(("kind", "held"), [(Gateway, 50), (ClockGateway, 100)])
async def test_refs_from_a_clock_hold_twice_after_a_crash(
    simulator: FluentSimulator, new_gateway: NewGateway, two: Requests, kind: type[Gateway], held: int
) -> None:
    crashing = new_gateway(kind=kind, transport=Network(cut_at=CREATE_CALL, deliver=True), max_retries=0)
    assert await crashing.handle(two.hold(50)) is None
    assert isinstance(await new_gateway(kind=kind).handle(two.hold(50)), HoldConfirmed)
    assert simulator.truth(two.sku)["held"] == held


@pytest.mark.parametrize(("kind", "held"), [(Gateway, 50), (BlindGateway, 90)])
async def test_without_look_up_a_refused_duplicate_is_not_success(
    simulator: FluentSimulator, new_gateway: NewGateway, two: Requests, kind: type[Gateway], held: int
) -> None:
    """50 units are held at LOC-1 already; the blind run plans 10 there (refused) and 40 at LOC-2."""
    crashing = new_gateway(transport=Network(cut_at=CREATE_CALL, deliver=True), max_retries=0)
    assert await crashing.handle(two.hold(50)) is None
    assert isinstance(await new_gateway(kind=kind).handle(two.hold(50)), HoldConfirmed)
    assert simulator.truth(two.sku)["held"] == held
