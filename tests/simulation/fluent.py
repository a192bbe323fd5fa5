"""Fluent and its gateway: right but slow, sometimes away, and now and then a write that lands too late."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from schemas.drift import DriftKind
from schemas.topics import FLUENT_REQUESTS, SKU_COMMANDS
from streams.ledger import commands as c
from streams.ledger import fluent_requests as f
from tests.simulation.broker import Broker, Record
from tests.simulation.worlds import Kind, log


@dataclass
class Hold:
    """A SOFT_RESERVE quantity."""

    quantity: int
    live: bool = True


@dataclass
class Stock:
    """One SKU in Fluent."""

    on_hand: int
    holds: dict[str, Hold] = field(default_factory=dict)
    sales: dict[str, int] = field(default_factory=dict)
    booked: dict[str, int] = field(default_factory=dict)
    """RESERVED by the shop's order flow, per order."""

    @property
    def held(self) -> int:
        """Units of live holds."""
        return sum(hold.quantity for hold in self.holds.values() if hold.live)

    @property
    def available(self) -> int:
        """What Fluent would sell to anyone."""
        return self.on_hand - self.held - sum(self.sales.values()) - sum(self.booked.values())


class Fluent:
    """One call at a time per SKU; a newer request of a reservation supersedes those that queue behind it."""

    def __init__(self, broker: Broker, rng: random.Random, kind: Kind) -> None:
        self.broker = broker
        self.rng = rng
        self.kind = kind
        self.stocks: dict[str, Stock] = {}
        self.late_writes = 0
        self.watchers: list[Callable[[str], None]] = []
        """Told of each SKU that was written."""
        self._queues: dict[str, dict[str, f.FluentRequest]] = defaultdict(dict)
        self._busy: set[str] = set()
        self._answered: dict[str, list[c.SkuCommand]] = defaultdict(list)
        """All answers by reservation."""
        broker.listeners[FLUENT_REQUESTS].append(self._hear)

    def _hear(self, _: int, record: Record) -> None:
        request: f.AnyRequest = f.decode_request(record.value)
        if isinstance(request, f.VerifyPage):
            page = request
            self.broker.clock.after(self.rng.randint(20, 800), lambda: self._verify_page(page))
            return
        queue = self._queues[request.sku]
        newest = queue.get(request.reservation_ref)
        if newest is None or newest.number <= request.number:
            queue[request.reservation_ref] = request
        self._next(request.sku)

    def _next(self, sku: str) -> None:
        queue = self._queues[sku]
        if sku in self._busy or not queue:
            return
        request = queue.pop(next(iter(queue)))
        self._busy.add(sku)
        self.broker.clock.after(log(self.rng, 20, self.kind.slow_ms), lambda: self._call(request))

    def _call(self, request: f.FluentRequest) -> None:
        """One that does not get through is taken for answered if the answer to another counts."""
        self._busy.discard(request.sku)
        former = self._answered[request.reservation_ref]
        if not self._lost():
            answer = self._execute(request)
            former.append(answer)
            self._answer(answer, request.sku)
        elif former and self.kind.stale_rate and self.rng.random() < 0.5:
            self._answer(self.rng.choice(former), request.sku)
        elif isinstance(request, f.HoldRequest) and self.rng.random() < 0.5:
            self.broker.clock.after(self.rng.randint(1_000, 20_000), lambda: self._write_late(request))
        self._next(request.sku)

    def _lost(self) -> bool:
        """Whether the call in hand does not get through."""
        from_ms, to_ms = self.kind.away
        return from_ms <= self.broker.clock.now_ms < to_ms or self.rng.random() < self.kind.loss_rate

    def _verify_page(self, page: f.VerifyPage) -> None:
        """Reads only, so it waits for no other request; only what differs, or did before, is answered."""
        if self._lost():
            return
        for line in page.lines:
            hold = self.stocks[line.sku].holds.get(line.reservation_ref)
            answer = self._verify(line, hold)
            if answer.drift_units or line.differed:
                answer.round = 0 if page.alone else page.round
                self._answer(answer, answer.sku)
        self._answer(c.PageVerified(page.round, page.page), page.sku)

    def _answer(self, answer: c.SkuCommand, sku: str) -> None:
        """At least once: some answers come twice, and late."""
        key = sku.encode()
        value = c.encode(answer)
        self.broker.append(SKU_COMMANDS, key, value)
        if self.rng.random() < self.kind.stale_rate:
            delay_ms = log(self.rng, 1, 600_000)
            self.broker.clock.after(delay_ms, lambda: self.broker.append(SKU_COMMANDS, key, value))

    def _write_late(self, request: f.HoldRequest) -> None:
        """A frozen gateway wakes up: its call goes through, but its answer reaches nobody."""
        self.late_writes += 1
        self._execute(request)

    def _execute(self, request: f.FluentRequest) -> c.SkuCommand:
        answer = self._write(request, self.stocks[request.sku])
        for watcher in self.watchers:
            watcher(request.sku)
        return answer

    def _write(self, request: f.FluentRequest, stock: Stock) -> c.SkuCommand:
        ids = (request.promotion_id, request.sku, request.number)
        hold = stock.holds.get(request.reservation_ref)
        if isinstance(request, f.HoldRequest):
            return self._hold(request, stock, hold)
        if isinstance(request, f.VerifyRequest):
            return self._verify(request, hold)
        if request.book_sale:
            stock.sales[request.reservation_ref] = request.consumed
        if isinstance(request, f.ReleaseRequest):
            if hold is not None:
                hold.live = False
            return c.ReleaseConfirmed(*ids)
        if hold is not None:
            hold.quantity = request.remaining
        return c.SettleConfirmed(*ids, request.remaining)

    def _hold(self, request: f.HoldRequest, stock: Stock, hold: Hold | None) -> c.SkuCommand:
        ids = (request.promotion_id, request.sku, request.number)
        if hold is None and stock.available >= request.quantity:
            hold = stock.holds[request.reservation_ref] = Hold(request.quantity)
        if hold is None or not hold.live:
            error = f"Fluent has {stock.available} units of {request.sku} available."
            return c.HoldFailed(*ids, "INSUFFICIENT_INVENTORY", error)
        return c.HoldConfirmed(*ids, hold.quantity)

    def _verify(self, request: f.VerifyRequest, hold: Hold | None) -> c.Verified:
        ids = (request.promotion_id, request.sku, request.number)
        held = hold.quantity if hold is not None and hold.live else 0
        if not request.closed or hold is None:
            drift = abs(held - request.held)
            return c.Verified(*ids, held, drift, DriftKind.WRONG_QUANTITY if drift else None)
        hold.live = False
        return c.Verified(*ids, 0, 0, DriftKind.LATE_ACTIVATION if held else None, held)
