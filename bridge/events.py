"""`POST` of an event: acknowledged once the broker has it, or answered with its decision."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from bridge.answers import Fields, answer_of, ended
from bridge.bodies import identity_of, problem_of, read_event
from bridge.guard import Guard
from bridge.preferences import Wait, wait_of
from bridge.problems import Problem
from bridge.records import Source
from bridge.service import Bridge, now_ms
from schemas.invalid import InvalidEvent
from schemas.orders import OrderCancelled, OrderPlaced
from schemas.parsing import Event
from schemas.topics import PROMOTION_END

JSON = "application/json"
NO_WAIT = Wait(0)


class Events:
    """Takes events in. `default_wait_s` is for callers that send no `Prefer`."""

    def __init__(self, bridge: Bridge, guard: Guard, default_wait_s: float) -> None:
        self._bridge = bridge
        self._guard = guard
        self._default_wait_s = default_wait_s

    async def take(self, topic: str, request: Request) -> Response:
        """Send the event in the request's body to `topic` (logical name). Raises Problem."""
        started_at = asyncio.get_running_loop().time()
        wait = wait_of(request.headers.getlist("prefer"), self._default_wait_s)
        self._guard.require_headers(request)
        with self._bridge.gate.one_event() as incoming:
            body = await incoming.read(request)
            self._guard.require(request, body)
            event = self._event(topic, body)
            source = await self._bridge.send(topic, key_of(event), body)
        self._bridge.metrics.acknowledge_seconds.observe(_since(started_at))
        try:
            answer = await self._decision(event, source, wait, started_at)
        except Problem as problem:
            problem.headers |= wait.headers
            raise
        if answer is not None:
            return Response(msgspec.json.encode(answer), 200, wait.headers, JSON)
        return accepted(event, wait)

    def _event(self, topic: str, body: bytes) -> Event:
        settings = self._bridge.settings
        try:
            return read_event(settings, topic, body, now_ms())
        except InvalidEvent as invalid:
            raise problem_of(topic, body, invalid, mapped=topic in settings.mappings) from None

    async def _decision(self, event: Event, source: Source, wait: Wait, started_at: float) -> Fields | None:
        """The decision, None where it has not come within the wait."""
        left_s = wait.seconds - _since(started_at)
        bridge = self._bridge
        if left_s <= 0 or bridge.waiters.is_full:
            return None
        ending = event.identity if source.topic == PROMOTION_END else None
        with bridge.waiters.waiting(source, str(ending) if ending else None) as waiter:
            done = self._ended(str(ending), started_at) if ending else None
            if done is not None:
                return done
            acknowledged_at = asyncio.get_running_loop().time()
            arrivals = await waiter.answer(left_s)
        if not arrivals:
            bridge.metrics.timeouts.inc()
            return None
        bridge.metrics.wait_seconds.observe(_since(acknowledged_at))
        return answer_of(arrivals, _milliseconds(started_at))

    def _ended(self, promotion_id: str, started_at: float) -> Fields | None:
        """The answer to the end of a promotion whose FINAL report is out already: nothing more will come."""
        _, report = self._bridge.status.promotion(promotion_id)
        if report is None or report.kind != "FINAL":
            return None
        return {"status": 200, **ended(report), "duration": _milliseconds(started_at)}


def accepted(event: Event, wait: Wait = NO_WAIT) -> Response:
    """202: the broker has the event. `statusUrl` says where its decision will be."""
    url = status_url(event)
    content = {"status": "accepted", **identity_of(event), "statusUrl": url}
    return Response(msgspec.json.encode(content), 202, {**wait.headers, "Location": url}, JSON)


def status_url(event: Event) -> str:
    """Path of the route that answers where the event's subject stands."""
    if isinstance(event, OrderPlaced | OrderCancelled):
        return f"/orders/{quote(event.order.ref, safe='')}"
    return f"/promotions/{quote(event.identity, safe='')}"


def key_of(event: Event) -> str:
    """The record's key: repeats and cancels of an order follow it in one partition."""
    return event.order.ref if isinstance(event, OrderPlaced | OrderCancelled) else event.identity


def _since(moment: float) -> float:
    return asyncio.get_running_loop().time() - moment


def _milliseconds(started_at: float) -> int:
    return round(_since(started_at) * 1_000)
