"""What can go wrong with Fluent, told apart by what it means for a write, and Fluent's codes for it.

A write was not applied (`NotApplied`), may have been applied (`Unclear`), or was refused (`Refused`).

Errors come on HTTP 200, too. Codes look like `C0121E`: C (client), S (server) or T (third party), four
digits, E (error) or W (warning). Sources: Fluent's documentation of error codes and the retry table of its
own SDK. The envelope (`errors[].extensions.code`) is documented but was never seen in a public capture, so a
code in the message is taken as well, and what is not understood is logged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from streams.log import REDACTED, get_logger

log = get_logger("fluent")


LONGEST_WORDS = 1_000
"""Characters of what Fluent says: an answer to the ledger repeats it, and has to fit into a record."""

_BEARER = re.compile(r"\bbearer\s+[^\s\"',;]+", re.IGNORECASE)


def in_short(text: str) -> str:
    """What was said, cut to what a person reads, and without a token that some page has repeated."""
    if len(text) > LONGEST_WORDS:
        text = f"{text[:LONGEST_WORDS]}…"
    return _BEARER.sub(f"bearer {REDACTED}", text)


class FluentError(Exception):
    """Anything that keeps Fluent from answering a call with data. `code` is Fluent's own, or empty."""

    code: str

    def __init__(self, message: str, *, code: str = "", wait_s: float = 0.0) -> None:
        message = in_short(message)
        super().__init__(f"{message} ({code})" if code and code not in message else message)
        self.code = code
        self.exhausted = False
        """Whether it was tried again as often as is sensible already."""
        self.wait_s = wait_s
        """How long Fluent asks us to wait before another try, in seconds; 0: it does not say."""


class Unanswered(FluentError):
    """No answer that can be relied on: ask again later."""


class NotApplied(Unanswered):
    """Surely nothing was changed: the call may be sent again as it is."""


class ConnectFailed(NotApplied):
    """No connection to Fluent came about."""


class RateLimited(NotApplied):
    """Fluent has had enough requests for now (HTTP 429 or C0011)."""


class LoginFailed(NotApplied):
    """Fluent gives us no token, or does not take it."""


class LoginRefused(LoginFailed):
    """The credentials are wrong: nothing gets better by asking again soon."""


class LeaseTooShort(NotApplied):
    """Our lease would not outlive the call: another worker may own this SKU by then, so nothing is sent."""


class BudgetSpent(NotApplied):
    """The time that the request may take is over before the call could be sent."""


class Unclear(Unanswered):
    """A write may or may not have been applied: read before writing anything newer."""


class TimedOut(Unclear):
    """No complete answer within the call's time-out."""


class ConnectionLost(Unclear):
    """The connection broke after the request had been sent."""


class ServerFailed(Unclear):
    """HTTP 5xx, or one of Fluent's codes for a failure of its own."""


class UnreadableAnswer(Unclear):
    """An answer of GraphQL that is larger than we take, or does not have the shape of what was asked."""


class ForeignAnswer(Unclear):
    """An answer of something between us and Fluent (proxy, firewall, edge): it refuses nothing."""


class ForeignTooLarge(ForeignAnswer):
    """HTTP 413 from something in between: fewer calls in a request may pass."""


class NotUnderstood(Unclear):
    """An error whose code we do not know. All our writes are idempotent, so asking again is safe."""


class NotSettled(Unclear):
    """What was read does not (yet) show what was written."""


class HeldByAnother(Unanswered):
    """Too little is free, but another promotion's hold on the SKU is about to end."""


class BrokenPaging(Unanswered):
    """A cursor repeats or is missing: the pages do not cover everything, so nothing may be concluded."""


class Refused(FluentError):
    """Fluent understood and will not do it, however often it is asked."""


class Duplicate(Refused):
    """The ref is taken (C0121, C0123): what we wanted to create exists."""


class NotFound(Refused):
    """C0120: there is nothing under this ref."""


class TooComplex(Refused):
    """C0001: the query asks for too much at once."""


class NotPermitted(Refused):
    """C0020 or HTTP 403: this login may not do that."""


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
"""How long Fluent's SDK waits after these codes before it asks again."""
THIRD_PARTY_WAIT_S = 30.0
LAST_PERMANENT_SERVER_CODE = 19
"""S0001 to S0019 are permanent (but S0002), higher ones pass."""

INVALID_DOCUMENT = frozenset({"ValidationError", "InvalidSyntax", "GRAPHQL_VALIDATION_FAILED"})
"""What GraphQL servers call a document that the schema does not allow."""


def code_of(error: Mapping[str, Any], asked: str = "") -> str:
    """Fluent's code without its E or W, from the extensions or else the message; empty if none.

    A word of the message that is in `asked`, the call's own variables, is none: a SKU may have such a name.
    """
    extensions = error.get("extensions")
    given = extensions.get("code") if isinstance(extensions, Mapping) else None
    said = (word for word in CODE.finditer(str(error.get("message", ""))) if word[0] not in asked)
    found = CODE.search(str(given or "")) or next(said, None)
    return f"{found[1]}{found[2]}" if found else ""


def error_from(errors: Sequence[Mapping[str, Any]], asked: str = "") -> FluentError:
    """The exception for the errors of one call (at least one): the first that has a code decides."""
    chosen = next((error for error in errors if code_of(error, asked)), errors[0])
    code, message = code_of(chosen, asked), str(chosen.get("message", "Fluent gave no message"))[:500]
    extensions = chosen.get("extensions")
    details = extensions if isinstance(extensions, Mapping) else {}
    if {str(details.get("classification")), str(details.get("code"))} & INVALID_DOCUMENT:
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
    log.warning(
        "fluent_error_not_understood",
        code=code,
        error=message,
        recommendation="report the code: until it is known, what was asked is read back and tried again",
    )
    return NotUnderstood(message, code=code)
