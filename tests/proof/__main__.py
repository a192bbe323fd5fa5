"""`python -m tests.proof [--seeds N] [--runs N]`: try to break it; exits 1 when something is wrong."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from tests.audit.report import audit, name_of
from tests.audit.stock import no_sku_is_oversold
from tests.faults.long_sale.sale import Plan
from tests.proof.faults import as_fields, hold_sales, plot
from tests.proof.log import Log, circumstances
from tests.proof.naive import naive_sale
from tests.proof.seeds import plant, simulate


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.proof", formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    say = parser.add_argument
    say("--seeds", type=int, default=2_000, help="simulated sales of the cores")
    say("--whole", type=int, default=200, help="simulated sales of the whole system")
    say(
        "--first",
        type=int,
        default=0,
        help="the first seed; sales on a real broker begin as far after theirs",
    )
    say("--processes", type=int, help="for simulated sales and bugs; by default one per processor")
    say("--bugs", type=int, default=2_000, help="seeds that a bug may survive, a tenth in the whole")
    say("--runs", type=int, default=6, help="sales on a real broker")
    say("--orders", type=int, default=2_500, help="orders of each of these")
    say("--per-second", type=int, default=150, help="events a second")
    say("--log", type=Path, default=Path("proof.jsonl"), help="the file that is appended to")
    say("--plot", type=Path, help="the file in which the last run's timeline is drawn (SVG)")
    return parser.parse_args()


def main() -> int:
    """Simulate, plant bugs, hold sales; say what was found."""
    given, began = arguments(), time.monotonic()
    log = Log(given.log)
    log.write("begin", **circumstances())
    for name, count in (("cores", given.seeds), ("whole", given.whole)):
        if count:
            seeds(log, name, given.first, count, given.processes)
    if given.bugs:
        bugs(log, "cores", given.bugs, given.processes)
        bugs(log, "whole", given.bugs // 10, given.processes)
    control(log, given.orders)
    if given.runs:
        plan = Plan(given.orders, given.per_second, Plan.seed + given.first)
        runs(log, given.runs, plan, given.plot)
    log.write("end", violations=log.violations, seconds=round(time.monotonic() - began))
    print(f"{log.violations} violations; {given.log} says what was tried")
    return 1 if log.violations else 0


def seeds(log: Log, name: str, first: int, count: int, processes: int | None = None) -> None:
    """Simulated sales of the cores or of the whole system."""
    done = orders = crashes = 0
    option = " --whole" if name == "whole" else ""
    for tried in simulate(name, first, count, processes):
        done, orders, crashes = done + tried.count, orders + tried.orders, crashes + tried.crashes
        log.write("seeds", of=name, first=tried.first, count=tried.count, orders=tried.orders,
                  crashes=tried.crashes, seconds=tried.seconds, failed=sorted(tried.wrong))  # fmt: skip
        for seed, says in tried.wrong.items():
            repeat = f"python -m tests.simulation{option} {seed}"
            log.violation("seed", says, of=name, seed=seed, repeat=repeat)
    print(f"{name}: {done:,} simulated sales, {orders:,} orders, {crashes:,} lost transactions", flush=True)


def bugs(log: Log, name: str, most: int, processes: int | None = None) -> None:
    """Planted bugs: one that survives is a finding."""
    noticed = 0
    for bug, seed, says in plant(name, most, processes):
        if seed is None:
            log.violation("bug", f"nobody notices within {most:,} seeds: {bug.name}", bug=bug.name)
        else:
            noticed += 1
            log.write("bug", of=name, bug=bug.name, seed=seed, says=says[:300])
    print(f"{name}: {noticed} planted bugs were noticed", flush=True)


def control(log: Log, orders: int) -> None:
    """A naive implementation must oversell, or the orders of the sales are too tame."""
    oversold = audit(naive_sale(orders, Plan.seed)).findings[name_of(no_sku_is_oversold)]
    log.write("control", oversold=oversold)
    if not oversold:
        log.violation("control", "a naive implementation does not oversell under these orders")


def runs(log: Log, count: int, plan: Plan, drawn: Path | None) -> None:
    """Sales on a real broker."""
    for this, result in hold_sales(count, plan):
        timeline = as_fields(result.timeline) if result.timeline is not None else {}
        log.write("run", seed=this.seed, figures=result.figures, findings=result.findings, **timeline)
        for finding in result.findings:
            log.violation("finding", finding, repeat=f"python -m tests.faults.long_sale --seed {this.seed}")
        if drawn is not None and result.timeline is not None:
            drawn.write_text(plot(result.timeline))
    print(f"{count} sales on a real broker")


if __name__ == "__main__":
    sys.exit(main())
