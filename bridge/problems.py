"""Errors as problem details (RFC 9457) that carry the template's `error` and `recommendation`."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

JSON = "application/json"
PROBLEM_JSON = "application/problem+json"
RETRY_AFTER_S = 1


class Problem(Exception):
    """Why a request is not done: an HTTP status, what happened and what to do about it.

    `reason` is one of schemas.reasons where there is one.
    """

    def __init__(
        self,
        status: int,
        error: str,
        recommendation: str,
        *,
        reason: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.recommendation = recommendation
        self.reason = reason
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """The answer to the caller."""
        content = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.error,
            "error": self.error,
            "recommendation": self.recommendation,
        }
        if self.reason is not None:
            content["reason"] = self.reason
        return Response(msgspec.json.encode(content), self.status, self.headers, PROBLEM_JSON)


async def problem_response(request: Request, problem: Any) -> Response:
    """The answer to a request whose handler raised a Problem."""
    answer: Response = problem.response()
    return answer


async def no_route(request: Request, error: Any) -> Response:
    """The answer to an unknown path, or to a method that the path does not have."""
    wrong_method = f"{request.method} is not what this route is for"
    sentence = wrong_method if error.status_code == 405 else "There is no such route"
    help_ = "GET /openapi.json lists every route."
    return Problem(error.status_code, sentence, help_, headers=error.headers).response()


async def our_error(request: Request, error: Exception) -> Response:
    """The answer where something happened that nobody foresaw; uvicorn logs its trace."""
    return failed().response()


HANDLERS: dict[Any, Any] = {Problem: problem_response, HTTPException: no_route, Exception: our_error}
"""How an application answers what its routes raise."""


def unauthorized() -> Problem:
    """The same for every request that is not signed as it should be: no hint what is wrong with it."""
    return Problem(
        401,
        "The request is not signed, or its signature is not valid",
        "Send X-Client-Id, X-Timestamp and X-Signature as docs/bridge.md describes; "
        "`flashsale sign` prints a request that is signed correctly.",
        headers={"WWW-Authenticate": 'HMAC-SHA256 realm="flashsale"'},
    )


def unavailable(error: str, recommendation: str) -> Problem:
    """Not now: the caller sends the same again a moment later."""
    return Problem(503, error, recommendation, headers={"Retry-After": str(RETRY_AFTER_S)})


def failed() -> Problem:
    """Something that nobody foresaw."""
    return Problem(
        500,
        "The bridge failed; whether the event reached Kafka is not known",
        "Send the same request again: a repeat changes nothing. The bridge's log has the cause.",
    )
