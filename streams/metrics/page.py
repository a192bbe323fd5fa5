"""docs/metrics.md, out of the definitions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from streams.metrics import CounterOf, Definition, GaugeOf, bridge, definitions, fluent, worker

PATH = Path(__file__).parents[2] / "docs" / "metrics.md"

GROUPS: Mapping[str, tuple[Definition, ...]] = {
    "Worker": definitions(worker),
    "Fluent, as a worker sees it": definitions(fluent),
    "Bridge": definitions(bridge),
}
"""By the heading of the page."""

ALL = tuple(each for group in GROUPS.values() for each in group)

HEAD = """\
# Metrics

Every figure that a worker serves at `/metrics` on its `--health-port`, and a bridge on its
`--operations-port`, in Prometheus' format. `python -m streams.metrics` writes this page from the
definitions in `streams/metrics`. [Operation](operations.md#watching) says how to install the alerts and the
dashboard.

Durations are in seconds and end in `_seconds`; counters end in `_total` and begin at 0 with each process,
so look at `rate(…)`. A latency compares this machine's clock with the brokers' append times, so it is as
accurate as the two clocks. Each process also serves Prometheus' own `process_…` figures: memory, CPU time,
open files.
"""


def page() -> str:
    """The whole page."""
    return HEAD + "".join(_section(heading, group) for heading, group in GROUPS.items())


def _section(heading: str, group: tuple[Definition, ...]) -> str:
    rows = "\n".join(map(_row, group))
    head = "| metric | kind | labels | what it says | look into it when |\n| --- | --- | --- | --- | --- |"
    return f"\n## {heading}\n\n{head}\n{rows}\n"


def _row(each: Definition) -> str:
    labels = ", ".join(f"`{label}`" for label in each.labels)
    cells = (f"`{each.scraped}`", _kind(each), labels, each.meaning, each.look_when)
    return f"| {' | '.join(cells)} |".replace("|  |", "| |").replace("|  |", "| |")


def _kind(each: Definition) -> str:
    match each:
        case CounterOf():
            return "counter"
        case GaugeOf():
            return "gauge"
    return "histogram"
