"""A promotion as the ledger tells of it: a report, and what was asked of Fluent. Made by hand, for tests."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any

from fluent import Gateway
from fluent.reconcile import AskedBook, Expectation, Reconciler, expectations
from schemas.reports import ReconciliationReport
from streams.ledger.fluent_requests import FluentRequest, reservation_ref

FIGURES = ("reserved", "consumed", "cancelled", "released", "rejectedUnits", "rejectedOrders")
LONG_AGO_MS = 60_000


@dataclass
class Told:
    """Lines and requests of one promotion; `status` is the report's."""

    promotion: str = "FLASH-1"
    status: str = "ACTIVE"
    lines: dict[str, dict[str, Any]] = field(default_factory=dict)
    requests: list[FluentRequest] = field(default_factory=list)

    def line(self, sku: str, reserved: int, held: int, status: str = "ACTIVE", **more: Any) -> None:
        """A line of the report, replaced where there is one."""
        fluent = {"ref": reservation_ref(self.promotion, sku), "status": status, "held": held}
        figures = dict.fromkeys(FIGURES, 0) | {"reserved": reserved}
        self.lines[sku] = {"sku": sku, **figures, "fluent": fluent, "drift": 0, **more}

    def page(self, revision: int = 1) -> dict[str, Any]:
        """The report's only page."""
        lines = list(self.lines.values())
        return {
            "promotionId": self.promotion,
            "kind": "FINAL" if self.status == "CLOSED" else "INTERIM",
            "status": self.status,
            "lines": lines,
            "totals": {name: sum(line[name] for line in lines) for name in (*FIGURES, "drift")},
            "page": 1,
            "pages": 1,
            "revision": revision,
            "generatedAt": "2027-01-15T10:01:35.000Z",
        }

    def expectations(self) -> list[Expectation]:
        """What should be held. The requests were made long ago, so nothing is under way."""
        book = AskedBook(self.promotion)
        for request in self.requests:
            book.take(request, int(time.time() * 1_000) - LONG_AGO_MS)
        report = ReconciliationReport.model_validate_json(json.dumps(self.page()))
        return expectations(report, book.by_sku)

    async def figures(self) -> list[Expectation]:
        """For a Reconciler."""
        return self.expectations()

    def reconciler(self, gateway: Gateway) -> Reconciler:
        """Of this promotion."""
        return Reconciler(gateway, self.promotion, self.figures)

    async def hold(self, gateway: Gateway, request: FluentRequest) -> None:
        """Asks Fluent, and remembers that it was asked."""
        assert await gateway.handle(request) is not None
        self.requests.append(request)
