"""`make soak` or `python -m benchmarks.soak [--minutes M] [--rate N]`: exit status 1 when something grows.

One worker at half of what it decides when orders have piled up, while sales begin, expire and are ended,
orders are cancelled and repeated, reports are made, and a second worker joins and leaves. Memory, open files,
disk and lag must be flat; every event has one outcome, every sale a FINAL report that adds up.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import page
from benchmarks.jit import warm_up
from benchmarks.page import NoPlaceError
from benchmarks.result import Arena
from benchmarks.soak.hold import KEPT_MS, Held, Plan, capacity, hold
from benchmarks.soak.verdict import BOUNDS
from benchmarks.svg import Chart, charts
from rehearsal.demo.processes import StageError
from rehearsal.kafka import EmbeddedKafka

EXIT_TERMINATED = 143
MINUTES = 30.0
PLOT = "soak.svg"
BYTES_AN_ORDER = 1_000
"""Of rows and their changelog; and as much in each of two other logs while these are kept."""

BROKER = {"log.retention.check.interval.ms": "30000"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Hold a soak, and say what grew."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description="Nothing may grow.")
    parser.add_argument("--minutes", type=float, default=MINUTES, help=f"default: {MINUTES:.0f}")
    parser.add_argument("--rate", type=float, help="orders a second; default: half of what is measured first")
    parser.add_argument("--write", type=Path, metavar="FOLDER", help="the table and a plot into this page")
    given = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory() as directory,
        EmbeddedKafka(full_jit=True, heap="1g", overrides=BROKER) as kafka,
    ):
        arena = Arena(kafka.bootstrap, kafka.pid or 0, Path(directory))
        rate = given.rate or _half(arena)
        plan = Plan(given.minutes * 60, rate)
        if lacking := lacking_bytes(plan, Path(directory)):
            print(f"The disk has {lacking / 1e9:.0f} GB too little; choose fewer --minutes.", file=sys.stderr)
            return 2
        print(f"{given.minutes:g} minutes at {rate:,.0f} orders a second …", file=sys.stderr, flush=True)
        try:
            held = hold(arena, plan)
        except (RuntimeError, StageError) as error:
            print(error, file=sys.stderr)
            return 1
    print("\n".join(map(str, held.findings)))
    if given.write:
        try:
            page.write(given.write, "soak", markdown(plan, held), {PLOT: plot(held)})
        except NoPlaceError as error:
            print(error, file=sys.stderr)
            return 2
    return 0 if held.good else 1


def _half(arena: Arena) -> float:
    print("measuring what a worker decides when orders have piled up …", file=sys.stderr, flush=True)
    warm_up(arena.broker_pid, lambda: capacity(arena))
    most = capacity(arena)
    print(f"  {most:,.0f} orders a second", file=sys.stderr, flush=True)
    return most / 2


def markdown(plan: Plan, held: Held) -> str:
    """The verdicts as a table."""
    told = f"{page.told()} {plan.seconds / 60:g} minutes at {plan.rate:,.0f} orders a second."
    rows = [[finding.name, finding.word, finding.text] for finding in held.findings]
    return "\n\n".join([told, page.table(["", "verdict", "seen"], rows), f"![soak]({PLOT})"])


def plot(held: Held) -> str:
    """Each figure against time, as SVG."""
    minutes = [sample.at_s / 60 for sample in held.samples]
    return charts(
        [
            Chart(f"{bound.name}, {bound.unit}".rstrip(", "), "minutes", minutes, values, by_powers=False)
            for bound in BOUNDS
            for values in [[bound.value(sample) for sample in held.samples]]
        ],
        columns=2,
    )


def lacking_bytes(plan: Plan, directory: Path) -> float:
    """How much a soak needs beyond what is free on the disk, or 0."""
    kept_s = min(plan.seconds, 2 * KEPT_MS / 1e3)
    needed = plan.rate * BYTES_AN_ORDER * (plan.seconds + 2 * kept_s)
    return max(0.0, needed - shutil.disk_usage(directory).free)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_TERMINATED))  # clears away as Ctrl-C does
    sys.exit(main())
