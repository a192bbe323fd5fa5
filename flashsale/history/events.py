"""Events in the input topics, as their producers sent them: what they ask for, and through whom they came."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import cast

from confluent_kafka import Message

from flashsale.history.step import Searched, Step
from flashsale.spellings import spelling
from schemas.headers import texts_of
from schemas.invalid import InvalidEvent
from schemas.normalised import Normalised, read
from schemas.promotions import PromotionEnd, PromotionStart
from schemas.topics import PROMOTION_END, PROMOTION_START
from streams.reader import headers_of, reading
from streams.settings import Settings
from streams.settings.mapping import map_message

CLIENT_HEADER = "bridge-client"


def event_in(settings: Settings, topic: str, message: Message) -> Normalised | None:
    """The event in a record of the input topic `topic` (logical name); None where it is a dead letter."""
    mapping, value = settings.mappings.get(topic), message.value()
    try:
        return read(topic, value if mapping is None else map_message(mapping, value))
    except InvalidEvent:
        return None


def through(message: Message) -> str:
    """Which client of the bridge sent a record, as the end of a sentence; empty where it came otherwise."""
    client = texts_of(headers_of(message)).get(CLIENT_HEADER)
    return f", through the bridge by client {client}" if client else ""


def mentioning(settings: Settings, topic: str, name: str, searched: list[Searched]) -> Iterator[Message]:
    """Every record of a topic in whose value a reference stands; `searched` gets the partitions.

    Raises ConfigurationError when the broker does not have the topic or falls silent, and KafkaException.
    """
    plain, spelled = name.encode(), re.compile(spelling(name))
    with reading(settings, topic) as reader:
        looked = {span.partition: Searched.of(topic, span) for span in reader.spans}
        searched += looked.values()
        for message in reader.to_the_end():
            looked[cast(int, message.partition())].saw(message)
            value = message.value() or b""
            if plain in value or (b"\\" in value and spelled.search(value)):
                yield message


def sale_events(settings: Settings, promotion: str) -> tuple[list[Step], list[Searched]]:
    """Who started and who ended a promotion, in order of time, and the partitions that were read.

    Raises what `mentioning` raises.
    """
    steps: list[Step] = []
    searched: list[Searched] = []
    for topic in (PROMOTION_START, PROMOTION_END):
        for message in mentioning(settings, topic, promotion, searched):
            event = event_in(settings, topic, message)
            if isinstance(event, PromotionStart | PromotionEnd) and event.identity == promotion:
                steps.append(_step(topic, message, event))
    return sorted(steps, key=lambda step: step.at_ms), searched


def _step(topic: str, message: Message, event: PromotionStart | PromotionEnd) -> Step:
    if isinstance(event, PromotionStart):
        text = "the sale is started"
    else:
        reason = event.promotion.reason
        text = "the sale is ended" + (f" ({reason})" if reason else "")
    place = (topic, cast(int, message.partition()), cast(int, message.offset()))
    return Step(message.timestamp()[1], *place, "event", text + through(message))
