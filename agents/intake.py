"""The agents of the input topics. Intake validates a message and passes its bytes on under its subject's key.

It knows nothing about stock. What can not be read becomes a dead letter, its bytes intact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import faust

from agents.shell import WireName, channel, decide
from schemas.invalid import InvalidEvent
from schemas.orders import OrderCancelled, OrderPlaced
from schemas.parsing import Event, parse
from schemas.promotions import PromotionStart
from schemas.topics import MAX_MESSAGE_BYTES, ORDER_COMMANDS, PROMOTION_COMMANDS
from streams.engine.host.app import EngineApp
from streams.engine.stage import Record, remember_seen_ms, seen_ms
from streams.ledger.commands import encode, order_key
from streams.ledger.dead_letters import dead_letter
from streams.ledger.effects import Effects, Notice, Send
from streams.ledger.rows import Rows
from streams.ledger.terms import ENVELOPE_HEADER, Envelope, Source, Terms

MAX_MAPPED_BYTES = MAX_MESSAGE_BYTES - 65_536

Mapper = Callable[[bytes | None], bytes]


def register(app: EngineApp, topic: str) -> None:
    """Let `app` take in what comes on the input topic `topic`."""

    @app.agent(channel(app, topic), name=topic)
    async def intake(stream: faust.StreamT[bytes]) -> None:
        async for event in stream.events():
            await decide(app, event)


def stages(
    wire_name: WireName, terms: Terms, mappers: Mapping[str, Mapper], topics: Sequence[str]
) -> dict[str, Intake]:
    """What decides the records of each input topic."""
    return {topic: Intake(topic, wire_name(topic), terms, mappers.get(topic)) for topic in topics}


@dataclass(frozen=True, slots=True)
class Intake:
    """The stage of one input topic. `mapper` turns foreign JSON into our shape where one is configured."""

    topic: str
    wire_topic: str
    terms: Terms
    mapper: Mapper | None = None

    def decide(self, partition: int, records: Sequence[Record], rows: Rows, effects: Effects) -> None:
        """Pass each record on, or reject it, in order."""
        now_ms = seen_ms(rows, self.topic)
        for record in records:
            now_ms = max(now_ms, record.timestamp)
            source = Source(self.wire_topic, partition, record.offset, record.key)
            try:
                effects.sends.append(self._passed_on(record, source, effects))
            except InvalidEvent as invalid:
                dead_letter(source, record.value, invalid.reason, invalid.error, now_ms, effects)
        remember_seen_ms(rows, self.topic, now_ms)

    def earliest_deadline_ms(self, rows: Rows) -> int | None:
        """Intake waits for nothing."""
        return None

    def _passed_on(self, record: Record, source: Source, effects: Effects) -> Send:
        mapped = None
        if self.mapper is not None:
            mapped = self.mapper(record.value)
            if len(mapped) + len(record.value or b"") + len(record.key or b"") > MAX_MAPPED_BYTES:
                raise InvalidEvent("The message and what its inputMapping makes of it are too large.")
        event = parse(self.topic, record.value if mapped is None else mapped)
        self._check(event, effects)
        topic, key = _destination(event)
        envelope = encode(Envelope(source, max(0, record.timestamp), self.terms, mapped))
        return Send(topic, key, record.value, [(ENVELOPE_HEADER, envelope)])

    def _check(self, event: Event, effects: Effects) -> None:
        if not isinstance(event, PromotionStart):
            return
        minutes = event.unusual_minutes
        if minutes is not None:
            fields: dict[str, str | int] = {"promotion": event.identity, "minutes": minutes}
            effects.notices.append(Notice("warning", "unusual_duration", fields))


def _destination(event: Event) -> tuple[str, bytes]:
    if isinstance(event, OrderPlaced | OrderCancelled):
        return ORDER_COMMANDS, order_key(*event.identity)
    return PROMOTION_COMMANDS, event.identity.encode()
