"""`flashsale publish`: sends a file's events, all of them or none."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Annotated, BinaryIO, cast

import typer

from flashsale.cli.console import complain, configured, say, say_json
from flashsale.cli.sending import SHOWN_ERRORS, Sending, require_topic
from schemas import examples
from schemas.invalid import InvalidEvent
from schemas.orders import OrderCancelled, OrderPlaced
from schemas.parsing import Event, parse
from schemas.topics import INPUTS
from streams.settings import ConfigurationError, Settings
from streams.settings.mapping import map_message

SPOOLED_BYTES = 16 * 1024 * 1024

Read = Callable[[bytes], Event]


EXAMPLES = {
    "promotion-start": examples.PROMOTION_STARTS,
    "promotion-end": examples.PROMOTION_ENDS,
    "order-placed": examples.ORDERS_PLACED,
    "order-cancelled": examples.ORDERS_CANCELLED,
}


def publish(
    topic: Annotated[str, typer.Argument(help="An input topic, such as order-placed.")],
    file: Annotated[
        str | None, typer.Argument(help="JSON lines, one event each; - is standard input.")
    ] = None,
    validate: Annotated[
        bool, typer.Option(help="Read every line first and send nothing when one is wrong.")
    ] = True,
    example: Annotated[
        bool, typer.Option("--example", help="Print an event of this topic as a sample; send nothing.")
    ] = False,
) -> int:
    """Send the JSON lines of `file` to an input topic; 1 when any is not sent. Raises ConfigurationError."""
    if topic not in INPUTS:
        raise ConfigurationError(f"{topic} is not an input topic; these are: {', '.join(INPUTS)}.")
    if example:
        say_json(json.dumps(EXAMPLES[topic][0], ensure_ascii=False))
        return 0
    if file is None:
        raise typer.BadParameter("a file is needed, or - for standard input.", param_hint="FILE")
    settings = configured()
    require_topic(settings, topic)
    read = partial(_event, settings, topic)
    with _opened(file) as lines:
        if validate and (errors := _errors(lines, read)):
            return _refused(errors)
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
    if sys.stdin.isatty():
        complain("Type events, one JSON object a line; Ctrl-D sends them, Ctrl-C sends none.")
    spool = tempfile.SpooledTemporaryFile(SPOOLED_BYTES)  # noqa: SIM115 - the caller closes it
    # Line by line: a terminal's end of input is over after it was read once, and must not be read again.
    spool.writelines(iter(sys.stdin.buffer.readline, b""))
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


def _send(settings: Settings, topic: str, lines: BinaryIO, read: Read) -> int:
    sending = Sending(settings)
    for number, line in _numbered(lines):
        sending.send(f"line {number}", topic, line, _key(read, line))
    done = sending.finish()
    say(f"published {sending.sent}")
    return int(not done)


def _key(read: Read, line: bytes) -> bytes | None:
    """The subject, so that an order's events stay in order within a topic; None for what is no event."""
    try:
        event = read(line)
    except InvalidEvent:
        return None
    identity = event.identity
    return (identity[0] if isinstance(event, OrderPlaced | OrderCancelled) else str(identity)).encode()
