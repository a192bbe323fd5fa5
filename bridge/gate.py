"""Back-pressure: how much may be under way at the same time, and how slowly a body may come.

A request is a stranger until its signature is verified, which takes its body. Strangers have a small budget
of their own (`Strangers`), so nobody without a secret can use up the budget of the events that callers with
a secret send (`Gate.one_event`).
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request

from bridge.problems import Problem, unavailable

MAX_BODY_BYTES = 1_000_000
"""Below the limit of an input topic (Kafka's default is 1,048,588 bytes with the record's own overhead)."""

MAX_EVENTS = 4_000
MAX_BYTES = 64 << 20
MAX_STRANGERS = 1_000
MAX_STRANGERS_PER_ADDRESS = 250
MAX_STRANGER_BYTES = 16 << 20
BODY_S = 10.0


class Gate:
    """Counts verified events until the broker has them. Beyond the limits callers get a 503."""

    def __init__(self) -> None:
        self.strangers = Strangers()
        self.events = 0
        self.bytes = 0

    @contextmanager
    def one_event(self, size: int) -> Iterator[None]:
        """Room for one more event with a body of `size` bytes. Raises Problem."""
        if self.events >= MAX_EVENTS or self.bytes + size > MAX_BYTES:
            raise _busy()
        self.events += 1
        self.bytes += size
        try:
            yield
        finally:
            self.events -= 1
            self.bytes -= size


@dataclass(eq=False, slots=True)
class Stranger:
    """A request whose body comes in; `gives_way` when it has to make room for a newer one."""

    address: str
    timeout: asyncio.Timeout
    size: int = 0
    gives_way: bool = False


class Strangers:
    """Reads the bodies of requests whose sender is not known yet.

    Where there are too many, the oldest gives way with a 503: a caller that sends its body at once is done
    long before its turn comes. It is the oldest of an address that has too many itself, or else of the
    address that has most.
    """

    def __init__(self) -> None:
        self._by_address: defaultdict[str, dict[Stranger, None]] = defaultdict(dict)
        self.count = 0
        self.bytes = 0

    async def read(self, request: Request) -> bytes:
        """The body of a request. Raises Problem when it is too large, too slow, cut off or compressed."""
        _require_identity(request)
        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length) > MAX_BODY_BYTES:
            raise _too_large()
        address = request.client.host if request.client else ""
        stranger = Stranger(address, asyncio.timeout(BODY_S))
        try:
            async with stranger.timeout:
                return await self._read(stranger, request)
        except TimeoutError:
            raise (_busy() if stranger.gives_way else _too_slow()) from None
        except ClientDisconnect:
            raise Problem(400, "The request's body was cut off", "Send the same request again.") from None
        finally:
            self._leave(stranger)

    async def _read(self, stranger: Stranger, request: Request) -> bytes:
        self._enter(stranger)
        chunks = []
        async for chunk in request.stream():
            chunks.append(chunk)
            self._count(stranger, len(chunk))
        return b"".join(chunks)

    def _enter(self, stranger: Stranger) -> None:
        of_address = self._by_address[stranger.address]
        of_address[stranger] = None
        self.count += 1
        if len(of_address) > MAX_STRANGERS_PER_ADDRESS:
            self._make_room(of_address)
        elif self.count > MAX_STRANGERS:
            self._make_room(max(self._by_address.values(), key=len))

    def _count(self, stranger: Stranger, size: int) -> None:
        if not stranger.gives_way:
            stranger.size += size
            self.bytes += size
        if stranger.size > MAX_BODY_BYTES:
            raise _too_large()
        if self.bytes > MAX_STRANGER_BYTES:
            self._make_room(max(self._by_address.values(), key=_bytes_of))
        if stranger.gives_way:
            raise TimeoutError

    def _make_room(self, of_address: dict[Stranger, None]) -> None:
        oldest = next(iter(of_address))
        oldest.gives_way = True
        with suppress(RuntimeError):  # its time is over at this very moment: it goes by itself
            oldest.timeout.reschedule(asyncio.get_running_loop().time())
        self._leave(oldest)

    def _leave(self, stranger: Stranger) -> None:
        of_address = self._by_address.get(stranger.address, {})
        if stranger in of_address:
            del of_address[stranger]
            self.count -= 1
            self.bytes -= stranger.size
        if not of_address:
            self._by_address.pop(stranger.address, None)


def _bytes_of(strangers: dict[Stranger, None]) -> int:
    return sum(stranger.size for stranger in strangers)


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


def _too_slow() -> Problem:
    return Problem(
        408,
        f"The request's body did not arrive within {BODY_S:.0f} s",
        "Send the same request again; nothing was done with it.",
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
