"""`flashsale reconcile`: every hold of a promotion in Fluent beside what should be held, and its repair."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from flashsale.cli.output import complain
from flashsale.cli.reconcile_output import Outcome, print_json, print_text
from flashsale.cli.report import newest_report
from flashsale.cli.start import connected
from fluent import Gateway, ProfileError
from fluent.errors import FluentError
from fluent.reconcile import AskedBook, Expectation, Reconciler, Repair, expectations
from schemas.reports import ReconciliationReport
from schemas.topics import FLUENT_REQUESTS
from streams.ledger.fluent_requests import decode_request
from streams.reader import read_to_end
from streams.settings import ConfigurationError, Settings

NO_CONNECTION = 2


def reconcile_promotion(promotion: str, *, repair: bool, yes: bool, as_json: bool) -> int:
    """Print what differs. 0: nothing does (any more), 1: something does, 2: it cannot be known.

    With `repair` also the writes that would put it right; with `yes` they are sent, and what is printed
    is how it stands afterwards. Raises ConfigurationError.
    """
    settings = connected()
    settings.require_fluent()
    try:
        outcome = asyncio.run(_reconciled(settings, promotion, repair=repair, yes=yes))
    except ProfileError as error:
        raise ConfigurationError(str(error)) from None
    except FluentError as error:
        complain(f"Fluent does not tell what it holds: {error}. Try `flashsale check`.")
        return NO_CONNECTION
    (print_json if as_json else print_text)(outcome)
    return 1 if outcome.drifting else 0


async def _reconciled(settings: Settings, promotion: str, *, repair: bool, yes: bool) -> Outcome:
    reports: list[ReconciliationReport] = []

    async def figures() -> Sequence[Expectation]:
        report, expected = await asyncio.to_thread(_figures, settings, promotion)
        reports.append(report)
        return expected

    async with Gateway.from_settings(settings.fluent, settings.config) as gateway:
        reconciler = Reconciler(gateway, promotion, figures)
        compared = await reconciler.compare()
        repairs: list[Repair] = []
        if repair and not yes:
            repairs = await reconciler.preview(compared)
        elif repair:
            repairs = await reconciler.repair(compared)
            compared = await reconciler.compare() if _touched(repairs) else compared
        return Outcome(reports[-1], compared, repairs, applied=repair and yes)


def _touched(repairs: Sequence[Repair]) -> bool:
    return any(repair.mutations for repair in repairs)


def _figures(settings: Settings, promotion: str) -> tuple[ReconciliationReport, list[Expectation]]:
    """The newest report, and what should be held by it and by the ledger's newest requests."""
    report = newest_report(settings, promotion)
    if report is None:
        raise ConfigurationError(f"There is no report of {promotion}: it is not known, or not decided yet.")
    return report, expectations(report, _asked(settings, promotion).by_sku)


def _asked(settings: Settings, promotion: str) -> AskedBook:
    book = AskedBook(promotion)
    unreadable = 0
    for record in read_to_end(settings, FLUENT_REQUESTS):
        try:
            book.take(decode_request(record.value() or b""), record.timestamp()[1])
        except (msgspec.MsgspecError, UnicodeDecodeError):
            unreadable += 1
    if unreadable:
        complain(f"{unreadable} records of fluent-requests are no requests and were left out.")
    return book
