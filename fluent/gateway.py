"""The gateway carries out a request of the ledger. It returns the answer, or None when Fluent cannot tell.

It remembers nothing but how often a request failed in the same way: the ledger owns a request and asks again,
and every request starts by reading.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Self

import httpx
import msgspec

from fluent.client import FluentClient
from fluent.client.lease import no_lease_needed
from fluent.client.limits import full_jitter_s
from fluent.errors import (
    BudgetSpent,
    FluentError,
    HeldByAnother,
    LeaseTooShort,
    LoginRefused,
    Unanswered,
    Unclear,
    UnreadableAnswer,
)
from fluent.giving_up import FAILURES, Failures, refusal, stays
from fluent.hold import Hold
from fluent.meters import Meters
from fluent.options import FluentOptions, options_from
from fluent.profile import Profile, load_profile
from fluent.settle import release, settle
from fluent.stock import Stock
from fluent.verify import verify
from fluent.verify_page import doubtful
from streams.ledger.commands import PageVerified, SkuCommand, Verified
from streams.ledger.fluent_requests import (
    FluentRequest,
    HoldRequest,
    ReleaseRequest,
    SettleRequest,
    VerifyPage,
    VerifyRequest,
)
from streams.log import get_logger
from streams.settings import FluentEnvironment, ReservationConfig
from streams.system import now_ms as wall_clock_ms

log = get_logger("fluent")

LINES_AT_ONCE = 200
"""Lines of all pages together that are looked at by themselves: a release's calls wait behind theirs."""


class Gateway:
    """Owns the client: `aclose()` it, or use it as an async context manager."""

    def __init__(
        self,
        options: FluentOptions,
        *,
        lease_expires_at: Callable[[], float] = no_lease_needed,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
        now_ms: Callable[[], int] = wall_clock_ms,
    ) -> None:
        """`lease_expires_at()` and `clock()` are monotonic seconds; promotions end by `now_ms()`.

        Raises ProfileError; ConfigurationError where the way to Fluent cannot be used.
        """
        self._now_ms = now_ms
        self.options = options
        self.profile: Profile = load_profile(options.profile, options.profile_dir)
        self.client = FluentClient(
            options, lease_expires_at=lease_expires_at, transport=transport, clock=clock
        )
        self._failures = Failures()
        self._looking = asyncio.Semaphore(LINES_AT_ONCE)

    @classmethod
    def from_settings(
        cls,
        login: FluentEnvironment,
        config: ReservationConfig,
        *,
        lease_expires_at: Callable[[], float] = no_lease_needed,
    ) -> Self:
        """From the project's settings. Raises as the constructor, and ValueError without a login."""
        return cls(options_from(login, config), lease_expires_at=lease_expires_at)

    @property
    def meters(self) -> Meters:
        """What it counts."""
        return self.client.meters

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Sends nothing more, waits for the calls under way and closes the connections."""
        await self.client.aclose()

    async def handle(self, request: FluentRequest, *, may_wait: bool = False) -> SkuCommand | None:
        """Does what the ledger asks. None: not known now (Fluent is away, or time is up); ask again.

        `may_wait`: raises HeldByAnother rather than refuse a hold whose units are about to be given back.
        """
        answer: SkuCommand | None = None
        try:
            answer = await self._tried(request, may_wait)
            self._failures.forget(request)
        except HeldByAnother:
            raise
        except Exception as error:
            self._unanswered(request, error)
            if stays(error) and self._failures.count(request, error) >= FAILURES:
                answer = await self._given_up(request, error)
        self.meters.answers[type(request).__name__, type(answer).__name__ if answer else "Unanswered"] += 1
        return answer

    async def verify_page(
        self, page: VerifyPage, is_outdated: Callable[[VerifyRequest], bool] = lambda _: False
    ) -> list[SkuCommand]:
        """An answer for each line that differs, or did before; last PageVerified, if nothing is left open.

        A line that `is_outdated` says nothing any more.
        """
        lines = [line for line in page.lines if not is_outdated(line)]
        try:
            # The calls of one that is looked at by itself go out together with those of others.
            differing = lines if page.alone else await self._doubtful(lines)
        except FluentError as error:
            log.info("fluent_page_unanswered", sku=page.sku, lines=len(page.lines), error=str(error))
            self.meters.answers[type(page).__name__, "Unanswered"] += 1
            return []
        lines = [line for line in differing if not is_outdated(line)]
        found = await asyncio.gather(*map(self._look_at, lines))
        answers: list[SkuCommand] = [
            msgspec.structs.replace(answer, round=0 if page.alone else page.round)
            for line, answer in zip(lines, found, strict=True)
            if isinstance(answer, Verified) and (answer.drift_units or line.differed)
        ]
        if None not in found:
            answers.append(PageVerified(page.round, page.page))
        self.meters.answers[type(page).__name__, type(answers[-1]).__name__ if answers else "Unanswered"] += 1
        return answers

    async def _look_at(self, line: VerifyRequest) -> SkuCommand | None:
        async with self._looking:
            return await self.handle(line)

    async def _doubtful(self, lines: Sequence[VerifyRequest]) -> Sequence[VerifyRequest]:
        """The lines to look at one by one: all of them where Fluent refuses to show so many at once."""
        try:
            return await doubtful(
                self.client, self.profile, lines, self.client.clock() + self.options.budget_s
            )
        except Exception as error:
            if not stays(error) and not isinstance(error, UnreadableAnswer):
                raise
            log.warning(
                "fluent_page_refused",
                lines=len(lines),
                error=f"{type(error).__name__}: {error}",
                recommendation="run flashsale check; meanwhile each SKU is verified by itself",
            )
            return lines

    async def _tried(self, request: FluentRequest, may_wait: bool) -> SkuCommand:
        """The answer, after as many tries as are sensible now. Raises what the last one raised."""
        began_at = self.client.clock()
        deadline = began_at + self.options.budget_s
        attempt = 0
        while True:
            try:
                return await self._once(request, began_at, deadline, may_wait)
            except (BudgetSpent, LeaseTooShort, LoginRefused, HeldByAnother):
                raise
            except Unanswered as error:
                pause_s = self._pause_s(attempt, error)
                last = attempt == self.options.max_retries or self.client.clock() + pause_s >= deadline
                if last or error.exhausted:
                    raise
            self.meters.retries[type(request).__name__] += 1
            await asyncio.sleep(pause_s)
            attempt += 1

    async def _given_up(self, request: FluentRequest, error: Exception) -> SkuCommand | None:
        deadline = self.client.clock() + self.options.budget_s
        stock = self.stock(request.promotion_id, request.sku, request.reservation_ref, deadline)
        answer = await refusal(stock, request, error, self.options.read_back_pause_s)
        if answer is not None:
            self._failures.forget(request)
            log.error(
                "fluent_request_given_up",
                request=type(request).__name__,
                promotion=request.promotion_id,
                sku=request.sku,
                error=f"{type(error).__name__}: {error}",
                recommendation="Mend the cause; flashsale reconcile shows what Fluent holds.",
            )
        return answer

    def _pause_s(self, attempt: int, error: FluentError) -> float:
        options = self.options
        pause_s = full_jitter_s(
            attempt, base_s=options.backoff_base_s, cap_s=options.backoff_cap_s, at_most_s=error.wait_s
        )
        # What may have been written is looked for only when a look-up must show it, however much reads lag.
        return max(pause_s, options.read_back_pause_s) if isinstance(error, Unclear) else pause_s

    def _unanswered(self, request: FluentRequest, error: Exception) -> None:
        """A trace where the failure is ours, a line for people where asking again is no help."""
        ours = not isinstance(error, FluentError)
        (log.exception if ours else log.error if stays(error) else log.info)(
            "fluent_request_failed" if ours else "fluent_request_unanswered",
            request=type(request).__name__,
            promotion=request.promotion_id,
            sku=request.sku,
            number=request.number,
            error=f"{type(error).__name__}: {error}",
            recommendation="Run flashsale check; the ledger asks again by itself.",
        )

    async def _once(
        self, request: FluentRequest, began_at: float, deadline: float, may_wait: bool
    ) -> SkuCommand:
        trace = "" if isinstance(request, VerifyRequest) else request.trace
        stock = self.stock(request.promotion_id, request.sku, request.reservation_ref, deadline, trace)
        stock.began_at = began_at
        pause_s = self.options.read_back_pause_s
        match request:
            case HoldRequest():
                wait_s = self.options.hold_timeout_s if may_wait else 0.0
                return await Hold(stock, request, pause_s, wait_s, self._now_ms).run()
            case SettleRequest():
                return await settle(stock, request, pause_s)
            case ReleaseRequest():
                return await release(stock, request, pause_s)
            case VerifyRequest():
                return await verify(stock, request, pause_s)

    def stock(
        self, promotion_id: str, sku: str, stem: str, deadline: float = float("inf"), trace: str = ""
    ) -> Stock:
        """One reservation's stock, for what the ledger does not ask (checks, reconciliation), too."""
        return Stock(self.client, self.profile, promotion_id, sku, stem, deadline, trace)
