"""The client: one call in, its data or a typed error out. Retries here only what cannot do harm twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import msgspec

from fluent.client.batching import Batcher, Data, Results
from fluent.client.documents import Operation, split_alias
from fluent.client.lease import FOREVER, LeaseCheck, no_lease_needed
from fluent.client.limits import Breaker, Gate, full_jitter_s
from fluent.client.login import FluentAuth, TokenSource
from fluent.client.transport import Answer, Transport, http_client
from fluent.errors import (
    BudgetSpent,
    FluentError,
    LeaseTooShort,
    LoginRefused,
    NotApplied,
    NotPermitted,
    RateLimited,
    Unanswered,
    UnreadableAnswer,
    error_from,
)
from fluent.meters import Meters
from fluent.options import FluentOptions
from streams.log import get_logger

log = get_logger("fluent")

REPORT_IT = "Report it with this trace; the call is tried again."


class FluentClient:
    """Owns the connection pool: `aclose()` it. `lease_expires_at` and `clock` are monotonic seconds."""

    def __init__(
        self,
        options: FluentOptions,
        *,
        lease_expires_at: Callable[[], float] = no_lease_needed,
        meters: Meters | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.options = options
        self.meters = meters or Meters()
        self.clock = clock
        self._lease = LeaseCheck(lease_expires_at, clock, options.call_timeout_s)
        self._http = http_client(options, transport)
        self._tokens = TokenSource(self._http, options, self.meters, clock)
        self._transport = Transport(self._http, FluentAuth(self._tokens), options)
        breaker = Breaker(clock)
        self.gate = Gate(options.requests_per_second, options.max_in_flight, breaker, clock)
        self._batcher = Batcher(self._send, self.gate, self.meters, options.max_request_bytes, clock)

    async def aclose(self) -> None:
        """Sends nothing more, waits for the calls under way and closes the connections."""
        self._tokens.close()
        await self._batcher.close()
        await self._http.aclose()

    async def log_in(self) -> None:
        """Gets a token if there is none. Raises LoginFailed."""
        await self._tokens.current()

    async def call(
        self, operation: Operation, variables: dict[str, Any], deadline: float = FOREVER, trace: str = ""
    ) -> Data:
        """The data of one call: top-level field → value. `trace` goes with it as its `traceparent`.

        Queries, and writes that surely were not applied, are tried `max_retries` times more, those refused
        for the rate until `deadline`; after a write whose result is unclear the caller has to read first.
        Raises Unanswered or Refused.
        """
        deadline = min(deadline, self.clock() + self.options.budget_s)
        attempt = 0
        while True:
            try:
                return await self._batcher.call(operation, variables, deadline, trace)
            except (BudgetSpent, LeaseTooShort, LoginRefused):
                raise
            except Unanswered as error:
                if operation.is_write and not isinstance(error, NotApplied):
                    raise
                pause_s = self._pause_s(attempt, error)
                if attempt == self.options.max_retries or self.clock() + pause_s >= deadline:
                    error.exhausted = True
                    raise
                self.meters.retries[operation.name] += 1
                await asyncio.sleep(pause_s)
                # How often Fluent has no time for us says nothing about the call.
                attempt += not isinstance(error, RateLimited)

    def _pause_s(self, attempt: int, error: FluentError) -> float:
        options = self.options
        # After a rate limit the gate does the waiting, for all calls alike.
        asked_s = 0.0 if isinstance(error, RateLimited) else error.wait_s
        return full_jitter_s(
            attempt, base_s=options.backoff_base_s, cap_s=options.backoff_cap_s, at_most_s=asked_s
        )

    async def _send(self, operation: Operation, calls: list[dict[str, Any]], trace: str) -> Results:
        """One request; an error of the whole is the error of each call.

        Whatever comes of it, the gate is told: a probe of the breaker that nobody ends would stop all calls.
        """
        outcome: FluentError | None = BudgetSpent("the request was broken off")
        try:
            results = await self._results(operation, calls, trace)
            outcome = next((result for result in results if isinstance(result, RateLimited)), None)
        except FluentError as error:
            outcome, results = error, [error] * len(calls)
        except Exception as error:
            log.exception("fluent_answer_unreadable", operation=operation.name, recommendation=REPORT_IT)
            outcome = UnreadableAnswer(f"{operation.name}: {type(error).__name__}: {error}")
            results = [outcome] * len(calls)
        finally:
            self._report(outcome)
        self._count(operation, results)
        return results

    async def _results(self, operation: Operation, calls: list[dict[str, Any]], trace: str) -> Results:
        await self._tokens.current()
        self._lease.check(operation)
        answer = await self._transport.post(msgspec.json.encode(operation.request(calls)), trace)
        return _results(answer, calls)

    def _report(self, error: FluentError | None) -> None:
        """Tells the gate how it went."""
        if isinstance(error, RateLimited):
            if self.gate.rate_limited(error.wait_s):
                log.warning(
                    "fluent_rate_limited",
                    share=round(self.gate.share, 2),
                    wait_s=error.wait_s,
                    recommendation="none, once; lower fluentRequestsPerSecond when it stays",
                )
        elif isinstance(error, LeaseTooShort | LoginRefused | BudgetSpent):
            self.gate.breaker.unused()
        elif isinstance(error, Unanswered):
            self.gate.failed()
            if error.wait_s and not error.code:
                self.gate.pause(error.wait_s)
        else:
            self.gate.succeeded()
        self.meters.breaker = self.gate.breaker.state
        self.meters.rate_share = self.gate.share

    def _count(self, operation: Operation, results: Results) -> None:
        names = ["ok" if isinstance(result, dict) else type(result).__name__ for result in results]
        self.meters.http_requests[operation.name, "ok" if "ok" in names else names[0]] += 1
        for name in names:
            self.meters.calls[operation.name, name] += 1
        refusal = next((result for result in results if isinstance(result, NotPermitted)), None)
        if refusal is not None:
            log.error(
                "fluent_permission_missing",
                operation=operation.name,
                error=str(refusal),
                recommendation="Give the login's role this permission in Fluent; flashsale check tries it.",
            )


def _results(answer: Answer, calls: list[dict[str, Any]]) -> Results:
    """What each call got. Raises the error of the request as a whole, where it has one."""
    errors = answer.get("errors") or []
    if not isinstance(errors, list) or not all(isinstance(error, Mapping) for error in errors):
        raise UnreadableAnswer(f"errors that are no list of objects: {str(errors)[:200]}")
    data = answer.get("data") or {}
    if not isinstance(data, Mapping):
        raise UnreadableAnswer(f"data that is no object: {str(data)[:200]}")
    own: dict[int, list[Mapping[str, Any]]] = {}
    for error in errors:
        path = error.get("path")
        alias = split_alias(path[0]) if isinstance(path, list) and path else None
        if alias is None:
            raise error_from([error], _words(calls))
        own.setdefault(alias[0], []).append(error)
    fields: list[Data] = [{} for _ in calls]
    for name, value in data.items():
        alias = split_alias(name)
        if alias is None or alias[0] >= len(calls):
            raise UnreadableAnswer(f"the answer has a field {name!r} that was not asked for")
        fields[alias[0]][alias[1]] = value
    return [
        error_from(own[index], _words(call)) if index in own else _complete(fields[index])
        for index, call in enumerate(calls)
    ]


def _words(variables: object) -> str:
    return msgspec.json.encode(variables).decode()


def _complete(fields: Data) -> Data | FluentError:
    return fields or UnreadableAnswer("the answer lacks the data of this call")
