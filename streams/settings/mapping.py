"""Foreign JSON into our input shapes, by JMESPath expressions from the configuration.

A mapping is one expression that yields the whole event, or an object of our fields whose leaves are
expressions. JMESPath: https://jmespath.org/specification.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.parser import ParsedResult
from pydantic import JsonValue
from pydantic_core import from_json

from schemas.fields import compact_json
from schemas.invalid import InvalidEvent
from schemas.parsing import EVENTS
from streams.settings.errors import ConfigurationError

InputMapping = ParsedResult | dict[str, Any]
"""A compiled mapping: an expression, or fields with a compiled mapping each."""


def compile_mappings(sources: Mapping[str, JsonValue]) -> dict[str, InputMapping]:
    """The configuration's `inputMapping`, compiled: input topic (logical name) to its mapping.

    Raises ConfigurationError that names the topic or field where something is wrong.
    """
    for topic in sources:
        if topic not in EVENTS:
            known = ", ".join(EVENTS)
            raise ConfigurationError(f"inputMapping.{topic} is not an input topic; these are: {known}.")
    return {topic: compile_mapping(source, f"inputMapping.{topic}") for topic, source in sources.items()}


def compile_mapping(source: JsonValue, where: str) -> InputMapping:
    """One mapping compiled; `where` names it in a ConfigurationError."""
    if isinstance(source, dict) and source:
        return {field: compile_mapping(inner, f"{where}.{field}") for field, inner in source.items()}
    if not isinstance(source, str):
        raise ConfigurationError(f"{where} must be a JMESPath expression or an object of them.")
    try:
        return jmespath.compile(source)
    except JMESPathError as error:
        cause = str(error).splitlines()[0].rstrip(":")
        raise ConfigurationError(f"{where} is not a JMESPath expression: {source!r} ({cause}).") from None


def apply(mapping: InputMapping, value: JsonValue) -> JsonValue:
    """What `mapping` makes of a decoded message. Fields for which it finds nothing are left out.

    Raises jmespath's JMESPathError where a function is given a value that it does not take.
    """
    if not isinstance(mapping, dict):
        found: JsonValue = mapping.search(value)
        return found
    fields = {field: apply(inner, value) for field, inner in mapping.items()}
    return {field: found for field, found in fields.items() if found is not None}


def map_message(mapping: InputMapping, value: bytes | None) -> bytes:
    """The message in our shape, as JSON. Raises InvalidEvent where it is not JSON or cannot be mapped."""
    if value is None:
        raise InvalidEvent("The message has no value, but its inputMapping requires JSON.")
    try:
        return compact_json(apply(mapping, from_json(value, allow_inf_nan=False)))
    except JMESPathError as error:
        raise InvalidEvent(f"The message does not fit its inputMapping: {_one_line(error)}.") from None
    except ValueError as error:
        raise InvalidEvent(f"The message is not valid JSON: {error}.") from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
