"""Fluent, reached over a network that loses requests and answers, and the shop that books in it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any

import httpx

from rehearsal.fluent.channels import CancelRequest, OrderRequest
from rehearsal.fluent.server import application
from rehearsal.fluent.world import World as FluentWorld
from schemas.topics import ORDER_OUTCOMES
from streams.engine.broker.coordinators import Partition
from tests.simulation.whole.clock import NEUTRAL, VirtualLoop
from tests.simulation.whole.kafka import Kafka
from tests.simulation.worlds import Kind, log

BOOKED_WITHIN_MS = 5_000
LATE_S = (1.0, 20.0)
"""A request that is late was on its way while its sender froze, or waited in somebody's queue."""

SALE = b"-sale"
"""A booking is never late: one that comes after a newer one is drift, which a person repairs."""


class Fluent:
    """The simulated Fluent and what its network does; `fair` ends the bad weather."""

    def __init__(self, loop: VirtualLoop, rng: Random, kind: Kind, stock: Mapping[str, int]) -> None:
        places = {sku: {"LOC-1": units // 2, "LOC-2": units - units // 2} for sku, units in stock.items()}
        self.loop = loop
        self.rng = rng
        self.kind = kind
        self.world = FluentWorld(places, clock=lambda: loop.now_ms)
        self.app = httpx.ASGITransport(app=application(self.world, asyncio.Event()))
        self.fair = False
        self.late = 0

    def transport(self) -> httpx.AsyncBaseTransport:
        """For one worker's gateway."""
        return _Transport(self)

    @property
    def away(self) -> bool:
        """Whether nothing gets through now."""
        from_ms, to_ms = self.kind.away
        return not self.fair and from_ms <= self.loop.now_ms < to_ms

    def loses(self) -> bool:
        """Whether the request, or the answer, in hand is lost."""
        return not self.fair and self.rng.random() < self.kind.loss_rate / 2

    def delay_s(self) -> float:
        """How long a request is on its way."""
        return log(self.rng, 1, 50 if self.fair else max(50, self.kind.slow_ms // 10)) / 1_000


class _Transport(httpx.AsyncBaseTransport):
    def __init__(self, fluent: Fluent) -> None:
        self._fluent = fluent

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Whatever becomes of who waits for the answer, the request arrives, or is lost, or is late."""
        fluent, loop = self._fluent, self._fluent.loop
        answered: asyncio.Future[httpx.Response] = loop.create_future()
        await request.aread()

        async def exchange() -> None:
            await asyncio.sleep(fluent.delay_s())
            if fluent.loses() or fluent.away:
                if fluent.rng.random() < 0.5 or SALE in request.content:
                    return _refuse(answered)
                fluent.late += 1
                await asyncio.sleep(fluent.rng.uniform(*LATE_S))
            response = await fluent.app.handle_async_request(request)
            content = await response.aread()
            if fluent.loses():
                return _refuse(answered)
            await asyncio.sleep(fluent.delay_s())
            if not answered.done():
                answered.set_result(
                    httpx.Response(response.status_code, headers=response.headers, content=content)
                )

        loop.create_task(exchange(), context=NEUTRAL)
        return await answered


def _refuse(answered: asyncio.Future[httpx.Response]) -> None:
    if not answered.done():
        answered.set_exception(httpx.ReadError("the connection broke"))


@dataclass
class Shop:
    """Reads outcomes as a shop does, and books in Fluent what was sold: each revision once."""

    kafka: Kafka
    fluent: Fluent
    rng: Random

    def __post_init__(self) -> None:
        self._positions: dict[Partition, int] = {}
        self._seen: set[tuple[str, str, int]] = set()
        self._waiting: dict[str, list[dict[str, Any]]] = {}
        self.kafka.listeners.append(self._hear)

    def _hear(self, partition: Partition) -> None:
        if partition[0] != ORDER_OUTCOMES:
            return
        entries, following = self.kafka.logs[partition].read(self._positions.get(partition, 0), 10_000)
        self._positions[partition] = following
        for entry in entries:
            self._take(json.loads(entry.value or b"{}"))

    def _take(self, outcome: dict[str, Any]) -> None:
        event = (outcome["orderRef"], outcome["promotionId"], outcome["revision"])
        if event not in self._seen:
            self._seen.add(event)
            ref = "/".join(event[:2])
            self._waiting.setdefault(ref, []).append(outcome)
            delay_s = self.rng.randint(10, BOOKED_WITHIN_MS) / 1_000
            self.kafka.loop.later(delay_s, partial(self._book, ref))

    def _book(self, ref: str) -> None:
        """An order's revisions in their order."""
        orders, outcome = self.fluent.world.orders, self._waiting[ref].pop(0)
        if "cancelResults" not in outcome:
            items = [_item(line) for line in outcome["consumeResults"] if line["consumed"]]
            if items:
                orders.book(OrderRequest.model_validate({"ref": ref, "items": items}))
            return
        items = [_item(line) for line in outcome["cancelResults"] if line["cancelled"]]
        if items:
            which = f"revision {outcome['revision']}"
            cancel = {"ref": ref, "items": items, "cancellationRef": which}
            orders.cancel(CancelRequest.model_validate(cancel))


def _item(line: Mapping[str, Any]) -> dict[str, Any]:
    return {"sku": line["sku"], "quantity": line["quantity"]}
