"""The test's side of the simulator: truth, journal, order flow and switches. No login, no faults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from pydantic import Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from rehearsal.fluent.channels import CancelRequest, OrderRefused, OrderRequest
from rehearsal.fluent.records import FluentError, Kind, Status, position_ref
from rehearsal.fluent.switches import NextRequest, Refusal, Sale, Wire
from rehearsal.fluent.world import World


class QuantityChange(Wire):
    """Somebody's change behind everybody's back: creates the quantity, or changes what is named of it."""

    ref: str
    sku: str | None = None
    location: str | None = None
    type: str | None = None
    quantity: int | None = None
    status: str | None = None
    attributes: list[dict[str, Any]] | None = None


class StockBatch(Wire):
    """``stock``: the new count per SKU and location; without it what the figures come to."""

    stock: dict[str, dict[str, int]] | None = None
    sku: str | None = None


class NextRequests(Wire):
    """``clear`` first forgets the one-shots that are still waiting."""

    requests: list[NextRequest] = Field(default_factory=list)
    clear: bool = False


def _json(content: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")


async def _body(request: Request) -> dict[str, Any]:
    text = await request.body()
    content = msgspec.json.decode(text) if text else {}
    if not isinstance(content, dict):
        raise ValueError("the body must be a JSON object")
    return content


class Control:
    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> list[Route]:
        reads: dict[str, Callable[[Request], Any]] = {
            "/healthz": lambda _: {"status": "ok"},
            "/_truth": lambda request: self._world.auditor.truth(request.query_params.get("sku")),
            "/_journal": self._journal,
            "/_control": lambda _: self._world.state(),
        }
        writes: dict[str, Callable[[dict[str, Any]], Any]] = {
            "/_orders": lambda body: self._world.orders.book(OrderRequest.model_validate(body)),
            "/_orders/cancel": lambda body: self._world.orders.cancel(CancelRequest.model_validate(body)),
            "/_control": self._switch,
            "/_control/next": self._next,
            "/_control/refuse": self._refuse,
            "/_control/sell": lambda body: self._world.channels.sell(Sale.model_validate(body)),
            "/_control/stock-batch": self._stock_batch,
            "/_control/quantity": self._quantity,
            "/_control/revoke-tokens": self._revoke_tokens,
            "/_control/reset-marks": self._reset_marks,
        }
        return [Route(path, self._read(handler), methods=["GET"]) for path, handler in reads.items()] + [
            Route(path, self._write(handler), methods=["POST"]) for path, handler in writes.items()
        ]

    def _read(self, handler: Callable[[Request], Any]) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            self._world.workflow.run_due()
            try:
                return _json(handler(request))
            except ValueError as error:
                return _json({"error": str(error)}, 422)

        return endpoint

    def _write(self, handler: Callable[[dict[str, Any]], Any]) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            self._world.workflow.run_due()
            try:
                return _json(handler(await _body(request)))
            except OrderRefused as refused:
                return _json(refused.body, refused.status)
            except ValidationError as error:
                return _json({"error": str(error)}, 422)
            except (FluentError, ValueError) as error:
                return _json({"error": str(error)}, 400)

        return endpoint

    def _journal(self, request: Request) -> dict[str, Any]:
        after = int(request.query_params.get("after", "0"))
        return self._world.auditor.read_journal(after, request.query_params.get("sku"))

    def _switch(self, body: dict[str, Any]) -> dict[str, Any]:
        self._world.controls.merge(body)
        self._world.rate_limit.refill()
        return self._world.state()

    def _next(self, body: dict[str, Any]) -> dict[str, Any]:
        asked = NextRequests.model_validate(body)
        plan = self._world.plan
        for shot in asked.requests:
            if shot.sell is not None:
                self._world.channels.places(shot.sell)
        if asked.clear:
            plan.forget_expected()
        plan.expect(asked.requests)
        return {"next": plan.expected()}

    def _refuse(self, body: dict[str, Any]) -> dict[str, Any]:
        self._world.refusals.add(Refusal.model_validate(body))
        return {"refusals": self._world.refusals.waiting()}

    def _stock_batch(self, body: dict[str, Any]) -> dict[str, int]:
        batch = StockBatch.model_validate(body)
        return {"positions": self._world.workflow.stock_batch(batch.stock, batch.sku)}

    def _quantity(self, body: dict[str, Any]) -> dict[str, Any]:
        change = QuantityChange.model_validate(body)
        store = self._world.store
        changes = change.model_dump(exclude={"ref", "sku", "location"}, exclude_none=True)
        if store.quantity(store.catalogue, change.ref) is None:
            place = position_ref(change.sku or "", change.location or "")
            created = {"type": Kind.SOFT_RESERVE, "quantity": 0, "status": Status.ACTIVE, **changes}
            record = store.create_quantity(ref=change.ref, position=place, source="control", **created)
        else:
            record = store.update_quantity(store.catalogue, change.ref, source="control", **changes)
        return {"ref": record.ref, "type": record.type, "quantity": record.quantity, "status": record.status}

    def _revoke_tokens(self, _: dict[str, Any]) -> dict[str, str]:
        self._world.tokens.revoke_all()
        return {"status": "every token is revoked"}

    def _reset_marks(self, _: dict[str, Any]) -> dict[str, str]:
        self._world.auditor.reset_marks()
        return {"status": "the marks are reset"}
