"""What the gateway's tests share: options for a simulator, requests, a network that fails on cue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from fluent import FluentOptions
from streams.ledger.fluent_requests import (
    HoldRequest,
    ReleaseRequest,
    SettleRequest,
    VerifyRequest,
    reservation_ref,
)
from tests.support.fluent import FluentSimulator

EXPIRES_AT_MS = 1_900_000_000_000
PROMOTION = "FLASH-1"


def options_for(simulator: FluentSimulator, **more: Any) -> FluentOptions:
    """Quick on the trigger: a test's simulator answers within milliseconds."""
    known: dict[str, Any] = {
        "base_url": simulator.base_url,
        "account": "SIM",
        "client_id": "simulator",
        "client_secret": "simulator",
        "username": "simulator",
        "password": "simulator",
        "requests_per_second": 1_000.0,
        "read_back_pause_s": 0.05,
        "backoff_base_s": 0.02,
        "backoff_cap_s": 0.05,
        "call_timeout_s": 5.0,
    }
    return FluentOptions(**{**known, **more})


@dataclass
class Requests:
    """The requests of one reservation, each with the next number."""

    sku: str
    promotion: str = PROMOTION
    number: int = 0

    @property
    def ref(self) -> str:
        return reservation_ref(self.promotion, self.sku)

    def _next(self) -> tuple[str, str, int, str]:
        self.number += 1
        return self.promotion, self.sku, self.number, self.ref

    def hold(self, units: int, attributes: bytes = b"") -> HoldRequest:
        return HoldRequest(*self._next(), units, EXPIRES_AT_MS, attributes)

    def settle(self, remaining: int, consumed: int, *, sale: bool = False) -> SettleRequest:
        return SettleRequest(*self._next(), remaining, consumed, sale)

    def release(self, consumed: int = 0, *, sale: bool = False) -> ReleaseRequest:
        return ReleaseRequest(*self._next(), consumed, sale)

    def verify(
        self, held: int = 0, consumed: int = 0, *, closed: bool = False, sale: bool = False
    ) -> VerifyRequest:
        return VerifyRequest(*self._next(), held, consumed, sale, closed)


def _plain_http() -> httpx.AsyncHTTPTransport:
    """The simulator speaks no TLS; reading the certificates would cost 50 ms for each gateway."""
    return httpx.AsyncHTTPTransport(verify=False)


@dataclass
class Network(httpx.AsyncBaseTransport):
    """Real sockets. From call `cut_at` of the GraphQL end point on (0 is the first), nothing gets through.

    `deliver`: call `cut_at` itself still reaches Fluent, only its answer is lost. `before_call` sees each
    call's number and body before it is sent. `instead` gives the answer of something between us and Fluent,
    or None to let the request pass; it sees the token end point's requests, too.
    """

    cut_at: int | None = None
    deliver: bool = False
    before_call: Callable[[int, bytes], None] | None = None
    instead: Callable[[httpx.Request], httpx.Response | None] | None = None
    calls: int = 0
    inner: httpx.AsyncHTTPTransport = field(default_factory=_plain_http)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        other = self.instead(request) if self.instead is not None else None
        if other is not None:
            return other
        if request.url.path != "/graphql":
            return await self.inner.handle_async_request(request)
        number, self.calls = self.calls, self.calls + 1
        if self.before_call is not None:
            self.before_call(number, request.content)
        if self.cut_at is not None and number >= self.cut_at:
            if number == self.cut_at and self.deliver:
                response = await self.inner.handle_async_request(request)
                await response.aread()
                await response.aclose()
            raise httpx.ReadError("the gateway is dead", request=request)
        return await self.inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self.inner.aclose()


def written(simulator: FluentSimulator, after: int, sku: str) -> list[dict[str, Any]]:
    """Changes to a SKU that came through the API since `after`, a journal's `last`.

    Fluent's own workflow is left out: it activates a quantity a moment after it was created.
    """
    return [entry for entry in simulator.journal(after, sku)["entries"] if entry["source"] == "api"]


def live(simulator: FluentSimulator, sku: str) -> dict[str, int]:
    """Live holds of a SKU: ref → units."""
    holds = simulator.truth(sku)["holds"]
    return {hold["ref"]: hold["quantity"] for hold in holds if hold["status"] != "INACTIVE"}
