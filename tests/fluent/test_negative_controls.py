"""What the protections are for: without each of them the same crash ends in a wrong number."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from fluent import Gateway
from fluent.errors import Duplicate
from fluent.hold import Hold
from fluent.parts import Attributes, Part
from fluent.stock import Stock
from streams.ledger.commands import HoldConfirmed
from tests.fluent.conftest import NewGateway
from tests.fluent.support import Network, Requests
from tests.support.fluent import FluentSimulator

CREATE_CALL = 3
"""FindParts, Positions, Available, CreatePart."""


class TimedRequests(Requests):
    """Refs as the seed made them: another one at every try."""

    @property
    def ref(self) -> str:
        return f"{self.promotion}-{self.sku}-{time.time_ns()}"


async def crash_after_creating(new_gateway: NewGateway, requests: Requests) -> None:
    gateway = new_gateway(transport=Network(cut_at=CREATE_CALL, deliver=True), max_retries=0)
    assert await gateway.handle(requests.hold(50)) is None
    await gateway.aclose()


@pytest.mark.parametrize(("kind", "held"), [(Requests, 50), (TimedRequests, 100)])
async def test_refs_from_a_clock_hold_twice_after_a_crash(
    simulator: FluentSimulator,
    gateway: Gateway,
    new_gateway: NewGateway,
    two: Requests,
    kind: type[Requests],
    held: int,
) -> None:
    requests = kind(two.sku)
    await crash_after_creating(new_gateway, requests)
    assert isinstance(await gateway.handle(requests.hold(50)), HoldConfirmed)
    assert simulator.truth(two.sku)["held"] == held


class Blind(Stock):
    """Looks nothing up, reads nothing back, and takes a refused duplicate for success."""

    async def parts(self) -> list[Part]:
        return []

    async def create(self, part: Part, attributes: Attributes) -> None:
        try:
            await super().create(part, attributes)
        except Duplicate:
            return

    async def check(self, part: Part) -> tuple[Part | None, int]:
        return replace(part), 0


@pytest.mark.parametrize(("kind", "held"), [(Stock, 50), (Blind, 90)])
async def test_without_look_up_a_refused_duplicate_is_not_success(
    simulator: FluentSimulator,
    gateway: Gateway,
    new_gateway: NewGateway,
    two: Requests,
    kind: type[Stock],
    held: int,
) -> None:
    """50 units are held at LOC-1 already; the blind run plans 10 there (refused) and 40 at LOC-2."""
    await crash_after_creating(new_gateway, two)
    stock = kind(gateway.client, gateway.profile, two.promotion, two.sku, two.ref, float("inf"))
    assert isinstance(await Hold(stock, two.hold(50), 0.0).run(), HoldConfirmed)
    assert simulator.truth(two.sku)["held"] == held
