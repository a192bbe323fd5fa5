"""The routes of the live page: HTML, its style and scripts, and the events that fill it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import aclosing
from functools import cache
from hashlib import sha256
from html import escape
from importlib.resources import files
from string import Template
from typing import Any
from urllib.parse import quote, unquote

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Route

from bridge.problems import Problem, unavailable
from bridge.sale.live import Live
from bridge.server import ENDLESS

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy: our own files, nothing inline, nothing from outside."""

SAFE: Mapping[str, str] = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",  # the address may be a signed link
    "X-Content-Type-Options": "nosniff",
}
UNSTORED: Mapping[str, str] = {**SAFE, "Cache-Control": "no-store"}
EVENTS: Mapping[str, str] = {**UNSTORED, "X-Accel-Buffering": "no"}
EVENT_STREAM = "text/event-stream"

ASSETS: Mapping[str, str] = {
    "sale.css": "text/css",
    "sale.js": "text/javascript",
    "sales.js": "text/javascript",
    "events.js": "text/javascript",
    "lines.js": "text/javascript",
    "speed.js": "text/javascript",
    "words.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}

SALE, EVENTS_SUFFIX = "/sale/", "/events"

Require = Callable[[Request, str | None], int | None]
"""Lets a request for a promotion's page pass (None: for the list), and says until when. Raises Problem."""


def anybody(request: Request, promotion_id: str | None) -> int | None:
    """Lets everybody pass: on the operations port the address protects the pages."""
    return None


class EventStream(StreamingResponse):
    """Events until the viewer leaves, whose generator is then closed at once."""

    media_type = EVENT_STREAM

    async def stream_response(self, send: Any) -> None:
        """As Starlette's."""
        body: Any = self.body_iterator
        async with aclosing(body):
            await super().stream_response(send)


class Pages:
    """The routes. `require` decides who may see them; `spare` viewers must find room elsewhere."""

    def __init__(self, live: Live, require: Require, spare: int = 0) -> None:
        self._live = live
        self._require = require
        self._spare = spare

    async def sale(self, request: Request) -> Response:
        """`/sale/{id}`, or its events where the path as it was sent says so. Raises Problem."""
        promotion_id, is_events, base = _asked(request)
        try:
            until_s = self._require(request, promotion_id)
        except Problem as problem:
            if is_events or "text/html" not in request.headers.get("accept", ""):
                raise
            return _refused(problem, base)
        if is_events:
            return self._events(request, promotion_id, until_s)
        query = request.url.query
        events = f"{base}sale/{quote(promotion_id, safe='')}{EVENTS_SUFFIX}"
        ends = "" if until_s is None else str(until_s)
        front = f"{base}sale" if until_s is None else ""
        return _html(
            "sale.html",
            promotion=promotion_id,
            base=base,
            events=f"{events}?{query}" if query else events,
            ends=ends,
            front=front,
        )

    async def sales(self, request: Request) -> Response:
        """`/sale`. Raises Problem."""
        self._require(request, None)
        return _html("sales.html", base="", events="sale-events")

    async def sales_events(self, request: Request) -> Response:
        """`/sale-events`. Raises Problem."""
        self._require(request, None)
        return self._events(request, None, None)

    async def asset(self, request: Request) -> Response:
        """A file of the pages, the same for everybody. Raises Problem."""
        name = request.path_params["name"]
        if name not in ASSETS:
            raise Problem(404, "There is no such file", "Open /sale.")
        content, tag = _asset(name)
        headers = {**SAFE, "Cache-Control": "no-cache", "ETag": tag}
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(content, 200, headers, ASSETS[name])

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route("/sale", self.sales),
            Route("/sale-events", self.sales_events),
            Route("/sale/{id:path}", self.sale),
            Route("/sale-assets/{name}", self.asset),
        ]

    def _events(self, request: Request, promotion_id: str | None, until_s: float | None) -> Response:
        if request.method == "HEAD":
            return Response(headers=EVENTS, media_type=EVENT_STREAM)
        if not self._live.has_room(self._spare):
            raise unavailable("As many look at sales as the bridge serves", "Try again in a minute.")
        request.scope[ENDLESS] = True
        return EventStream(self._live.watch(promotion_id, until_s), headers=EVENTS)


def _asked(request: Request) -> tuple[str, bool, str]:
    """The promotion's id, whether its events are wanted, and the way from there to the root.

    From the path as it was sent: an id may contain slashes, and then they are encoded.
    """
    path = request.scope["raw_path"].decode("latin-1")
    if not path.startswith(SALE):  # `/%73ale/…` and the like lead here, too, but nobody prints such links
        raise Problem(404, "There is no such page", "Open /sale/ and the promotion's id, percent-encoded.")
    rest = path.removeprefix(SALE)
    is_events = rest.endswith(EVENTS_SUFFIX)
    promotion_id = unquote(rest.removesuffix(EVENTS_SUFFIX) if is_events else rest, errors="replace")
    return promotion_id, is_events, "../" * (1 + rest.count("/"))


def _refused(problem: Problem, base: str) -> Response:
    """A problem for people."""
    words = {"error": problem.error, "recommendation": problem.recommendation}
    return _html("refused.html", problem.status, base=base, **words)


def _html(name: str, status: int = 200, **texts: str) -> Response:
    content = _template(name).substitute({key: escape(text) for key, text in texts.items()})
    return HTMLResponse(content, status, headers=dict(UNSTORED))


@cache
def _template(name: str) -> Template:
    return Template(_file(name).decode())


@cache
def _asset(name: str) -> tuple[bytes, str]:
    content = _file(name)
    return content, f'"{sha256(content).hexdigest()[:16]}"'


def _file(name: str) -> bytes:
    return (files("bridge.sale") / "static" / name).read_bytes()
