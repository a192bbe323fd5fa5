"""Reads the value of an input topic's record, or says in one sentence why it cannot be read."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pydantic import ValidationError

from schemas.invalid import InvalidEvent, sentence
from schemas.orders import OrderCancelled, OrderPlaced
from schemas.promotions import PromotionEnd, PromotionStart

Event = PromotionStart | PromotionEnd | OrderPlaced | OrderCancelled

EVENTS: Mapping[str, type[Event]] = MappingProxyType(
    {
        "promotion-start": PromotionStart,
        "promotion-end": PromotionEnd,
        "order-placed": OrderPlaced,
        "order-cancelled": OrderCancelled,
    }
)
"""Each input topic's (logical) name and what its values are."""


def parse(topic: str, value: bytes | None) -> Event:
    """The event that a record of the input topic `topic` (logical name) carries.

    Raises InvalidEvent for anything that cannot be read, KeyError for a topic that is not an input.
    """
    model = EVENTS[topic]
    if value is None:
        raise InvalidEvent(f"The message has no value, but {topic} requires a JSON object.")
    try:
        return model.model_validate_json(value)
    except ValidationError as failure:
        raise InvalidEvent(sentence(failure)) from None
