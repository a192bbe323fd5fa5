"""A request that fails again and again in the same way ends in an answer: it is refused with the cause.

An outage is no such failure: while Fluent is away, or something on the way answers in its place, the ledger
asks on. Counted is what asking again does not mend: a request that cannot be carried out as it is, a refused
reading, an error that nobody knows, a hold that keeps changing.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict

from fluent.errors import BrokenPaging, FluentError, NotSettled, NotUnderstood, Refused, in_short
from fluent.stock import Stock, end_all
from schemas.reasons import Reason
from streams.ledger.commands import HoldFailed, ReleaseFailed, SettleFailed, SkuCommand, Verified
from streams.ledger.fluent_requests import (
    FluentRequest,
    HoldRequest,
    ReleaseRequest,
    SettleRequest,
    VerifyRequest,
)

FAILURES = 5
"""Failures of the same kind in a row after which a request is refused."""

REMEMBERED = 10_000
"""Reservations whose failures are counted; the one that failed longest ago is forgotten first."""


def stays(error: Exception) -> bool:
    """Whether asking again, however often, does not help."""
    return not isinstance(error, FluentError) or isinstance(
        error, Refused | NotUnderstood | NotSettled | BrokenPaging
    )


class Failures:
    """How often in a row a reservation's request failed in the same way."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], tuple[int, str, int]] = OrderedDict()

    def count(self, request: FluentRequest, error: Exception) -> int:
        """Notes a failure, and how many of its kind there were in a row."""
        reservation = (request.promotion_id, request.sku)
        kind = f"{type(error).__name__} {getattr(error, 'code', '')}"
        number, before, count = self._known.pop(reservation, (request.number, kind, 0))
        count = count + 1 if (number, before) == (request.number, kind) else 1
        self._known[reservation] = (request.number, kind, count)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return count

    def forget(self, request: FluentRequest) -> None:
        """The request was answered."""
        self._known.pop((request.promotion_id, request.sku), None)


async def refusal(
    stock: Stock, request: FluentRequest, cause: Exception, pause_s: float
) -> SkuCommand | None:
    """The answer that ends the request. None for a release whose units cannot be read: it is asked again.

    None for a verify of an open hold, too, and where a difference is known: nothing waits for it, and nobody
    has seen that Fluent agrees.

    What a hold has created is ended as far as that is possible.
    """
    subject = (request.promotion_id, request.sku, request.number)
    said = f"given up after {FAILURES} failures of the same kind, the last: {type(cause).__name__}: {cause}"
    said = in_short(said)
    match request:
        case HoldRequest():
            with contextlib.suppress(FluentError):
                await end_all(stock, stock.ours(await stock.parts()), pause_s)
            reason = Reason.FLUENT_UNAVAILABLE if isinstance(cause, FluentError) else Reason.INVALID
            return HoldFailed(*subject, reason.value, f"The hold is {said}")
        case SettleRequest():
            return SettleFailed(*subject, f"the settle is {said}")
        case ReleaseRequest():
            with contextlib.suppress(FluentError):
                held = sum(part.units for part in stock.ours(await stock.parts()) if part.live)
                return ReleaseFailed(*subject, held, f"the release is {said}")
            return None
        case VerifyRequest():
            return Verified(*subject, request.held) if request.closed and not request.differed else None
