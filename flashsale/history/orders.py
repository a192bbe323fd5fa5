"""The history of one order: its events, what the ledger decided about its lines, its answers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

import msgspec
from confluent_kafka import Message

from bridge.records import source_of
from flashsale.dead_letters.letter import DeadLetter, read_dead_letters
from flashsale.history import words
from flashsale.history.events import event_in, mentioning, through
from flashsale.history.replay import histories
from flashsale.history.step import Searched, Step
from schemas.normalised import Cancelled, Placed
from schemas.structs import OrderOutcome
from schemas.topics import DEAD_LETTERS, ORDER_CANCELLED, ORDER_OUTCOMES, ORDER_PLACED
from schemas.unreadable import UNREADABLE
from streams.engine.partitioner import partition_of
from streams.reader import headers_of, reading
from streams.settings import Settings

EVENT_TOPICS = (ORDER_PLACED, ORDER_CANCELLED)

Place = tuple[str, int, int]
"""Topic (logical name), partition and offset of a record."""


@dataclass
class OrderHistory:
    """What is found of one order, and where it was looked for."""

    settings: Settings
    promotion: str
    ref: str
    steps: list[Step] = field(default_factory=list)
    searched: list[Searched] = field(default_factory=list)
    _skus: dict[str, None] = field(default_factory=dict)
    _events: dict[Place, None] = field(default_factory=dict)
    """Places of the order's events, as the answers name them."""

    def find(self) -> None:
        """Look everywhere. Raises ConfigurationError as `streams.reader` does, and KafkaException."""
        self._find_outcomes()
        self._find_dead_letters()
        if self._events:
            for place in self._events:
                self._find_event(*place)
            self._find_undecided(ORDER_CANCELLED)
        else:
            self._find_undecided(*EVENT_TOPICS)
        steps, searched = histories(self.settings, self.promotion, self._skus, self.ref)
        self.steps += steps
        self.searched += searched
        self.steps.sort(key=lambda step: (step.at_ms, RANK.get(step.kind, 1)))

    def _find_outcomes(self) -> None:
        """The answers: an order's key says in which partition they are."""
        key = self.ref.encode()
        told: set[bytes] = set()
        with reading(self.settings, ORDER_OUTCOMES) as reader:
            span = reader.narrow(partition_of(key, len(reader.spans)))
            looked = Searched.of(ORDER_OUTCOMES, span)
            self.searched.append(looked)
            for message in reader.to_the_end():
                looked.saw(message)
                if cast(Any, message.key()) == key:
                    self._take_outcome(message, told)

    def _take_outcome(self, message: Message, told: set[bytes]) -> None:
        value = message.value() or b""
        try:
            outcome = _decode_outcome(value)
            decided_at_ms = _milliseconds(outcome.decided_at)
        except UNREADABLE:
            return  # somebody else writes to this topic
        if outcome.promotion_id != self.promotion:
            return
        again = value in told
        told.add(value)
        at_ms = message.timestamp()[1] if again else decided_at_ms
        text = "is answered once more with the same bytes" if again else "is answered"
        self._add(at_ms, message, ORDER_OUTCOMES, "answer", f"{text}. {_summary(outcome)}", outcome.outcome)
        self._skus.update(dict.fromkeys(result.sku for result in outcome.consume_results))
        source, _ = source_of(headers_of(message), self.settings.topic_prefix)
        if source is not None and source.topic in EVENT_TOPICS:
            self._events[source] = None

    def _find_dead_letters(self) -> None:
        for letter in read_dead_letters(self.settings):
            if letter.mentions(self.ref, self.promotion):
                self._take_dead_letter(letter)

    def _take_dead_letter(self, letter: DeadLetter) -> None:
        text = f"its message {letter.id} is turned away. {letter.reason}: {letter.error}"
        place = (DEAD_LETTERS, *letter.place)
        self.steps.append(
            Step(letter.at_ms, *place, "dead-letter", text, None, self.ref, None, letter.reason)
        )

    def _find_event(self, topic: str, partition: int, offset: int) -> None:
        with reading(self.settings, topic) as reader:
            reader.narrow(partition, offset, offset + 1)
            found = next((m for m in reader.to_the_end(1) if m.offset() == offset), None)
            if found is not None:
                self._take_event(topic, found)

    def _find_undecided(self, *topics: str) -> None:
        """No answer names an event: look through all events, whatever partition a producer has chosen.

        Where the order was answered, only a cancel can be missing: it may wait in a backlog.
        """
        for topic in topics:
            for message in mentioning(self.settings, topic, self.ref, self.searched):
                place = (topic, cast(int, message.partition()), cast(int, message.offset()))
                if place not in self._events:
                    self._take_event(topic, message)

    def _take_event(self, topic: str, message: Message) -> None:
        event = event_in(self.settings, topic, message)
        if not isinstance(event, Placed | Cancelled):
            return  # it is a dead letter, and told as one
        if (event.order_ref, event.promotion_id) != (self.ref, self.promotion):
            return
        self._skus.update(dict.fromkeys(sku for sku, _ in event.lines))
        self._add(message.timestamp()[1], message, topic, "event", _event(event) + through(message))

    def _add(
        self, at_ms: int, message: Message, topic: str, kind: str, text: str, reason: str | None = None
    ) -> None:
        place = (topic, cast(int, message.partition()), cast(int, message.offset()))
        self.steps.append(Step(at_ms, *place, kind, text, None, self.ref, None, reason))


RANK = {"event": 0, "answer": 2, "dead-letter": 2}
"""What comes first of steps of the same millisecond."""


def _event(event: Placed | Cancelled) -> str:
    lines = words.lines([(sku, quantity, "") for sku, quantity in event.lines])
    if isinstance(event, Placed):
        return f"is placed: {lines}"
    wanted = lines if event.lines else "all of it"
    named = f" ({event.cancellation_ref})" if event.cancellation_ref else ""
    return f"is to be cancelled{named}: {wanted}"


def _summary(outcome: OrderOutcome) -> str:
    taken = words.lines([(each.sku, each.quantity, each.reason) for each in outcome.consume_results])
    told = f"{outcome.outcome}, revision {outcome.revision}: {taken}"
    if outcome.reason is not msgspec.UNSET:
        told += f". {words.refusal(outcome.reason)}"
    if outcome.cancel_results is not msgspec.UNSET:
        results = cast(Iterable[Any], outcome.cancel_results)
        told += f"; cancelled {words.lines([(each.sku, each.quantity, each.reason) for each in results])}"
    return told


def _milliseconds(moment: str) -> int:
    return round(datetime.fromisoformat(moment).timestamp() * 1_000)


_decode_outcome = msgspec.json.Decoder(OrderOutcome).decode
