"""The records of `dead-letters`: what was turned away, why, and what a person can do about it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

from confluent_kafka import Message
from pydantic import ValidationError

from flashsale.spellings import spelling
from schemas.headers import DeadLetterHeaders
from schemas.reasons import Reason
from schemas.topics import DEAD_LETTERS
from streams.reader import headers_of, reading
from streams.settings import Settings

UNPROCESSABLE = Reason.UNPROCESSABLE.value.encode()


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that was turned away. `topic` (its logical name), `partition` and `offset` are its own."""

    topic: str
    partition: int
    offset: int
    reason: str
    error: str
    recommendation: str
    failed_at: str
    at_ms: int
    """When it was written to `dead-letters`."""
    place: tuple[int, int]
    """Its partition and offset there."""
    key: bytes | None
    value: bytes | None

    @property
    def id(self) -> str:
        """The message's place, by which the commands name the dead letter."""
        return f"{self.topic}/{self.partition}/{self.offset}"

    def mentions(self, *names: str) -> bool:
        """Whether each of these names stands in key or value, not as a part of a longer name."""
        text = (self.key or b"") + b"\n" + (self.value or b"")
        return all(re.search(rb"(?<![\w.-])%b(?![\w.-])" % spelling(name), text) for name in names)


def without_bytes(letter: DeadLetter) -> DeadLetter:
    """It without its value, which may be megabytes: for a list of many."""
    return replace(letter, value=None)


def read_dead_letters(settings: Settings, since_ms: int = 0) -> Iterator[DeadLetter]:
    """All that came since then and is there now, in order within a partition; what is not ours is left out.

    Raises ConfigurationError when the broker does not have the topic or falls silent, and KafkaException.
    """
    with reading(settings, DEAD_LETTERS) as reader:
        reader.skip_to(since_ms)
        for message in reader.to_the_end():
            letter = dead_letter_in(message, settings.topic_prefix)
            if letter is not None and letter.at_ms >= since_ms:
                yield letter


def newest_dead_letters(settings: Settings, most: int, since_ms: int = 0) -> tuple[list[DeadLetter], bool]:
    """The newest `most` of each partition, oldest first and without their bytes; and whether one was left out
    that came since `since_ms`. Raises as `read_dead_letters` does."""
    found: list[DeadLetter] = []
    with reading(settings, DEAD_LETTERS) as reader:
        begins = {span.partition: span.begin for span in reader.spans}
        reader.newest(most)
        cut = {span.partition for span in reader.spans if span.begin > begins[span.partition]}
        for message in reader.to_the_end():
            letter = dead_letter_in(message, settings.topic_prefix)
            if letter is not None:
                found.append(without_bytes(letter))
    left_out = False
    for partition in cut:
        oldest = min((each.at_ms for each in found if each.place[0] == partition), default=0)
        left_out = left_out or oldest >= since_ms
    found.sort(key=lambda letter: letter.at_ms)
    return found, left_out


def places_given_up(settings: Settings, topic: str) -> dict[int, set[int]]:
    """Offsets by partition of the records of a topic (logical name) that were turned away as UNPROCESSABLE.

    Raises as `read_dead_letters` does.
    """
    given_up: dict[int, set[int]] = {}
    with reading(settings, DEAD_LETTERS) as reader:
        for message in reader.to_the_end():
            if ("reason", UNPROCESSABLE) not in headers_of(message):
                continue  # most of a flood is INVALID: a model of each takes longer than to fetch it
            letter = dead_letter_in(message, settings.topic_prefix)
            if letter is not None and letter.topic == topic:
                given_up.setdefault(letter.partition, set()).add(letter.offset)
    return given_up


def dead_letter_in(message: Message, prefix: str) -> DeadLetter | None:
    """The dead letter in a record of `dead-letters`, None where somebody else wrote it."""
    try:
        said = DeadLetterHeaders.model_validate(
            {name: (value or b"").decode() for name, value in headers_of(message)}
        )
    except (ValidationError, UnicodeDecodeError):
        return None
    key, value = cast(Any, message.key()), cast(Any, message.value())
    return DeadLetter(
        said.source_topic.removeprefix(prefix),
        said.source_partition,
        said.source_offset,
        said.reason.value,
        said.error,
        said.recommendation,
        said.failed_at,
        message.timestamp()[1],
        (cast(int, message.partition()), cast(int, message.offset())),
        key,
        value,
    )
