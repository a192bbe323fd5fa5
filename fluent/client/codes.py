"""Fluent's error codes: what each means for the call. Errors come on HTTP 200, too.

Codes look like `C0121E`: C (client), S (server) or T (third party), four digits, E (error) or W (warning).
Sources: Fluent's documentation of error codes and the retry table of its own SDK. The envelope
(`errors[].extensions.code`) is documented but was never seen in a public capture, so a code in the message
is taken as well, and what is not understood is logged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from fluent.errors import (
    Duplicate,
    FluentError,
    NotFound,
    NotPermitted,
    NotUnderstood,
    RateLimited,
    Refused,
    ServerFailed,
    TooComplex,
)

log = structlog.get_logger("fluent")

CODE = re.compile(r"\b([CST])(\d{4})([EW])?\b")

SPECIAL: Mapping[str, type[FluentError]] = {
    "C0001": TooComplex,
    "C0011": RateLimited,
    "C0020": NotPermitted,
    "C0120": NotFound,
    "C0121": Duplicate,
    "C0123": Duplicate,
    "C0122": Refused,
    "C0140": Refused,
    "C0141": Refused,
    "S0030": Refused,
}
WAITS_S: Mapping[str, float] = {"C0003": 60.0, "S0002": 30.0, "S0020": 30.0, "S0040": 10.0}
"""Codes that Fluent's SDK asks again after so many seconds."""
THIRD_PARTY_WAIT_S = 30.0
LAST_PERMANENT_SERVER_CODE = 19
"""S0001 to S0019 are permanent (but S0002), higher ones pass."""

INVALID_DOCUMENT = frozenset({"ValidationError", "InvalidSyntax", "GRAPHQL_VALIDATION_FAILED"})
"""What GraphQL servers call a document that the schema does not allow."""


def code_of(error: Mapping[str, Any]) -> str:
    """Fluent's code without its E or W, from the extensions or else the message; empty if none."""
    extensions = error.get("extensions")
    given = extensions.get("code") if isinstance(extensions, Mapping) else None
    found = CODE.search(str(given or "")) or CODE.search(str(error.get("message", "")))
    return f"{found[1]}{found[2]}" if found else ""


def error_from(errors: Sequence[Mapping[str, Any]]) -> FluentError:
    """The exception for the errors of one call (at least one): the first that has a code decides."""
    chosen = next((error for error in errors if code_of(error)), errors[0])
    code, message = code_of(chosen), str(chosen.get("message", "Fluent gave no message"))[:500]
    extensions = chosen.get("extensions")
    details = extensions if isinstance(extensions, Mapping) else {}
    if {details.get("classification"), details.get("code")} & INVALID_DOCUMENT:
        return Refused(message)
    if code in SPECIAL or re.fullmatch(r"C016\d", code):
        return SPECIAL.get(code, Refused)(message, code=code)
    if code in WAITS_S:
        return ServerFailed(message, code=code, wait_s=WAITS_S[code])
    if code.startswith("T"):
        return ServerFailed(message, code=code, wait_s=THIRD_PARTY_WAIT_S)
    if code.startswith("S"):
        permanent = int(code[1:]) <= LAST_PERMANENT_SERVER_CODE
        return Refused(message, code=code) if permanent else ServerFailed(message, code=code)
    log.warning("fluent_error_not_understood", code=code, error=message)
    return NotUnderstood(message, code=code)
