"""The routes, and what happens to every request: errors become problem details, responses are counted.

The routes that take events are answered before FastAPI sees them (`Direct`): under a sale these are nearly
all requests, and the way through FastAPI to a handler (middlewares, routing, exit stacks, telemetry) takes
longer than all that the handler does. FastAPI knows the same handlers: it documents them, and answers
whatever else these paths are asked.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import cached_property, partial
from typing import Any, NamedTuple

from fastapi import FastAPI
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bridge.events import Events
from bridge.fluent import FluentEvents
from bridge.openapi import (
    TEXTS,
    Fields,
    asking,
    document,
    problems,
    taking,
    taking_fluents,
    viewing,
    watching,
)
from bridge.operations import Metrics, Operations
from bridge.origins import LoopbackOnly
from bridge.problems import HANDLERS, Problem, failed
from bridge.reference import POLICY, page
from bridge.sale.pages import Pages
from bridge.service import Bridge
from bridge.shapes import (
    AcceptedOrder,
    AcceptedPromotion,
    DecidedOrder,
    EndedSale,
    Health,
    PromotionStatus,
    StartedSale,
)
from bridge.signing import Guard
from bridge.status import Questions
from schemas.outcomes import OrderOutcome
from schemas.topics import ORDER_CANCELLED, ORDER_PLACED, PROMOTION_END, PROMOTION_START

Handler = Callable[[Request], Awaitable[Response]]


class EventRoute(NamedTuple):
    """A route that takes the events of one topic, and its answers to callers that wait and that do not."""

    path: str
    topic: str
    answer: type[BaseModel]
    acknowledged: type[BaseModel]


EVENT_ROUTES = (
    EventRoute("/start-flash-sale", PROMOTION_START, StartedSale, AcceptedPromotion),
    EventRoute("/consume-reservation", ORDER_PLACED, DecidedOrder, AcceptedOrder),
    EventRoute("/cancel-order", ORDER_CANCELLED, DecidedOrder, AcceptedOrder),
    EventRoute("/end-flash-sale", PROMOTION_END, EndedSale, AcceptedPromotion),
)


def build_app(bridge: Bridge, guard: Guard, events: Events, fluent: FluentEvents, pages: Pages) -> ASGIApp:
    """The bridge's routes as one ASGI application, which starts and stops the bridge."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        bridge.start()
        yield
        await bridge.stop()

    app = FastAPI(lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    for kind, handler in HANDLERS.items():
        app.add_exception_handler(kind, handler)
    takers = {route.path: partial(events.take, route.topic) for route in EVENT_ROUTES}
    _add_events(app, takers, fluent)
    _add_questions(app, Questions(bridge.status, bridge.sales, guard, lambda: bridge.is_caught_up))
    _add_pages(app, pages)
    _add_operations(app, Operations(bridge.metrics, bridge.not_ready))
    direct = Direct(app, takers)
    return Counted(LoopbackOnly(direct) if guard.is_open else direct, bridge.metrics)


def _add_events(app: FastAPI, takers: Mapping[str, Handler], fluent: FluentEvents) -> None:
    for route in EVENT_ROUTES:
        described = taking(route.topic, route.answer, route.acknowledged)
        _add(app, "POST", route.path, takers[route.path], described)
    _add(app, "POST", "/fluent-events", fluent.take, taking_fluents(AcceptedOrder | AcceptedPromotion))


def _add_questions(app: FastAPI, questions: Questions) -> None:
    _add(app, "GET", "/orders/{ref:path}", questions.order, asking(list[OrderOutcome]))
    _add(app, "GET", "/promotions/{id:path}", questions.promotion, asking(PromotionStatus))


def _add_operations(app: FastAPI, operations: Operations) -> None:
    healthy: dict[int | str, Any] = {200: {"model": Health, "description": "It is so."}}
    described: dict[int | str, Any] = {200: {"description": "The document."}}
    _add(app, "GET", "/healthz", operations.healthz, {"responses": healthy})
    _add(app, "GET", "/readyz", operations.readyz, {"responses": healthy | problems((503,))})
    openapi = OpenApi(app)
    _add(app, "GET", "/openapi.json", openapi.get, {"responses": described})
    app.add_api_route("/docs", openapi.page, methods=["GET", "HEAD"], include_in_schema=False)


def _add_pages(app: FastAPI, pages: Pages) -> None:
    _add(app, "GET", "/sale/{id:path}/events", pages.sale, watching(), "sale-events")
    _add(app, "GET", "/sale/{id:path}", pages.sale, viewing())
    for route in pages.routes():
        app.router.routes.append(route)


def _add(
    app: FastAPI, method: str, path: str, handler: Any, described: dict[str, Any], name: str = ""
) -> None:
    name = name or path.split("{")[0].strip("/").replace("/", "-")
    summary, description = TEXTS[name]
    app.add_api_route(
        path,
        handler,
        methods=[method],
        summary=summary,
        description=description,
        name=name,
        operation_id=name,
        response_model=None,
        status_code=next(iter(described.get("responses", {200: None}))),
        **described,
    )
    if method == "GET":
        app.add_api_route(path, handler, methods=["HEAD"], include_in_schema=False, response_model=None)


class Direct:
    """ASGI: `POST` to one of `handlers`' paths goes to its handler, everything else to `app`."""

    def __init__(self, app: ASGIApp, handlers: Mapping[str, Handler]) -> None:
        self._app = app
        self._routes = {path: Route(path, handler, methods=["POST"]) for path, handler in handlers.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI. Raises what a handler did not foresee, once its caller has an answer: uvicorn logs it."""
        route = self._routes.get(scope["path"]) if scope["type"] == "http" else None
        if route is None or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        scope["route"] = route  # as a router does, for `Counted`
        try:
            response = await route.endpoint(Request(scope, receive))
        except Problem as problem:
            response = problem.response()
        except Exception:
            await failed().response()(scope, receive, send)
            raise
        await response(scope, receive, send)


class OpenApi:
    """Serves the document, made once, for programs and for people."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    @cached_property
    def _document(self) -> Fields:
        return document(self._app)

    @cached_property
    def _page(self) -> str:
        return page(self._document)

    async def get(self, request: Request) -> Response:
        """`/openapi.json`."""
        return JSONResponse(self._document)

    async def page(self, request: Request) -> Response:
        """`/docs`."""
        return HTMLResponse(self._page, headers={"Content-Security-Policy": POLICY})


class Counted:
    """Counts responses by route and status."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._responses = metrics.responses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""

        async def counting(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "unknown")
                self._responses.labels(route, message["status"]).inc()
            await send(message)

        await self._app(scope, receive, counting if scope["type"] == "http" else send)
