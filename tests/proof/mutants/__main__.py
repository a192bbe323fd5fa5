"""`python -m tests.proof.mutants [--minutes N] [PATH…]`: which changes to the program does no test notice?"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.proof.mutants.mutate import Mutant, mutants_of
from tests.proof.mutants.trial import Runs, Suite, in_room
from tests.simulation import simulation
from tests.simulation.whole import sale

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Room:
    """What is to notice a change in a room: its tests, and then so many simulated sales."""

    tests: tuple[str, ...]
    sale: Callable[[int], Any]
    sales: int


ROOMS = {
    "streams/ledger": Room(("tests/streams/ledger",), simulation.run, 25),
    "streams/engine": Room(("tests/streams/engine",), sale.run, 12),
}


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.proof.mutants", formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    say = parser.add_argument
    say("paths", nargs="*", default=list(ROOMS), metavar="PATH", help="a room, or a folder or module in one")
    say("--tests", nargs="+", metavar="PATH", help="instead of all tests of the room")
    say("--sales", type=int, metavar="N", help="instead of as many simulated sales as the room has")
    say("--minutes", type=float, default=10.0, help="how long all of it may take")
    say("--seed", type=int, default=0, help="which changes are tried first")
    say("--within", type=float, default=300.0, help="seconds for one change")
    say(
        "--log",
        type=Path,
        default=Path("mutants.jsonl"),
        help="appended to; what it says was noticed is left out",
    )
    return parser.parse_args()


def main() -> int:
    """Try changes until the time is over; exits 1 when the tests fail without any."""
    given = arguments()
    ends_at = time.monotonic() + 60 * given.minutes
    left = list(given.paths)

    def try_paths(paths: list[str], suite: Suite) -> None:
        for path in paths:
            until = time.monotonic() + (ends_at - time.monotonic()) / len(left)
            _try_path(path, given, until, suite)
            left.remove(path)

    for name, room in ROOMS.items():
        paths = [path for path in given.paths if path.startswith(name)]
        count = room.sales if given.sales is None else given.sales
        sales: list[Runs] = [partial(room.sale, seed) for seed in range(count)]
        try:
            if paths:
                in_room(given.tests or room.tests, sales, partial(try_paths, paths))
        except RuntimeError as error:
            print(f"{name}: without any change something fails: {error}")
            return 1
    return 0


def _try_path(path: str, given: argparse.Namespace, until: float, suite: Suite) -> None:
    every = list(changes_in(path))
    random.Random(given.seed).shuffle(every)
    noticed = _noticed(given.log)
    found = {mutant: noticed[mutant.where] for mutant in every if mutant.where in noticed}
    for mutant in (each for each in every if each not in found):
        if time.monotonic() > until:
            break
        found[mutant] = suite.verdict(mutant, given.within)
        _note(given.log, mutant, found[mutant])
    for mutant in sorted((each for each in found if found[each] == "survived"), key=_where):
        print(mutant.where)
    counts = Counter(found.values())
    told = ", ".join(f"{count} by {by}" for by, count in sorted(counts.items()) if by != "survived")
    print(f"{path}: {len(found) - counts['not made']} of {len(every)} changes tried, "
          f"{counts['survived']} survived; noticed: {told}", flush=True)  # fmt: skip


def _where(mutant: Mutant) -> tuple[str, int, str]:
    return mutant.module, mutant.line, mutant.how


def changes_in(path: str) -> Iterator[Mutant]:
    """Every change to the modules of a room, of a folder in it, or to one module."""
    at = ROOT / path
    for module in sorted(at.rglob("*.py")) if at.is_dir() else [at]:
        parts = module.relative_to(ROOT).with_suffix("").parts
        yield from mutants_of(".".join(parts[:-1] if parts[-1] == "__init__" else parts))


def _noticed(log: Path) -> dict[str, str]:
    """What was noticed in former runs, and by whom; it is not tried again."""
    lines = map(json.loads, log.read_text().splitlines()) if log.exists() else ()
    return {line["where"]: line["by"] for line in lines if line["by"] != "survived"}


def _note(log: Path, mutant: Mutant, by: str) -> None:
    with log.open("a") as file:
        file.write(json.dumps({"by": by, "where": mutant.where}) + "\n")


if __name__ == "__main__":
    sys.exit(main())
