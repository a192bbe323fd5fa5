"""`POST` of an event: acknowledged once the broker has it, or answered with its decision.

`Events.take` is the whole way of a request, in order: what its headers claim, its body, the signature over
it, room at the gate, the event in it, Kafka, and for callers that wait the decision (`bridge.waiting`).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from urllib.parse import quote

import msgspec
from pydantic import JsonValue
from pydantic_core import from_json
from starlette.requests import Request
from starlette.responses import Response

from bridge.problems import JSON, Problem
from bridge.records import Fields, Source
from bridge.service import Bridge
from bridge.signing import Guard
from bridge.traces import Traces
from bridge.waiting import Wait, answer_of, ended, wait_of
from bridge.webhooks import Received
from schemas.invalid import InvalidEvent
from schemas.orders import OrderCancelled, OrderPlaced
from schemas.parsing import Event, parse
from schemas.promotions import PromotionStart
from schemas.reasons import RECOMMENDATIONS, Reason
from schemas.topics import ORDER_CANCELLED, ORDER_PLACED, PROMOTION_END, PROMOTION_START
from streams.settings import Settings
from streams.settings.mapping import map_message
from streams.system import now_ms
from streams.tracing import Tracer

NO_WAIT = Wait(0)


class Events:
    """Takes events in. `default_wait_s` is for callers that send no `Prefer`."""

    def __init__(
        self, bridge: Bridge, guard: Guard, default_wait_s: float, tracer: Tracer | None = None
    ) -> None:
        self._bridge = bridge
        self._guard = guard
        self._default_wait_s = default_wait_s
        self._received = Received()
        self._traces = Traces(tracer)

    async def take(self, topic: str, request: Request) -> Response:
        """Send the event in the request's body to `topic` (logical name). Raises Problem."""
        with self._traces.serving(request) as trace:
            return await self._take(topic, request, trace)

    async def _take(self, topic: str, request: Request, trace: str) -> Response:
        started_at = asyncio.get_running_loop().time()
        wait = wait_of(request.headers.getlist("prefer"), self._default_wait_s)
        self._guard.require_headers(request)
        body = await self._bridge.gate.strangers.read(request)
        client = self._guard.require(request, body)
        with self._bridge.gate.one_event(len(body)):
            event = event_or_problem(self._bridge.settings, topic, body)
            send = partial(self._bridge.send, topic, key_of(event), body, client, trace)
            webhook_id = self._guard.webhook_id(request)
            if webhook_id:
                identity, route, waits = (client, webhook_id), request.scope["path"], wait.seconds > 0
                source = await self._received.send(identity, route, body, send, again=waits)
            else:
                source = await send()
        self._bridge.metrics.acknowledge_seconds.observe(_since(started_at))
        try:
            answer = await self._decision(event, source, wait, started_at)
        except Problem as problem:
            problem.headers |= wait.headers
            raise
        if answer is not None:
            return Response(msgspec.json.encode(answer), 200, wait.headers, JSON)
        return accepted(event, wait)

    async def _decision(self, event: Event, source: Source, wait: Wait, started_at: float) -> Fields | None:
        """The decision; None where it has not come within the wait."""
        left_s = wait.seconds - _since(started_at)
        bridge = self._bridge
        if left_s <= 0 or bridge.waiters.is_full:
            return None
        key, is_end = key_of(event), source.topic == PROMOTION_END
        with bridge.waiters.waiting(source, key, final_report=is_end) as waiter:
            done = self._ended(key, started_at) if is_end else None
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
        try:
            _, report = self._bridge.status.promotion(promotion_id)
        except Problem:  # nothing is remembered just now: the broker has the event all the same
            return None
        if report is None or report.kind != "FINAL":
            return None
        return {"status": 200, **ended(report), "duration": _milliseconds(started_at)}


def read_event(settings: Settings, topic: str, body: bytes) -> Event:
    """The event of `topic` (logical name) in a body, read as intake will read it, inputMapping included.

    Raises InvalidEvent.
    """
    mapping = settings.mappings.get(topic)
    event = parse(topic, body if mapping is None else map_message(mapping, body))
    if isinstance(event, PromotionStart):
        event.expires_at_ms(now_ms(), settings.config.default_duration_ms)
    return event


def event_or_problem(settings: Settings, topic: str, body: bytes) -> Event:
    """The event of `topic` in a body.

    Raises Problem: 400 for what is not JSON or lacks fields that the template requires, in the template's
    words; 422 for a bad value.
    """
    try:
        return read_event(settings, topic, body)
    except InvalidEvent as invalid:
        mapped = topic in settings.mappings
        raise _problem_of(topic, body, invalid, mapped=mapped) from None


def accepted(event: Event, wait: Wait = NO_WAIT) -> Response:
    """202: the broker has the event. `statusUrl` says where its decision will be."""
    url = status_url(event)
    content = {"status": "accepted", **_identity_of(event), "statusUrl": url}
    return Response(msgspec.json.encode(content), 202, {**wait.headers, "Location": url}, JSON)


def status_url(event: Event) -> str:
    """Path of the route that answers where the event's subject stands."""
    if isinstance(event, OrderPlaced | OrderCancelled):
        return f"/orders/{quote(event.order.ref, safe='')}"
    return f"/promotions/{quote(event.identity, safe='')}"


def key_of(event: Event) -> str:
    """The record's key: repeats and cancels of an order follow it in one partition."""
    return event.order.ref if isinstance(event, OrderPlaced | OrderCancelled) else event.identity


def _identity_of(event: Event) -> dict[str, str]:
    """How answers name the event's subject."""
    if isinstance(event, OrderPlaced | OrderCancelled):
        return {"orderRef": event.order.ref, "promotionId": event.order.promotion_id}
    return {"promotionId": event.identity}


@dataclass(frozen=True, slots=True)
class Missing:
    """The template's answer to a body without a field that it needs, in the words of its code."""

    error: str
    recommendation: str


_NO_PROMOTION_ID = Missing("Missing promotion ID", "Include order.promotionId in request payload")

MISSING = {
    PROMOTION_START: Missing(
        "Invalid promotion data", "Request must include promotion.id and promotion.skus array"
    ),
    PROMOTION_END: Missing("Invalid promotion data", "Request must include promotion.id"),
    ORDER_PLACED: _NO_PROMOTION_ID,
    ORDER_CANCELLED: _NO_PROMOTION_ID,
}


def _problem_of(topic: str, body: bytes, invalid: InvalidEvent, *, mapped: bool) -> Problem:
    try:
        value = from_json(body)
    except ValueError:
        return Problem(400, invalid.error, RECOMMENDATIONS[Reason.INVALID], reason=Reason.INVALID)
    if not mapped and _lacks(topic, value):
        missing = MISSING[topic]
        return Problem(400, missing.error, missing.recommendation, reason=Reason.INVALID)
    return Problem(422, invalid.error, invalid.recommendation, reason=Reason.INVALID)


def _lacks(topic: str, value: JsonValue) -> bool:
    """Whether the template would find nothing there: absent, or what JavaScript takes for false."""
    if topic in (ORDER_PLACED, ORDER_CANCELLED):
        return not _field(_field(value, "order"), "promotionId")
    promotion = _field(value, "promotion")
    named = _field(promotion, "id") or _field(promotion, "ref")
    skus = _field(promotion, "skus") if topic == PROMOTION_START else True
    return not named or not skus


def _field(value: JsonValue, name: str) -> JsonValue:
    return value.get(name) if isinstance(value, dict) else None


def _since(moment: float) -> float:
    return asyncio.get_running_loop().time() - moment


def _milliseconds(started_at: float) -> int:
    return round(_since(started_at) * 1_000)
