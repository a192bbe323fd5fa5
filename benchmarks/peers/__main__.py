"""`make bench-peers` or `python -m benchmarks.peers [NAME…] [--workloads …] [--orders N] [--write FOLDER]`.

Everybody gets the same orders, from the same embedded broker, in one run, and the same audit. The clock
starts when the first order is taken (ours: at `ready`) and ends with the commit of the last outcome. What is
not installed is skipped with a sentence that says how to install it.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks import page, path
from benchmarks.jit import rest, warm_up
from benchmarks.page import NoPlaceError
from benchmarks.peers.peer import PEERS, Peer
from benchmarks.peers.report import markdown, plots
from benchmarks.peers.run import Measured, measure
from benchmarks.peers.workload import WORKLOADS, make
from benchmarks.result import Arena
from rehearsal.demo.processes import StageError
from rehearsal.kafka import EmbeddedKafka

EXIT_TERMINATED = 143
ORDERS = 200_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the named peers, all without names; 1 when one of them failed or ours was found wrong."""
    given = _arguments(arguments)
    chosen = [peer for peer in PEERS if not given.names or peer.name in given.names]
    skipped = [f"{peer.title}. {why}" for peer in chosen if (why := peer.missing())]
    peers = [peer for peer in chosen if not peer.missing()]
    for sentence in skipped:
        print(f"skipped: {sentence}", file=sys.stderr)
    with (
        tempfile.TemporaryDirectory() as directory,
        EmbeddedKafka(full_jit=not given.quick, heap="1g") as kafka,
    ):
        arena = Arena(kafka.bootstrap, kafka.pid or 0, Path(directory))
        found, failed = _run(arena, peers, given)
    print(text := markdown(peers, found, [*skipped, *failed], given.orders))
    if given.write:
        try:
            page.write(given.write, "peers", text, plots(peers, found))
        except NoPlaceError as error:
            print(error, file=sys.stderr)
            return 2
    wrong = [each for (name, _), each in found.items() if each.faults and name.startswith("ours")]
    return 1 if failed or wrong else 0


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description="Peers, in one run.")
    names, workloads = [peer.name for peer in PEERS], [workload.name for workload in WORKLOADS]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}; default: all")
    parser.add_argument("--workloads", nargs="+", choices=workloads, default=workloads)
    parser.add_argument("--orders", type=int, default=ORDERS, help="of each workload")
    parser.add_argument("--rounds", type=int, default=1, help="the better one of each peer counts")
    parser.add_argument("--quick", action="store_true", help="a broker that is not warmed up: to try it out")
    parser.add_argument(
        "--write", type=Path, metavar="FOLDER", help="tables and plots into this folder's page"
    )
    given = parser.parse_args(arguments)
    if unknown := set(given.names) - set(names):
        parser.error(f"no peer is called {', '.join(sorted(unknown))}; there are: {', '.join(names)}")
    return given


def _run(
    arena: Arena, peers: Sequence[Peer], given: argparse.Namespace
) -> tuple[dict[tuple[str, str], Measured], list[str]]:
    """The better result of each peer and workload, and what failed, in sentences."""
    if not given.quick:
        warm_up(arena.broker_pid, partial(path.warm_up, arena))
    found: dict[tuple[str, str], Measured] = {}
    failed: dict[str, None] = {}
    for workload in (each for each in WORKLOADS if each.name in given.workloads):
        orders = make(workload, given.orders)
        for _ in range(given.rounds):
            for peer in (peer for peer in peers if workload.name in peer.workloads):
                try:
                    result = measure(arena, peer, workload.name, orders)
                except (RuntimeError, StageError) as error:
                    print(f"  {workload.name}: {peer.title} FAILED: {error}", file=sys.stderr)
                    failed[f"{peer.title}, {workload.name}. {str(error).splitlines()[0]}"] = None
                    continue
                told = "; ".join(result.faults) or "audited"
                print(
                    f"  {workload.name}: {peer.title}: {result.rate:,.0f}/s, {told}",
                    file=sys.stderr,
                    flush=True,
                )
                best = found.get((peer.name, workload.name))
                found[peer.name, workload.name] = result if best is None or result.rate > best.rate else best
                rest(arena.broker_pid)
    return found, list(failed)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_TERMINATED))  # clears away as Ctrl-C does
    sys.exit(main())
