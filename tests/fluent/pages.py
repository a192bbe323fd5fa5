"""Pages of verifies: holds, and the lines that agree with them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from fluent import Gateway
from streams.ledger.fluent_requests import VerifyPage, VerifyRequest
from tests.fluent.support import Requests

ROUND, PAGE = 7, 2


async def held(gateway: Gateway, skus: Sequence[Requests], units: int = 100) -> list[VerifyRequest]:
    """Holds for these SKUs, and the lines that agree with them."""
    await asyncio.gather(*(gateway.handle(sku.hold(units)) for sku in skus))
    return [sku.verify(units) for sku in skus]


def page(lines: list[VerifyRequest]) -> VerifyPage:
    return VerifyPage(ROUND, PAGE, lines)
