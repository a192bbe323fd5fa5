"""Gateways that lack one protection each: the controls of the tests that show what the protection is for."""

from __future__ import annotations

import time
from dataclasses import replace

from fluent import Gateway
from fluent.errors import Duplicate
from fluent.parts import Attributes, Part
from fluent.stock import Stock


class ClockGateway(Gateway):
    """Refs as the template made them, with `Date.now()`: another one at every try."""

    def stock(
        self, promotion_id: str, sku: str, stem: str, deadline: float = float("inf"), trace: str = ""
    ) -> Stock:
        return super().stock(
            promotion_id, sku, f"{promotion_id}-{sku}-{time.time_ns() // 1_000_000}", deadline, trace
        )


class BlindStock(Stock):
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


class BlindGateway(Gateway):
    """The gateway with all its retries, over a blind stock."""

    def stock(
        self, promotion_id: str, sku: str, stem: str, deadline: float = float("inf"), trace: str = ""
    ) -> Stock:
        return BlindStock(self.client, self.profile, promotion_id, sku, stem, deadline, trace)
