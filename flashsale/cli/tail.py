"""`flashsale tail`: what is committed in a topic, as it comes."""

from __future__ import annotations

import json as json_codec
import sys
import time
from contextlib import suppress
from enum import StrEnum
from typing import Annotated

import typer
from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Message
from pydantic import JsonValue

from flashsale.cli.console import complain, connected, known_topic, printable_json, write
from schemas.times import LAST_MS, iso_utc
from streams.log import printable
from streams.reader import BATCH, Reader, headers_of, reading

POLL_S = 0.2


class Form(StrEnum):
    """How a record is printed."""

    LINE = "line"
    VALUES = "values"
    JSON = "json"


def tail(
    topic: Annotated[str, typer.Argument(help="Any topic of ours, such as order-outcomes.")],
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="Everything that is there, not only what comes.")
    ] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after this many records.")] = None,
    timeout: Annotated[
        float | None, typer.Option(min=0, help="Stop when nothing has come for this many seconds.")
    ] = None,
    values: Annotated[bool, typer.Option("--values", help="Print values only, as they are.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON object for each record.")] = False,
) -> int:
    """Print records until Ctrl-C, `limit` records, or `timeout` s without any. Raises ConfigurationError."""
    form = Form.VALUES if values else Form.JSON if json else Form.LINE
    known_topic(topic)
    with reading(connected(), topic) as records:
        records.seek(to_beginning=from_beginning)
        # Ctrl-C is the usual way to end it.
        with suppress(KeyboardInterrupt):
            start = "its beginning" if from_beginning else "now on"
            complain(f"Reading {topic} from {start}; Ctrl-C ends it.")
            _copy(records, form, sys.maxsize if limit is None else limit, timeout)
    return 0


def _copy(records: Reader, form: Form, limit: int, timeout_s: float | None) -> None:
    make = {Form.LINE: _line, Form.VALUES: _value, Form.JSON: _object}[form]
    left, quiet_since = limit, time.monotonic()
    while left > 0 and not _over(quiet_since, timeout_s):
        messages = records.poll(POLL_S, min(left, BATCH))
        if messages:
            write(b"".join(make(message) + b"\n" for message in messages))
            left, quiet_since = left - len(messages), time.monotonic()


def _over(quiet_since: float, timeout_s: float | None) -> bool:
    return timeout_s is not None and time.monotonic() - quiet_since >= timeout_s


def _value(message: Message) -> bytes:
    value = message.value() or b""
    return printable(_text(value)).encode() if sys.stdout.isatty() else value


def _line(message: Message) -> bytes:
    value = message.value()
    shown = "(none)" if value is None else printable(_text(value))
    return f"{message.partition()}/{message.offset()} {_key(message) or '-'} {shown}".encode()


def _object(message: Message) -> bytes:
    headers: dict[str, JsonValue] = {name: _text_or_none(value) for name, value in headers_of(message)}
    record: dict[str, JsonValue] = {
        "topic": message.topic(),
        "partition": message.partition(),
        "offset": message.offset(),
        "timestamp": _timestamp(message),
        "key": _text_or_none(message.key()),
        "headers": headers,
        "value": _decoded(message.value()),
    }
    return printable_json(json_codec.dumps(record, ensure_ascii=False)).encode()


def _timestamp(message: Message) -> str | int | None:
    """As we write times; as the number that it is where that is no time from 1970 to 9999."""
    kind, at_ms = message.timestamp()
    if kind == TIMESTAMP_NOT_AVAILABLE:
        return None
    return iso_utc(at_ms) if 0 <= at_ms <= LAST_MS else at_ms


def _decoded(value: bytes | None) -> JsonValue:
    """The value, or its text where it is no JSON, nested too deep, or has a number that JSON cannot write."""
    try:
        found: JsonValue = json_codec.loads(value or b"null")
        json_codec.dumps(found, allow_nan=False)
    except (ValueError, RecursionError):
        return _text_or_none(value)
    return found


def _key(message: Message) -> str:
    key = message.key()
    return "" if key is None else printable(_text(key))


def _text(value: bytes | str) -> str:
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else value


def _text_or_none(value: bytes | str | None) -> str | None:
    return None if value is None else _text(value)
