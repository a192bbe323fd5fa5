"""The routes that take events, answered before FastAPI sees them.

Under a sale these are nearly all requests, and the way through FastAPI to a handler (middlewares, routing,
exit stacks, telemetry) takes longer than all that the handler does. FastAPI knows the same handlers: it
documents them, and answers whatever else these paths are asked.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from bridge.problems import Problem, failed

Handler = Callable[[Request], Awaitable[Response]]


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
        scope["route"] = route  # as a router leaves it for who counts responses
        try:
            response = await route.endpoint(Request(scope, receive))
        except Problem as problem:
            response = problem.response()
        except Exception:
            await failed().response()(scope, receive, send)
            raise
        await response(scope, receive, send)
