"""`flashsale publish`: sends a file's events, all of them or none."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

from confluent_kafka import KafkaError, Message, Producer

from flashsale.admin.cluster import admin_client, look_at
from flashsale.cli.output import complain, say
from flashsale.cli.start import configured
from schemas.invalid import InvalidEvent
from schemas.orders import OrderCancelled, OrderPlaced
from schemas.parsing import Event, parse
from schemas.topics import INPUTS
from streams.kafka import check_broker, producer_config
from streams.settings import ConfigurationError, Settings
from streams.settings.mapping import map_message

SHOWN_ERRORS = 20
SPOOLED_BYTES = 16 * 1024 * 1024
FLUSH_S = 60.0
QUEUE_FULL_WAIT_S = 0.5

Read = Callable[[bytes], Event]


def publish_lines(topic: str, file: str, *, validate: bool) -> int:
    """Send the JSON lines of `file` (`-`: standard input) to an input topic; 1 when any is not sent.

    With `validate`, one bad line keeps all of them back. Raises ConfigurationError.
    """
    if topic not in INPUTS:
        raise ConfigurationError(f"{topic} is not an input topic; these are: {', '.join(INPUTS)}.")
    settings = configured()
    read = partial(_event, settings, topic)
    with _opened(file) as lines:
        if validate and (errors := _errors(lines, read)):
            return _refused(errors)
        _require(settings, topic)
        return _send(settings, topic, lines, read)


def _event(settings: Settings, topic: str, line: bytes) -> Event:
    mapping = settings.mappings.get(topic)
    return parse(topic, line if mapping is None else map_message(mapping, line))


def _opened(file: str) -> AbstractContextManager[BinaryIO]:
    """The lines, readable twice: what comes through a pipe is kept until it is sent."""
    if file != "-":
        try:
            return Path(file).open("rb")
        except OSError as error:
            raise ConfigurationError(f"{file} cannot be read: {error.strerror}.") from None
    spool = tempfile.SpooledTemporaryFile(SPOOLED_BYTES)  # noqa: SIM115 - the caller closes it
    shutil.copyfileobj(sys.stdin.buffer, spool)
    return cast(AbstractContextManager[BinaryIO], spool)


def _numbered(lines: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """(number, line) from the beginning, blank lines left out."""
    lines.seek(0)
    for number, line in enumerate(lines, start=1):
        if stripped := line.strip():
            yield number, stripped


def _errors(lines: BinaryIO, read: Read) -> list[str]:
    errors = []
    for number, line in _numbered(lines):
        try:
            read(line)
        except InvalidEvent as invalid:
            errors.append(f"line {number}: {invalid.error}")
    return errors


def _refused(errors: list[str]) -> int:
    for error in errors[:SHOWN_ERRORS]:
        complain(error)
    if len(errors) > SHOWN_ERRORS:
        complain(f"… and {len(errors) - SHOWN_ERRORS:,} more")
    complain("Nothing was sent; correct the lines, or send them as they are with --no-validate.")
    return 1


def _require(settings: Settings, topic: str) -> None:
    """A producer would create a missing topic where the broker lets it, with the broker's settings."""
    check_broker(settings)
    name = settings.prefixed(topic)
    if not look_at(admin_client(settings), [name]):
        raise ConfigurationError(f"The topic {name} does not exist; create it with `flashsale topics`.")


@dataclass(slots=True)
class _Deliveries:
    """What became of the lines that were handed to the producer."""

    sent: int = 0
    failures: list[str] = field(default_factory=list)

    def done(self, number: int, error: KafkaError | None, _message: Message) -> None:
        if error is None:
            self.sent += 1
        else:
            self.failures.append(f"line {number} was not sent: {error.str()}")


def _send(settings: Settings, topic: str, lines: BinaryIO, read: Read) -> int:
    producer, deliveries = Producer(producer_config(settings)), _Deliveries()
    for number, line in _numbered(lines):
        _produce(producer, settings.prefixed(topic), line, _key(read, line), partial(deliveries.done, number))
    left = producer.flush(FLUSH_S)
    for failure in deliveries.failures[:SHOWN_ERRORS]:
        complain(failure)
    say(f"published {deliveries.sent}")
    return int(bool(deliveries.failures) or left > 0)


def _key(read: Read, line: bytes) -> bytes | None:
    """The subject, so that an order's events stay in order within a topic; None for what is no event."""
    try:
        event = read(line)
    except InvalidEvent:
        return None
    identity = event.identity
    return (identity[0] if isinstance(event, OrderPlaced | OrderCancelled) else str(identity)).encode()


def _produce(
    producer: Producer,
    topic: str,
    line: bytes,
    key: bytes | None,
    done: Callable[[KafkaError | None, Message], None],
) -> None:
    while True:
        try:
            producer.produce(topic, line, key, on_delivery=done)
        except BufferError:
            producer.poll(QUEUE_FULL_WAIT_S)  # our own queue is full: wait for deliveries
        else:
            producer.poll(0)
            return
