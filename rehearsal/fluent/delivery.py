"""How an answer, or none, gets to the client: the faults of a network and of what stands before Fluent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec
from starlette.types import Receive, Scope, Send

from rehearsal.fluent.faults import Fate
from rehearsal.fluent.switches import Controls, Fault

DRIPS = 20
GARBAGE = b"<html><head><title>502 Bad Gateway</title></head><body>upstream sent too big he"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


Apply = Callable[[bool], Answer]
"""Executes the request; True: as a stale read."""


def json_answer(status: int, content: object, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(
        status, msgspec.json.encode(content), {"content-type": "application/json", **(headers or {})}
    )


def failed(status: int) -> Answer:
    return Answer(status, b"upstream failed", {"content-type": "text/plain"})


class Exchange:
    """One request's connection."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, stopping: asyncio.Event) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._stopping = stopping

    async def answer(self, answer: Answer) -> None:
        await self._start(answer)
        await self._send({"type": "http.response.body", "body": answer.body})

    async def pause(self, ms: float) -> None:
        """Waits, a stop of the server ends it."""
        if ms > 0:
            try:
                await asyncio.wait_for(self._stopping.wait(), ms / 1000)
            except TimeoutError:
                return

    async def hang(self, ms: float) -> None:
        """Says nothing until the client gives up, the time is over or the server stops, then closes."""
        gone = asyncio.ensure_future(self._disconnected())
        stopped = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait({gone, stopped}, timeout=ms / 1000, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not gone.done():
            gone.cancel()
            await self.close()

    async def close(self) -> None:
        """Ends the connection where it stands."""
        self._scope["state"]["transport"].close()
        await self._disconnected()

    async def truncate(self, answer: Answer) -> None:
        await self._start(answer)
        half = answer.body[: len(answer.body) // 2]
        await self._send({"type": "http.response.body", "body": half, "more_body": True})
        await self.close()

    async def drip(self, answer: Answer, pause_ms: float) -> None:
        await self._start(answer)
        size = max(1, -(-len(answer.body) // DRIPS))
        for start in range(0, len(answer.body), size):
            piece = answer.body[start : start + size]
            await self._send({"type": "http.response.body", "body": piece, "more_body": True})
            await self.pause(pause_ms)
        await self._send({"type": "http.response.body", "body": b""})

    async def _start(self, answer: Answer) -> None:
        headers = [(name.encode(), value.encode()) for name, value in answer.headers.items()]
        headers.append((b"content-length", b"%d" % len(answer.body)))
        await self._send({"type": "http.response.start", "status": answer.status, "headers": headers})

    async def _disconnected(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            continue


async def deliver(exchange: Exchange, fate: Fate, apply: Apply, controls: Controls) -> None:
    """Lets a request meet its fate. Half of the latency passes before the change is applied, half after."""
    await exchange.pause(fate.latency_ms / 2)
    fault = fate.fault
    if fault in _NOT_APPLIED:
        await _refuse(exchange, fate, controls)
        return
    if fault is Fault.LATE:
        await exchange.pause(controls.late_ms)
    answer = apply(fault is Fault.STALE_READ)
    await exchange.pause(fate.latency_ms / 2)
    if fault is Fault.TIMEOUT_AFTER:
        await exchange.hang(controls.hang_ms)
    elif fault is Fault.CLOSE_AFTER:
        await exchange.close()
    elif fault is Fault.TRUNCATED:
        await exchange.truncate(answer)
    elif fault is Fault.SLOW_DRIP:
        await exchange.drip(answer, controls.drip_ms)
    elif fault is Fault.ERROR_AFTER:
        await exchange.answer(failed(fate.status))
    elif fault is Fault.GARBAGE:
        await exchange.answer(Answer(200, GARBAGE, {"content-type": "text/html"}))
    else:
        await exchange.answer(answer)


_NOT_APPLIED = frozenset(
    {Fault.TIMEOUT_BEFORE, Fault.ERROR_BEFORE, Fault.CLOSE_BEFORE, Fault.TOO_MANY_REQUESTS}
)


async def _refuse(exchange: Exchange, fate: Fate, controls: Controls) -> None:
    if fate.fault is Fault.TIMEOUT_BEFORE:
        await exchange.hang(controls.hang_ms)
    elif fate.fault is Fault.CLOSE_BEFORE:
        await exchange.close()
    elif fate.fault is Fault.TOO_MANY_REQUESTS:
        await exchange.answer(too_many_requests(controls))
    else:
        await exchange.answer(failed(fate.status))


def too_many_requests(controls: Controls) -> Answer:
    wait = {"retry-after": str(controls.retry_after_seconds)}
    return json_answer(429, {"error": "too many requests"}, wait)
