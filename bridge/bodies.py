"""From the body of a request to the event in it, or to the problem that says what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import JsonValue
from pydantic_core import from_json

from bridge.problems import Problem
from schemas.invalid import InvalidEvent
from schemas.orders import OrderCancelled, OrderPlaced
from schemas.parsing import Event, parse
from schemas.promotions import PromotionStart
from schemas.reasons import RECOMMENDATIONS, Reason
from schemas.topics import ORDER_CANCELLED, ORDER_PLACED, PROMOTION_END, PROMOTION_START
from streams.settings import Settings
from streams.settings.mapping import map_message


@dataclass(frozen=True, slots=True)
class Missing:
    """The seed's answer where the body lacks what it cannot do without; its source is the seed template."""

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


def read_event(settings: Settings, topic: str, body: bytes, now_ms: int) -> Event:
    """The event of `topic` (logical name) in a body, read as intake will read it, inputMapping included.

    Raises InvalidEvent.
    """
    mapping = settings.mappings.get(topic)
    event = parse(topic, body if mapping is None else map_message(mapping, body))
    if isinstance(event, PromotionStart):
        event.expires_at_ms(now_ms, settings.config.default_duration_ms)
    return event


def problem_of(topic: str, body: bytes, invalid: InvalidEvent, *, mapped: bool) -> Problem:
    """400 for what is not JSON or lacks the seed's fields, in the seed's words; 422 for a bad value."""
    try:
        value = from_json(body)
    except ValueError:
        return Problem(400, invalid.error, RECOMMENDATIONS[Reason.INVALID], reason=Reason.INVALID)
    if not mapped and _lacks(topic, value):
        missing = MISSING[topic]
        return Problem(400, missing.error, missing.recommendation, reason=Reason.INVALID)
    return Problem(422, invalid.error, invalid.recommendation, reason=Reason.INVALID)


def identity_of(event: Event) -> dict[str, str]:
    """How answers name the event's subject."""
    if isinstance(event, OrderPlaced | OrderCancelled):
        return {"orderRef": event.order.ref, "promotionId": event.order.promotion_id}
    return {"promotionId": event.identity}


def _lacks(topic: str, value: JsonValue) -> bool:
    """Whether the seed would find nothing there: absent, or what JavaScript takes for false."""
    if topic in (ORDER_PLACED, ORDER_CANCELLED):
        return not _field(_field(value, "order"), "promotionId")
    promotion = _field(value, "promotion")
    named = _field(promotion, "id") or _field(promotion, "ref")
    skus = _field(promotion, "skus") if topic == PROMOTION_START else True
    return not named or not skus


def _field(value: JsonValue, name: str) -> JsonValue:
    return value.get(name) if isinstance(value, dict) else None
