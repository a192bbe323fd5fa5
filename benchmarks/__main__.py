"""`make bench` or `python -m benchmarks [NAME…]`: one run, one table.

Everything runs on this machine: the broker (embedded, full JIT, warmed), one worker, the load. Compare the
rows of one run with each other; figures of two runs differ by what else the machine does.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import bridge, latency, path, raw, restore, stage
from benchmarks.jit import warm_up
from benchmarks.result import Arena, Result
from rehearsal.kafka import EmbeddedKafka

BENCHMARKS: dict[str, Callable[[Arena], list[Result]]] = {
    "raw": raw.run,
    "stage": stage.run,
    "path": path.run,
    "latency": latency.run,
    "restore": restore.run,
    "bridge": bridge.run,
}


def main(names: list[str]) -> int:
    """Run the named benchmarks, all without names; returns the exit status."""
    unknown = set(names) - set(BENCHMARKS)
    if unknown:
        print(f"no benchmark is called {', '.join(sorted(unknown))}; there are: {', '.join(BENCHMARKS)}",
              file=sys.stderr)  # fmt: skip
        return 2
    console, results = Console(stderr=True), list[Result]()
    with tempfile.TemporaryDirectory() as directory, EmbeddedKafka(full_jit=True, heap="1g") as kafka:
        arena = Arena(kafka.bootstrap, kafka.pid or 0, Path(directory))
        warm_up(arena.broker_pid, partial(stage.warm_up, arena))
        for name in names or BENCHMARKS:
            console.print(f"[dim]{name} …[/dim]")
            for result in BENCHMARKS[name](arena):
                console.print(f"  {result.name}: {result.text}")
                results.append(result)
    Console(width=120).print(table(results))
    return 0


def table(results: list[Result]) -> Table:
    """Figures beside what was aimed at, and beside the raw loop of the same run where that is comparable."""
    bound = next((result.value for result in results if result.name == raw.NAME), None)
    shown = Table(title="Measured in one run on this machine")
    for column in ("what", "measured", "aim", "of the raw loop", "notes"):
        shown.add_column(column)
    for result in results:
        share = f"{result.value / bound:.0%}" if bound and result.unit == "/s" else ""
        shown.add_row(result.name, result.text, result.aim, share, result.notes)
    return shown


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
