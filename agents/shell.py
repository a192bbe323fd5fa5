"""What all agents share: the channel they read, the hand-over to the engine, the stage of a command topic."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import faust
import msgspec

from schemas.fields import LAST_EVENT_MS
from schemas.normalised import Normalised, read
from schemas.reasons import Reason
from schemas.unreadable import UNREADABLE
from streams.engine.fetched import Fetched
from streams.engine.host.app import EngineApp
from streams.engine.stage import Record, remember_seen_ms, seen_ms, what_is_wrong
from streams.engine.store import StoreFailed
from streams.engine.unprocessable import RecordFailed, TooManyGivenUp
from streams.ledger.commands import Claim
from streams.ledger.dead_letters import dead_letter
from streams.ledger.effects import Batch, Effects
from streams.ledger.rows import Rows
from streams.ledger.terms import Envelope, Source, Terms
from streams.log import get_logger

log = get_logger("agents")

REPORT_THE_RECORD = (
    "report the trace with the record that it names; the process ends and starts anew, and a record that "
    "fails the third time becomes a dead letter"
)

WireName = Callable[[str], str]
"""A topic's name on the wire: TOPIC_PREFIX in front."""

Decode = Callable[[bytes, bytes | None], Any]
MakeCommand = Callable[[Source, Terms, int, Any, bytes], Any]
"""Makes the command out of an input event: its source, the terms, when it was placed (Unix ms), the event as
it was read, the bytes that came."""

Events = Mapping[str, MakeCommand]
"""By input topic."""


class Core(Protocol):
    """One of the pure cores of `streams.ledger`: reservations, orders or promotions."""

    def decide(self, rows: Rows, command: Any, now_ms: int, effects: Effects) -> None:
        """Decide one command at broker time `now_ms`."""

    def earliest_deadline_ms(self, rows: Rows) -> int | None:
        """When a Tick is needed next, or None."""

    def next_watermark_deadline_ms(self, rows: Rows) -> int | None:
        """The watermark that a Tick has to carry next, or None."""


_decode_envelope = msgspec.msgpack.Decoder(Envelope).decode


def channel(app: EngineApp, topic: str) -> faust.TopicT:
    """The Faust topic for a logical topic. Its values are fetches, which raw codecs hand on as they are."""
    name = app.engine.options.wire_name(topic)
    return app.topic(name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")


async def decide(app: EngineApp, event: faust.EventT[bytes]) -> None:
    """Give a fetch to the task that owns its partition."""
    await take(app, event, app.engine.offer)


async def take(
    app: EngineApp, event: faust.EventT[bytes], handle: Callable[[Fetched], Awaitable[None]]
) -> None:
    """Handle a fetch. An exception that left an agent would acknowledge it; here it ends the process."""
    fetched: Any = event.message.value
    try:
        await handle(fetched)
    except StoreFailed as error:
        app.hooks.die(str(error))  # no fault of a record
    except TooManyGivenUp as error:
        app.hooks.stop(str(error))
    except Exception as error:
        if isinstance(error, RecordFailed):
            app.hooks.on_record_failed()
        log.exception(
            "stage_failed", source=fetched.source, start=fetched.start, recommendation=REPORT_THE_RECORD
        )
        app.hooks.die(f"deciding {fetched.source} from offset {fetched.start} failed: {error!r}")


@dataclass(frozen=True, slots=True)
class CommandStage:
    """What decides the records of one command topic, for a task.

    `decode(value, envelope)` gets the bytes of the envelope header for an input event, None for a command;
    `events` make the commands out of those events.
    """

    topic: str
    wire_topic: str
    decode: Decode
    events: Events
    core: Core

    def decide(self, partition: int, records: Sequence[Record], rows: Rows, effects: Effects) -> None:
        """Decide the records in order. What is not a command becomes a dead letter, its neighbours do not."""
        decode, decide, placed_at_ms = self.decode, self.core.decide, 0
        now_ms = seen_ms(rows, self.topic)
        for record in records:
            if now_ms < record.timestamp <= LAST_EVENT_MS:
                now_ms = record.timestamp
            headers = record.headers
            try:
                command = decode(record.value or b"", headers[0][1] if headers else None)
            except UNREADABLE as error:
                source = Source(self.wire_topic, partition, record.offset, record.key)
                found = what_is_wrong(record, str(error))
                dead_letter(source, record.value, Reason.INVALID, found, now_ms, effects)
                continue
            if self.events and headers and command.placed_at_ms > now_ms:
                command.placed_at_ms = now_ms  # a producer's clock: nothing was placed after it was read
            decide(rows, command, now_ms, effects)
            if type(command) is Claim:
                placed_at_ms = command.placed_at_ms
        remember_seen_ms(rows, self.topic, now_ms)
        measure(self.topic, records, effects, placed_at_ms)

    def give_up(self, partition: int, record: Record, why: str, rows: Rows, effects: Effects) -> None:
        """Turn a record away undecided; an event that was sent home is named as it came in."""
        source = Source(self.wire_topic, partition, record.offset, record.key)
        with contextlib.suppress(IndexError, TypeError, *UNREADABLE):  # a header may have no value
            source = _decode_envelope(record.headers[0][1]).source
        dead_letter(source, record.value, Reason.UNPROCESSABLE, why, seen_ms(rows, self.topic), effects)

    def at_home(self, topic: str, terms: Terms, rows: Rows, effects: Effects) -> AtHome:
        """Decides events of an input topic without a detour through this stage's own topic."""
        return AtHome(self, self.events[topic], terms, rows, effects, seen_ms(rows, self.topic))

    def earliest_deadline_ms(self, rows: Rows) -> int | None:
        """When this stage needs its next Tick."""
        return self.core.earliest_deadline_ms(rows)

    def next_watermark_deadline_ms(self, rows: Rows) -> int | None:
        """The watermark for which this stage waits next."""
        return self.core.next_watermark_deadline_ms(rows)


@dataclass(slots=True)
class AtHome:
    """A batch of input events that a stage decides where they are read: their task is the stage's own."""

    stage: CommandStage
    make: MakeCommand
    terms: Terms
    rows: Rows
    effects: Effects
    now_ms: int

    def decide(self, source: Source, placed_at_ms: int, event: Normalised, original: bytes) -> None:
        """Decide one event; `original` are the bytes that came."""
        if placed_at_ms > self.now_ms:
            self.now_ms = placed_at_ms
        command = self.make(source, self.terms, placed_at_ms, event, original)
        self.stage.core.decide(self.rows, command, self.now_ms, self.effects)

    def close(self) -> None:
        """Time does not go back in the stage's own log either."""
        remember_seen_ms(self.rows, self.stage.topic, self.now_ms)


def measure(stage: str, records: Sequence[Record], effects: Effects, placed_at_ms: int = 0) -> None:
    """Note a batch for the metrics: once, however many records it has.

    `placed_at_ms` is the event's time of its last claim, 0 where it has none.
    """
    if records:
        effects.batches.append(Batch(stage, len(records), records[0].timestamp, placed_at_ms))


def decoder(decode_command: Callable[[bytes], Any], events: Events) -> Decode:
    """A function that decodes a record: an input event where it has an envelope header, else one of our own.

    An event is read as intake read it, so nothing that intake let through is lost. What this returns raises
    `msgspec.MsgspecError` for bytes that are none of our commands and for a broken envelope, and
    `schemas.invalid.InvalidEvent` for an event that intake would have refused.
    """

    def decode(value: bytes, header: bytes | None) -> Any:
        if header is None:
            return decode_command(value)
        envelope: Envelope = _decode_envelope(header)
        event = value if envelope.mapped is None else envelope.mapped
        for topic, make in events.items():
            if envelope.source.topic.endswith(topic):  # TOPIC_PREFIX may stand in front
                come = read(topic, event)
                return make(envelope.source, envelope.terms, envelope.placed_at_ms, come, value)
        raise msgspec.ValidationError(f"{envelope.source.topic} is none of {', '.join(events)}")

    return decode
