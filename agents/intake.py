"""The agents of the input topics: can this message be read, and is it at home where it was read?

An event that is already in the task of its subject is decided there and then; any other is sent home, its
bytes as they came, through order-commands or promotion-commands. Intake knows nothing about stock. What can
not be read becomes a dead letter, its bytes intact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import faust

from agents.dead_letter_limit import NO_LIMIT, DeadLetterLimit
from agents.shell import CommandStage, WireName, channel, measure, take
from schemas.fields import FIRST_EVENT_MS, LAST_EVENT_MS
from schemas.invalid import InvalidEvent
from schemas.normalised import Cancelled, Normalised, Placed, read
from schemas.promotions import PromotionStart
from schemas.reasons import Reason
from schemas.topics import (
    INPUTS,
    MAX_INPUT_BYTES,
    ORDER_CANCELLED,
    ORDER_COMMANDS,
    ORDER_PLACED,
    PROMOTION_COMMANDS,
    PROMOTION_END,
    PROMOTION_START,
)
from streams.engine.fetched import Fetched
from streams.engine.host.app import EngineApp
from streams.engine.partitioner import learn, partition_of
from streams.engine.stage import LOG_APPEND_TIME, Record, remember_seen_ms, seen_ms, what_is_wrong
from streams.ledger.commands import encode
from streams.ledger.dead_letters import dead_letter
from streams.ledger.effects import Effects, Notice, Send
from streams.ledger.rows import Rows
from streams.ledger.terms import ENVELOPE_HEADER, Envelope, Source, Terms
from streams.tracing import trace_in

HOME_OF = {
    ORDER_PLACED: ORDER_COMMANDS,
    ORDER_CANCELLED: ORDER_COMMANDS,
    PROMOTION_START: PROMOTION_COMMANDS,
    PROMOTION_END: PROMOTION_COMMANDS,
}
"""The command topic whose stage decides the events of an input topic."""

_OF_ORDERS = (Placed, Cancelled)

Mapper = Callable[[bytes | None], bytes]

Read = tuple[bytes, Normalised, bytes | None]
"""The key of an event's subject, the event, and its bytes in our shape where a mapping made them."""


def register(app: EngineApp, topic: str, limit: DeadLetterLimit = NO_LIMIT) -> None:
    """Let `app` take in what comes on the input topic `topic`, as long as `limit` is not reached."""

    async def take_in(fetched: Fetched) -> None:
        for piece in limit.pieces(fetched):
            await app.engine.offer(piece)

    @app.agent(channel(app, topic), name=topic)
    async def intake(stream: faust.StreamT[bytes]) -> None:
        async for event in stream.events():
            await take(app, event, take_in)


def stages(
    wire_name: WireName,
    terms: Terms,
    mappers: Mapping[str, Mapper],
    homes: Mapping[str, CommandStage],
    tasks: int,
    limit: DeadLetterLimit = NO_LIMIT,
) -> dict[str, Intake]:
    """What decides the records of each input topic; `homes` are the stages of the command topics by topic."""
    return {
        topic: Intake(topic, wire_name(topic), terms, homes[HOME_OF[topic]], tasks, mappers.get(topic), limit)
        for topic in INPUTS
    }


@dataclass(frozen=True, slots=True)
class Intake:
    """The stage of one input topic. `mapper` turns foreign JSON into our shape where one is configured.

    Any producer, key, partitioner and number of partitions will do: home is a question about each record.
    Partition p is read by task p mod `tasks`; an event's home is the task of its order ref's or promotion
    id's murmur2. Only records that the broker has stamped are decided at home: elsewhere their time is the
    producer's.
    """

    topic: str
    wire_topic: str
    terms: Terms
    home: CommandStage
    tasks: int
    mapper: Mapper | None = None
    limit: DeadLetterLimit = NO_LIMIT

    def decide(self, partition: int, records: Sequence[Record], rows: Rows, effects: Effects) -> None:
        """Decide each record, pass it on, or reject it, in order."""
        now_ms, task = seen_ms(rows, self.topic), partition % self.tasks
        letters = sum(effects.dead_letters.values())
        at_home = self.home.at_home(self.topic, self.terms, rows, effects)
        # Not strict: the records may end early, with a portion.
        for record, found in zip(records, self._read_all(records), strict=False):
            trace = trace_in(record.headers) if record.headers else ""
            source = Source(self.wire_topic, partition, record.offset, record.key, trace)
            try:
                placed_at_ms = _timestamp(record)
                if placed_at_ms > now_ms:
                    now_ms = placed_at_ms
                if isinstance(found, InvalidEvent):
                    raise found
                key, event, mapped = found
                if isinstance(event, PromotionStart):
                    _warn_of_unusual(event, effects)
                if partition_of(key, self.tasks) == task and record.timestamp_type == LOG_APPEND_TIME:
                    at_home.decide(source, placed_at_ms, event, record.value or b"")
                else:
                    header = encode(Envelope(source, placed_at_ms, self.terms, mapped))
                    effects.sends.append(
                        Send(self.home.topic, key, record.value, [(ENVELOPE_HEADER, header)])
                    )
            except InvalidEvent as invalid:
                failed_at_ms = max(now_ms, at_home.now_ms)
                error = what_is_wrong(record, invalid.error)
                dead_letter(source, record.value, invalid.reason, error, failed_at_ms, effects)
        at_home.close()
        letters = sum(effects.dead_letters.values()) - letters
        self.limit.decided((self.topic, partition), records, letters)
        remember_seen_ms(rows, self.topic, now_ms)
        measure(self.topic, records, effects)

    def give_up(self, partition: int, record: Record, why: str, rows: Rows, effects: Effects) -> None:
        """Turn a record away undecided."""
        source = Source(self.wire_topic, partition, record.offset, record.key)
        failed_at_ms = max(seen_ms(rows, self.topic), seen_ms(rows, self.home.topic))
        dead_letter(source, record.value, Reason.UNPROCESSABLE, why, failed_at_ms, effects)

    def earliest_deadline_ms(self, rows: Rows) -> int | None:
        """Intake waits for nothing."""
        return None

    def next_watermark_deadline_ms(self, rows: Rows) -> int | None:
        """Not for a watermark either."""
        return None

    def _read_all(self, records: Sequence[Record]) -> list[Read | InvalidEvent]:
        """What each record says, or what is wrong with it. The keys of a batch are hashed together."""
        found = [self._read(record.value, record.key) for record in records]
        learn([each[0] for each in found if not isinstance(each, InvalidEvent)])
        return found

    def _read(self, value: bytes | None, key: bytes | None) -> Read | InvalidEvent:
        mapped, size = None, len(value or b"") + len(key or b"")
        try:
            if size > MAX_INPUT_BYTES:
                error = f"The message and its key have {size:,} bytes, of at most {MAX_INPUT_BYTES:,}."
                raise InvalidEvent(error)
            if self.mapper is None:
                event = read(self.topic, value)
            else:
                mapped = self.mapper(value)
                if len(mapped) + size > MAX_INPUT_BYTES:
                    raise InvalidEvent("The message and what its inputMapping makes of it are too large.")
                event = read(self.topic, mapped)
        except InvalidEvent as invalid:
            return invalid
        subject = event.order_ref if isinstance(event, _OF_ORDERS) else event.identity
        return subject.encode(), event, mapped


def _timestamp(record: Record) -> int:
    """When the event happened. Raises InvalidEvent for a time of no event, which moves no clock of ours."""
    if FIRST_EVENT_MS <= record.timestamp <= LAST_EVENT_MS:
        return record.timestamp
    raise InvalidEvent(
        f"The record's timestamp {record.timestamp} is no time between the years 2000 and 2100 "
        "in milliseconds since 1970."
    )


def _warn_of_unusual(event: PromotionStart, effects: Effects) -> None:
    if (minutes := event.unusual_minutes) is not None:
        fields: dict[str, str | int] = {
            "promotion": event.identity,
            "minutes": minutes,
            "recommendation": "check that it was meant; it is used as it is",
        }
        effects.notices.append(Notice("warning", "unusual_duration", fields))
