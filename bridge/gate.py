"""Back-pressure: how much may be under way at the same time, and how slowly a body may come."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import ClientDisconnect, Request

from bridge.problems import Problem, unavailable

MAX_BODY_BYTES = 1_000_000
"""Below the limit of an input topic (Kafka's default is 1,048,588 bytes with the record's own overhead)."""

MAX_EVENTS = 4_000
MAX_BYTES = 64 << 20
BODY_S = 10.0


class Gate:
    """Counts events from their first byte until the broker has them. Beyond the limits callers get a 503."""

    def __init__(self) -> None:
        self.events = 0
        self.bytes = 0

    @contextmanager
    def one_event(self) -> Iterator[Body]:
        """Room for one more event and for its body. Raises Problem."""
        if self.events >= MAX_EVENTS:
            raise _busy()
        body = Body(self)
        self.events += 1
        try:
            yield body
        finally:
            self.events -= 1
            self.bytes -= body.size


class Body:
    """A request's body as it comes in, counted at the gate."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self.size = 0

    async def read(self, request: Request) -> bytes:
        """The whole body. Raises Problem for one that is too large, too slow, cut off or compressed."""
        _require_identity(request)
        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length) > MAX_BODY_BYTES:
            raise _too_large()
        try:
            async with asyncio.timeout(BODY_S):
                return b"".join([self._count(chunk) async for chunk in request.stream()])
        except TimeoutError:
            raise Problem(
                408,
                f"The request's body did not arrive within {BODY_S:.0f} s",
                "Send the same request again; nothing was done with it.",
            ) from None
        except ClientDisconnect:
            raise Problem(400, "The request's body was cut off", "Send the same request again.") from None

    def _count(self, chunk: bytes) -> bytes:
        self.size += len(chunk)
        self._gate.bytes += len(chunk)
        if self.size > MAX_BODY_BYTES:
            raise _too_large()
        if self._gate.bytes > MAX_BYTES:
            raise _busy()
        return chunk


def _require_identity(request: Request) -> None:
    codings = ",".join(request.headers.getlist("content-encoding"))
    for coding in filter(None, map(str.strip, codings.split(","))):
        if coding.lower() != "identity":
            raise Problem(
                415,
                f"The request's body has the Content-Encoding {coding}, which the bridge does not read",
                "Send the body as it is, without Content-Encoding.",
                headers={"Accept-Encoding": "identity"},
            )


def _too_large() -> Problem:
    return Problem(
        413,
        f"The request's body has more than {MAX_BODY_BYTES:,} bytes",
        "Split the order or the promotion into several, each under its own reference.",
    )


def _busy() -> Problem:
    return unavailable(
        "The bridge has as many requests under way as it takes",
        "Send the same request again after the seconds in Retry-After.",
    )
