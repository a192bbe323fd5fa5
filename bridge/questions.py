"""`GET` of where an order or a promotion stands."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from bridge.answers import orders_status, promotion_status
from bridge.events import JSON
from bridge.guard import Guard
from bridge.problems import Problem, unavailable
from bridge.service import Bridge


class Questions:
    """Answers from what the outcome topics said."""

    def __init__(self, bridge: Bridge, guard: Guard) -> None:
        self._bridge = bridge
        self._guard = guard

    async def order(self, request: Request) -> Response:
        """A list, one entry for each promotion of the order. Raises Problem."""
        self._guard.require(request, b"")
        ref = request.path_params["ref"]
        found = self._bridge.status.order(ref)
        if not found:
            raise self._unknown(f"No outcome of an order {ref} is known", "order")
        return Response(orders_status(found), 200, media_type=JSON)

    async def promotion(self, request: Request) -> Response:
        """Results and newest report of a promotion. Raises Problem."""
        self._guard.require(request, b"")
        promotion_id = request.path_params["id"]
        fields = promotion_status(promotion_id, *self._bridge.status.promotion(promotion_id))
        if not fields:
            raise self._unknown(f"No results of a promotion {promotion_id} are known", "promotion")
        return Response(msgspec.json.encode(fields), 200, media_type=JSON)

    def _unknown(self, error: str, subject: str) -> Problem:
        if not self._bridge.is_caught_up:
            return unavailable(
                f"{error} yet: the bridge still reads the topics' recent past",
                "Ask again after the seconds in Retry-After.",
            )
        return Problem(
            404,
            f"{error}: it is not decided yet, was never seen, or is too long ago",
            f"Check the {subject}'s reference; right after a 202 ask again a moment later.",
        )
