"""The routes, and what happens to every request: errors become problem details, responses are counted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bridge.direct import Direct, Handler
from bridge.events import Events
from bridge.fluent import FluentEvents
from bridge.guard import Guard
from bridge.metrics import Metrics
from bridge.openapi import asking, document, problems, taking, taking_fluents
from bridge.operations import Operations
from bridge.problems import Problem, failed
from bridge.questions import Questions
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
from schemas.outcomes import OrderOutcome
from schemas.topics import ORDER_CANCELLED, ORDER_PLACED, PROMOTION_END, PROMOTION_START

EVENT_ROUTES: tuple[tuple[str, str, str, type[BaseModel], type[BaseModel]], ...] = (
    ("/start-flash-sale", PROMOTION_START, "Start a sale", StartedSale, AcceptedPromotion),
    ("/consume-reservation", ORDER_PLACED, "Place an order", DecidedOrder, AcceptedOrder),
    ("/cancel-order", ORDER_CANCELLED, "Cancel an order, or part of it", DecidedOrder, AcceptedOrder),
    ("/end-flash-sale", PROMOTION_END, "End a sale early", EndedSale, AcceptedPromotion),
)
"""Path, topic, what it is for, the answer to who waits, the answer to who does not."""


def build_app(bridge: Bridge, guard: Guard, events: Events, fluent: FluentEvents) -> ASGIApp:
    """The bridge's routes as one ASGI application, which starts and stops the bridge."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        bridge.start()
        yield
        await bridge.stop()

    app = FastAPI(lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _our_error)
    takers = {path: partial(events.take, topic) for path, topic, *_ in EVENT_ROUTES}
    _add_events(app, takers, fluent)
    _add_questions(app, Questions(bridge, guard))
    _add_operations(app, Operations(bridge))
    return Counted(Direct(app, takers), bridge.metrics)


def _add_events(app: FastAPI, takers: Mapping[str, Handler], fluent: FluentEvents) -> None:
    for path, topic, summary, answer, acknowledged in EVENT_ROUTES:
        _add(app, "POST", path, takers[path], summary, taking(topic, answer, acknowledged))
    described = taking_fluents(AcceptedOrder | AcceptedPromotion)
    _add(app, "POST", "/fluent-events", fluent.take, "Take one of Fluent's own webhooks", described)


def _add_questions(app: FastAPI, questions: Questions) -> None:
    orders, promotions = "/orders/{ref:path}", "/promotions/{id:path}"
    _add(app, "GET", orders, questions.order, "Where an order stands", asking(list[OrderOutcome]))
    _add(app, "GET", promotions, questions.promotion, "Where a promotion stands", asking(PromotionStatus))


def _add_operations(app: FastAPI, operations: Operations) -> None:
    healthy: dict[int | str, Any] = {200: {"model": Health, "description": "Yes."}}
    figures: dict[int | str, Any] = {200: {"description": "The figures.", "content": {"text/plain": {}}}}
    _add(app, "GET", "/healthz", operations.healthz, "The process serves requests", {"responses": healthy})
    ready = {"responses": healthy | problems((503,))}
    _add(app, "GET", "/readyz", operations.readyz, "Kafka answers, the topics' past is read", ready)
    _add(app, "GET", "/metrics", operations.metrics, "Prometheus", {"responses": figures | problems((403,))})
    _add(app, "GET", "/openapi.json", OpenApi(app).get, "This document", {})


def _add(app: FastAPI, method: str, path: str, handler: Any, summary: str, described: dict[str, Any]) -> None:
    name = path.split("{")[0].strip("/").replace("/", "-")
    app.add_api_route(
        path,
        handler,
        methods=[method],
        summary=summary,
        name=name,
        operation_id=name,
        response_model=None,
        status_code=next(iter(described.get("responses", {200: None}))),
        **described,
    )


class OpenApi:
    """Serves the document, made once."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._document: Response | None = None

    async def get(self, request: Request) -> Response:
        """`/openapi.json`."""
        if self._document is None:
            self._document = JSONResponse(document(self._app))
        return self._document


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


async def _problem(request: Request, problem: Any) -> Response:
    answer: Response = problem.response()
    return answer


async def _http_error(request: Request, error: Any) -> Response:
    """Routing's own: an unknown path, or a method that the path does not have."""
    wrong_method = f"{request.method} is not what this route is for"
    sentence = wrong_method if error.status_code == 405 else "There is no such route"
    help_ = "GET /openapi.json lists every route."
    return Problem(error.status_code, sentence, help_, headers=error.headers).response()


async def _our_error(request: Request, error: Exception) -> Response:
    """Whatever was not foreseen; uvicorn logs its trace."""
    return failed().response()
