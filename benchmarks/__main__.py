"""`make bench` or `python -m benchmarks [NAME…] [--against REVISION]`: one run, one table.

Everything runs on this machine: the broker (embedded, full JIT, warmed), one worker, the load. Compare the
rows of one run with each other; figures of two runs differ by what else the machine does. With `--against`
another revision is checked out as well, and does the same work in turn, in the same run.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from rich.console import Console

from benchmarks import (
    bridge,
    failover,
    idle,
    latency,
    open_loop,
    path,
    raw,
    release,
    restore,
    stage,
    viewers,
)
from benchmarks.jit import warm_up
from benchmarks.result import Arena, Result, Row, table
from benchmarks.subject import TODAY, NoRevisionError, Subject, checked_out
from benchmarks.trial import Measure
from rehearsal.kafka import EmbeddedKafka

EXIT_TERMINATED = 143

INSIDE: dict[str, Callable[[Arena], list[Result]]] = {
    "raw": raw.run,
    "stage": stage.run,
    "latency": latency.run,
    "restore": restore.run,
    "bridge": bridge.run,
    "viewers": viewers.run,
}
"""What looks into this tree, and so cannot be asked of another one."""

OUTSIDE: dict[str, tuple[Measure, ...]] = {
    "path": path.FIGURES,
    "open-loop": open_loop.FIGURES,
    "idle": idle.FIGURES,
    "partitions": idle.WITH_MORE_OR_LESS,
    "failover": failover.FIGURES,
    "release": release.FIGURES,
}
"""What goes by the wire contract only, for any revision."""

NAMES = ("raw", "stage", "path", "latency", "open-loop", "idle", "restore", "bridge")
"""In the order of a whole run."""

BY_NAME_ONLY = ("partitions", "failover", "release", "viewers")
"""These take a minute or more each."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the named benchmarks, all without names; returns the exit status."""
    given = _arguments(arguments)
    with tempfile.TemporaryDirectory() as directory, ExitStack() as closing:
        subjects = [TODAY]
        try:
            if given.against:
                subjects.append(checked_out(given.against, Path(directory)))
        except NoRevisionError as error:
            print(error, file=sys.stderr)
            return 2
        kafka = closing.enter_context(EmbeddedKafka(full_jit=True, heap="1g"))
        arena = Arena(kafka.bootstrap, kafka.pid or 0, Path(directory))
        rows = _run(arena, given.names or NAMES, subjects, given.rounds)
    Console(width=140).print(table(rows, [subject.name for subject in subjects]))
    return 0


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure, in one run.")
    known = (*NAMES, *BY_NAME_ONLY)
    told = f"of {', '.join(known)}; default: all but {' and '.join(BY_NAME_ONLY)}"
    parser.add_argument("names", nargs="*", metavar="NAME", help=told)
    parser.add_argument("--against", metavar="REVISION", help="another revision, for the same work beside")
    parser.add_argument("--rounds", type=int, default=1, help="of each comparison; the better one counts")
    given = parser.parse_args(arguments)
    if unknown := set(given.names) - set(known):
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
    return given


def _run(arena: Arena, names: Sequence[str], subjects: Sequence[Subject], rounds: int) -> list[Row]:
    load = path.warm_up if set(names) & set(OUTSIDE) else stage.warm_up
    warm_up(arena.broker_pid, partial(load, arena))
    rows: list[Row] = []
    for name in names:
        print(f"{name} …", file=sys.stderr, flush=True)
        if name in INSIDE:
            rows += [Row([result]) for result in INSIDE[name](arena)]
        else:
            for measure in OUTSIDE[name]:
                rows += _compared(arena, measure, subjects, rounds)
    return rows


def _compared(arena: Arena, measure: Measure, subjects: Sequence[Subject], rounds: int) -> list[Row]:
    """A row for each figure with the results of all subjects, who take turns; the best of some rounds."""
    best: list[list[Result]] = [[] for _ in subjects]
    for _ in range(rounds):
        for place, subject in enumerate(subjects):
            results = measure(arena, subject)
            for result in results:
                print(f"  {subject.name}: {result.name}: {result.text}; {result.notes}", file=sys.stderr)
            pairs = zip(best[place] or results, results, strict=True)
            best[place] = [known.better(new) for known, new in pairs]
    return [Row(list(results)) for results in zip(*best, strict=True)]


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_TERMINATED))  # clears away as Ctrl-C does
    sys.exit(main())
