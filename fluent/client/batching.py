"""Calls wait here until a request may be sent; then as many of one operation as fit go out together.

Nobody waits for company: with a free slot a call leaves at once and alone. When requests are limited, calls
gather meanwhile, and the batches grow by themselves.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from fluent.client.documents import Operation
from fluent.client.limits import Gate
from fluent.errors import (
    BudgetSpent,
    ConnectionLost,
    FluentError,
    ForeignTooLarge,
    Refused,
    TooComplex,
)
from fluent.meters import Meters

Data = dict[str, Any]
"""A call's part of an answer: the names of the operation's top-level fields with their values."""

Results = list[Data | FluentError]

Send = Callable[[Operation, list[dict[str, Any]], str], Awaitable[Results]]
"""With the trace context of the calls, empty where they have none."""


SMALLER_FOR_S = 600.0
"""After that the whole size is tried again: a moment of trouble must not slow down every later sale."""


class _Call:
    __slots__ = ("deadline", "future", "sent", "size", "trace", "variables")

    def __init__(self, variables: dict[str, Any], trace: str, deadline: float) -> None:
        self.variables = variables
        self.deadline = deadline
        self.trace = trace
        self.size = len(msgspec.json.encode(variables))
        self.sent = False
        self.future: asyncio.Future[Data] = asyncio.get_running_loop().create_future()
        # Whoever waits may be gone by then; that is no reason for a warning.
        self.future.add_done_callback(lambda future: future.cancelled() or future.exception())


class Batcher:
    """`send` makes one request of several calls and answers for each of them; it does not raise."""

    def __init__(
        self, send: Send, gate: Gate, meters: Meters, max_bytes: int, clock: Callable[[], float]
    ) -> None:
        self._send = send
        self._gate = gate
        self._meters = meters
        self._max_bytes = max_bytes
        self._clock = clock
        self._waiting: dict[str, deque[_Call]] = {}
        self._limits: dict[str, tuple[int, float]] = {}
        """By operation: so many calls at most in a request, and until when."""
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._sending: set[asyncio.Task[None]] = set()
        self._closed = False

    async def call(
        self, operation: Operation, variables: dict[str, Any], deadline: float, trace: str = ""
    ) -> Data:
        """The call's data. Raises what Fluent or the way there made of it.

        A call that is still waiting at `deadline` (the clock's seconds) is never sent: BudgetSpent. One that
        is under way is waited for; it ends with its own time-out.
        """
        if self._closed:
            raise BudgetSpent(f"{operation.name}: the client is closed")
        call = _Call(variables, trace, deadline)
        if call.size > self._max_bytes:
            raise Refused(f"{operation.name}: {call.size} bytes are more than a request may have")
        self._waiting.setdefault(operation.name, deque()).append(call)
        self._wake(operation)
        try:
            await asyncio.wait({call.future}, timeout=max(0.0, deadline - self._clock()))
        except asyncio.CancelledError:
            call.future.cancel()  # nobody waits for it any more, so it is not sent again either
            raise
        finally:
            if not call.sent:
                self._withdraw(operation, call)
        if not call.sent:
            raise BudgetSpent(f"{operation.name} could not be sent in the time that the request may take")
        return await call.future

    def _withdraw(self, operation: Operation, call: _Call) -> None:
        call.future.cancel()
        self._waiting[operation.name].remove(call)

    async def close(self) -> None:
        """Sends nothing more, and waits for what is under way."""
        self._closed = True
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), *self._sending, return_exceptions=True)
        for call in [call for waiting in self._waiting.values() for call in waiting]:
            _spend(call, "the client was closed before the call could be sent")

    def _wake(self, operation: Operation) -> None:
        task = self._tasks.get(operation.name)
        if not self._closed and (task is None or task.done()):
            self._tasks[operation.name] = asyncio.create_task(self._drain(operation))

    async def _drain(self, operation: Operation) -> None:
        waiting = self._waiting[operation.name]
        while waiting:
            await self._gate.enter()
            batch = self._take(operation)
            if not batch:
                self._gate.unused()
                continue
            task = asyncio.create_task(self._deliver(operation, batch))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    def _take(self, operation: Operation) -> list[_Call]:
        waiting, size = self._waiting[operation.name], 0
        batch: list[_Call] = []
        limit, until = self._limits.get(operation.name, (operation.batch, 0.0))
        if self._clock() >= until:
            limit = operation.batch
        while waiting and len(batch) < limit and size + waiting[0].size <= self._max_bytes:
            call = waiting.popleft()
            call.sent = True
            size += call.size
            batch.append(call)
        return batch

    async def _deliver(self, operation: Operation, batch: list[_Call]) -> None:
        try:
            # A request has one trace context; the calls of a promotion, which go out together, have the same.
            trace = next((call.trace for call in batch if call.trace), "")
            results = await self._send(operation, [call.variables for call in batch], trace)
        except BaseException as error:
            for call in batch:
                if not call.future.done():
                    call.future.set_exception(ConnectionLost(f"the send was broken off: {error!r}"))
            raise
        finally:
            self._gate.leave()
        if len(batch) > 1 and all(isinstance(result, TooComplex | ForeignTooLarge) for result in results):
            self._shrink(operation, batch)
            return
        for call, result in zip(batch, results, strict=True):
            if call.future.done():
                continue
            if isinstance(result, FluentError):
                call.future.set_exception(result)
            else:
                call.future.set_result(result)

    def _shrink(self, operation: Operation, batch: list[_Call]) -> None:
        """Too complex for Fluent, or too large for something on the way: half as many calls for a while.

        A call whose time is over meanwhile is not sent again: nobody would look at the clock for it any more.
        """
        self._limits[operation.name] = max(1, len(batch) // 2), self._clock() + SMALLER_FOR_S
        for call in reversed(batch):
            if self._closed or self._clock() >= call.deadline:
                _spend(
                    call, f"{operation.name} could not be sent again in the time that the request may take"
                )
            elif not call.future.done():
                call.sent = False
                self._waiting[operation.name].appendleft(call)
        self._wake(operation)


def _spend(call: _Call, why: str) -> None:
    if not call.future.done():
        call.future.set_exception(BudgetSpent(why))
