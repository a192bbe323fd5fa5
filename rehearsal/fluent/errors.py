"""Errors as Fluent's GraphQL API reports them: a code in ``errors[].extensions.code``, on HTTP 200.

Codes look like ``C0121E``: C (client), S (server) or T (third party), four digits, E (error) or W (warning).
"""

from __future__ import annotations

COMPLEXITY = "C0001E"
RATE_LIMIT = "C0011E"
NOT_FOUND = "C0120E"
DUPLICATE_QUANTITY = "C0121E"
INVALID = "C0122E"
DUPLICATE_POSITION = "C0123E"
INTERNAL = "S0001E"


class FluentError(Exception):
    """Refuses one field of a request; graphql-core copies ``extensions`` into the answer's error."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.extensions: dict[str, object] = {"code": code}


def not_found(what: str, ref: str) -> FluentError:
    return FluentError(NOT_FOUND, f"{what} {ref!r} was not found")
