"""What `flashsale reconcile` prints: a table and the writes for people, or one JSON object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from flashsale.cli.output import print_table, say
from fluent.reconcile import Compared, Mutation, Repair
from schemas.reports import ReconciliationReport

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


def print_text(outcome: Outcome) -> None:
    """Table, what to do, writes. Raises ReaderLeft."""
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


def print_json(outcome: Outcome) -> None:
    """One object. Raises ReaderLeft."""
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
    say(msgspec.json.encode(answer).decode())


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
