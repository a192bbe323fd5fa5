"""Sales on a real broker in bad weather, each with its timeline."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.timeline import Curve, Span, timeline
from tests.faults.long_sale.sale import Plan, Result, hold
from tests.faults.long_sale.timeline import Timeline


def hold_sales(runs: int, plan: Plan) -> Iterator[tuple[Plan, Result]]:
    """Sales of a plan, each with other orders. What the workers said is kept where something is wrong."""
    for number in range(runs):
        this = Plan(plan.orders, plan.per_second, plan.seed + number)
        directory = Path(tempfile.mkdtemp(prefix=f"sale-{this.seed}-"))
        try:
            result = hold(this, directory)
        except AssertionError as failure:
            result = Result({}, [str(failure)])
        if result.findings:
            result.findings.append(f"the workers' logs and disks are in {directory}")
        else:
            shutil.rmtree(directory)
        yield this, result


def as_fields(told: Timeline) -> dict[str, Any]:
    """A timeline for the log."""
    return {
        "samples": [[each.at_s, each.sent, each.decided] for each in told.samples],
        "faults": [asdict(each) for each in told.faults],
    }


def plot(told: Timeline) -> str:
    """Faults against throughput and lag, as SVG."""
    samples = told.samples
    per_second = [
        (after.decided - before.decided) / max(after.at_s - before.at_s, 0.1)
        for before, after in pairwise(samples)
    ]
    lag = [each.sent - each.decided for each in samples[1:]]
    curves = [Curve("Outcomes a second", per_second), Curve("Events sent and without an outcome", lag)]
    spans = [Span(each.from_s, each.to_s, each.what) for each in told.faults]
    return timeline([each.at_s for each in samples[1:]], curves, spans)
