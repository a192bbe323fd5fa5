"""Turns what a validator found into one sentence for the person who sent the message."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from schemas.reasons import RECOMMENDATIONS, Reason

SHOWN_CHARACTERS = 80


class InvalidEvent(ValueError):
    """A message that cannot be read. `reason`, `error` and `recommendation` go into its dead letter."""

    def __init__(self, error: str, recommendation: str = RECOMMENDATIONS[Reason.INVALID]) -> None:
        super().__init__(error)
        self.reason = Reason.INVALID
        self.error = error
        self.recommendation = recommendation


def sentence(failure: ValidationError) -> str:
    """The first thing that is wrong, as "<field> <what it must be>, but is <value>."."""
    first = failure.errors(include_url=False)[0]
    field = path(first["loc"]) or "The message"
    if first["type"] == "json_invalid":
        return f"The message is not valid JSON: {first['ctx']['error']}."
    if first["type"] == "missing":
        return f"{field} is missing."
    return f"{field} {_rule(first)}{_but_is(first)}."


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
    "string_type": "must be a text",
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
    "[^": "must not contain control characters",
    "T": "must be a time like 2025-11-28T09:00:00Z (ISO 8601 with offset)",
}

_ABOUT_CONTAINERS = frozenset({"too_short", "too_long", "extra_forbidden"})
"""Errors where the offending value is beside the point."""


def _rule(error: Mapping[str, Any]) -> str:
    context = error.get("ctx", {})
    if error["type"] == "value_error":
        return str(context["error"])
    if error["type"] == "string_pattern_mismatch":
        return next((text for mark, text in _PATTERNS.items() if mark in context["pattern"]), "is not valid")
    rule = _RULES.get(error["type"])
    return rule.format(**context) if rule else f"is not valid: {error['msg']}"


def _but_is(error: Mapping[str, Any]) -> str:
    value = error["input"]
    scalar = value is None or isinstance(value, str | int | float)
    return f", but is {shown(value)}" if scalar and error["type"] not in _ABOUT_CONTAINERS else ""
