"""`flashsale reconcile`: every hold of a promotion in Fluent beside what should be held, and its repair."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import typer

from flashsale.cli.console import complain, connected, print_table, say, say_json
from flashsale.cli.report import newest_report
from fluent import Gateway, ProfileError
from fluent.errors import FluentError
from fluent.reconcile import AskedBook, Compared, Expectation, Mutation, Reconciler, Repair, expectations
from schemas.reports import ReconciliationReport
from schemas.topics import FLUENT_REQUESTS
from schemas.unreadable import UNREADABLE
from streams.ledger.fluent_requests import decode_request
from streams.reader import read_to_end
from streams.settings import ConfigurationError, Settings

NO_CONNECTION = 2
COLUMNS = ("SKU", "should hold", "holds", "free", "drift", "kind", "refs")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a promotion stands in Fluent, and the writes that were sent (`applied`) or would be."""

    report: ReconciliationReport
    compared: Sequence[Compared]
    repairs: Sequence[Repair]
    applied: bool

    @property
    def drifting(self) -> list[Compared]:
        """The SKUs that differ."""
        return [each for each in self.compared if each.drifting]


def reconcile(
    promotion: Annotated[str, typer.Argument(help="The promotion's id.")],
    repair: Annotated[
        bool, typer.Option("--repair", help="Show the writes that would put it right; send none.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --repair: send them.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Everything as one JSON object.")] = False,
) -> int:
    """Print what differs. 0: nothing does (any more), 1: something does, 2: it cannot be known.

    With `repair` also the writes that would put it right; with `yes` they are sent, and what is printed
    is how it stands afterwards. Raises ConfigurationError.
    """
    if yes and not repair:
        raise typer.BadParameter("--yes says nothing without --repair.")
    settings = connected()
    settings.require_fluent()
    try:
        outcome = asyncio.run(_reconciled(settings, promotion, repair=repair, yes=yes))
    except ProfileError as error:
        raise ConfigurationError(str(error)) from None
    except FluentError as error:
        complain(f"Fluent does not tell what it holds: {error}. Try `flashsale check`.")
        return NO_CONNECTION
    (_print_json if json else _print_text)(outcome)
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
        except UNREADABLE:
            unreadable += 1
    if unreadable:
        complain(f"{unreadable} records of fluent-requests are no requests and were left out.")
    return book


def _print_text(outcome: Outcome) -> None:
    report = outcome.report
    say(
        f"{report.promotion_id}: Fluent beside the ledger, which stands as in its {report.kind} report, "
        f"revision {report.revision}, {report.status}, of {report.generated_at}"
    )
    rows = [row for each in outcome.compared for row in _rows(each)]
    print_table(COLUMNS, rows, numbers=COLUMNS[1:5])
    for kind, action in {each.kind: each.action for one in outcome.drifting for each in one.findings}.items():
        say(f"{kind}: {action}")
    _print_repairs(outcome)
    say(_summary(outcome))


def _rows(compared: Compared) -> list[tuple[str, ...]]:
    """One row for each difference, and one for a SKU without any."""
    expected, seen = compared.expected, compared.seen
    wanted = "?" if expected.held is None else f"{expected.held:,}"
    figures = (expected.sku, wanted, f"{seen.held:,}", f"{sum(seen.free.values()):,}")
    if not compared.findings:
        return [(*figures, "0", expected.in_motion, "")]
    return [(*figures, f"{each.units:+,}", each.kind, " ".join(each.refs)) for each in compared.findings]


def _print_repairs(outcome: Outcome) -> None:
    mutations = [mutation for repair in outcome.repairs for mutation in repair.mutations]
    if mutations:
        say(
            "Sent to Fluent:"
            if outcome.applied
            else "Would be sent to Fluent by --repair --yes, nothing was:"
        )
    for mutation in mutations:
        variables = msgspec.json.encode(mutation.variables).decode()
        say(f"  {mutation.sku}: mutation {mutation.operation} {variables}")
    for repair in outcome.repairs:
        for problem in repair.problems:
            say(f"{repair.sku} is not repaired: {problem}.")


def _summary(outcome: Outcome) -> str:
    count, drifting = len(outcome.compared), len(outcome.drifting)
    moving = sum(1 for each in outcome.compared if each.expected.in_motion and not each.drifting)
    told = f"{count - drifting - moving} of {count} SKUs agree, {drifting} differ"
    return f"{told}, {moving} are changing just now." if moving else f"{told}."


def _print_json(outcome: Outcome) -> None:
    report = outcome.report
    answer = {
        "promotionId": report.promotion_id,
        "report": {
            "kind": report.kind,
            "revision": report.revision,
            "status": report.status,
            "generatedAt": report.generated_at,
        },
        "lines": [_line(each) for each in outcome.compared],
        "drifting": len(outcome.drifting),
        "applied": outcome.applied,
        "mutations": [_mutation(each) for repair in outcome.repairs for each in repair.mutations],
        "problems": [
            {"sku": repair.sku, "problem": each} for repair in outcome.repairs for each in repair.problems
        ],
    }
    say_json(msgspec.json.encode(answer).decode())


def _line(compared: Compared) -> dict[str, Any]:
    """`shouldHold` is null, and `inMotion` says why, where it is changing just now."""
    expected, seen = compared.expected, compared.seen
    line: dict[str, Any] = {
        "sku": expected.sku,
        "ref": expected.ref,
        "shouldHold": expected.held,
        "held": seen.held,
        "free": dict(seen.free),
        "reportedDrift": expected.reported_drift,
        "findings": [
            {"kind": each.kind, "units": each.units, "refs": each.refs, "action": each.action}
            for each in compared.findings
        ],
    }
    return line | ({"inMotion": expected.in_motion} if expected.in_motion else {})


def _mutation(mutation: Mutation) -> dict[str, Any]:
    return {"sku": mutation.sku, "operation": mutation.operation, "variables": mutation.variables}
