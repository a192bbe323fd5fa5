"""Turns what a validator found into one sentence for the person who sent the message."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from pydantic import ValidationError

from schemas.fields import NO_CONTROL_CHARACTERS, OFFSET_TIME
from schemas.reasons import RECOMMENDATIONS, Reason

SHOWN_CHARACTERS = 80


class InvalidEvent(ValueError):
    """A message that cannot be read. `reason`, `error` and `recommendation` go into its dead letter."""

    def __init__(self, error: str, recommendation: str = RECOMMENDATIONS[Reason.INVALID]) -> None:
        super().__init__(error)
        self.reason = Reason.INVALID
        self.error = error
        self.recommendation = recommendation


def sentence(
    failure: ValidationError, subject: str = "The message", secret: Collection[str] = frozenset()
) -> str:
    """The first thing that is wrong, as "<field> <what it must be>, but is <value>.".

    `subject` stands where no field can be named. Values of fields in `secret` are left out.
    """
    first = failure.errors(include_url=False)[0]
    field = path(first["loc"])
    if first["type"] == "json_invalid":
        return f"{subject} is not valid JSON: {first['ctx']['error']}."
    if first["type"] == "missing":
        return f"{field} is missing."
    value = "" if field in secret else _but_is(first)
    return f"{field or subject} {_rule(first)}{value}."


def path(location: tuple[str | int, ...]) -> str:
    """A location in a message as people write it: `order.items[2].quantity`."""
    text = ""
    for step in location:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text.lstrip(".")


def shown(value: object) -> str:
    """A scalar for an error message, as JSON writes it, cut to a readable length."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


_RULES: Mapping[str, str] = {
    "int_type": "must be a whole number (no quotes, no decimal point)",
    "int_from_float": "must be a whole number (no quotes, no decimal point)",
    "int_parsing_size": "is too large a number",
    "float_type": "must be a number (no quotes)",
    "bool_type": "must be true or false",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le:,}",
    "greater_than": "must be more than {gt}",
    "finite_number": "must be a finite number",
    "string_type": "must be a string",
    "string_unicode": "must be valid UTF-8",
    "string_too_short": "must not be empty",
    "string_too_long": "must be at most {max_length:,} characters",
    "literal_error": "must be {expected}",
    "model_type": "must be a JSON object",
    "dict_type": "must be a JSON object",
    "tuple_type": "must be an array",
    "too_short": "must have at least {min_length} entry",
    "too_long": "must have at most {max_length:,} entries",
    "extra_forbidden": "is not a known key",
}

_PATTERNS: Mapping[str, str] = {
    NO_CONTROL_CHARACTERS: "must not contain control characters",
    OFFSET_TIME: "must be a time like 2025-11-28T09:00:00Z (ISO 8601 with offset)",
}

_ABOUT_CONTAINERS = frozenset({"too_short", "too_long", "extra_forbidden"})
"""Errors where the offending value is beside the point."""


def _rule(error: Mapping[str, Any]) -> str:
    context = error.get("ctx", {})
    if error["type"] == "value_error":
        return str(context["error"])
    if error["type"] == "string_pattern_mismatch":
        return _PATTERNS.get(context["pattern"], f"must match {context['pattern']}")
    rule = _RULES.get(error["type"])
    return rule.format(**context) if rule else f"is not valid: {error['msg']}"


def _but_is(error: Mapping[str, Any]) -> str:
    value = error["input"]
    scalar = value is None or isinstance(value, str | int | float)
    return f", but is {shown(value)}" if scalar and error["type"] not in _ABOUT_CONTAINERS else ""
