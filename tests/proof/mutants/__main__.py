"""`python -m tests.proof.mutants [--minutes N] [ROOM…]`: which changes to the program does no test notice?"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.proof.mutants.mutate import Mutant, mutants_of
from tests.proof.mutants.trial import collect, verdict

ROOT = Path(__file__).parents[3]
TESTS = {
    "streams/ledger": ("tests/streams/ledger",),
    "streams/engine": ("tests/streams/engine",),
}
"""The tests that are to notice a change in a room."""


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.proof.mutants", formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    say = parser.add_argument
    say("rooms", nargs="*", default=list(TESTS), metavar="ROOM", help=" or ".join(TESTS))
    say("--minutes", type=float, default=10.0, help="how long all of it may take")
    say("--seed", type=int, default=0, help="which changes are tried first")
    say("--sales", type=int, default=25, help="simulated sales that have to notice what no test does")
    say("--within", type=float, default=120.0, help="seconds for one change")
    say("--log", type=Path, default=Path("mutants.jsonl"), help="the file that is appended to")
    return parser.parse_args()


def main() -> int:
    """Try changes until the time is over; exits 1 when the tests fail without any."""
    given = arguments()
    ends_at = time.monotonic() + 60 * given.minutes
    for number, room in enumerate(given.rooms):
        until = time.monotonic() + (ends_at - time.monotonic()) / (len(given.rooms) - number)
        if not _try_room(room, given, until):
            return 1
    return 0


def _try_room(room: str, given: argparse.Namespace, until: float) -> bool:
    every = list(changes_in(room))
    random.Random(given.seed).shuffle(every)
    collect(TESTS[room])
    if (fails := verdict(None, TESTS[room], given.sales, given.within)) != "survived":
        print(f"{room}: without any change something fails: {fails}")
        return False
    found: Counter[str] = Counter()
    for mutant in every:
        if time.monotonic() > until:
            break
        by = verdict(mutant, TESTS[room], given.sales, given.within)
        found[by] += 1
        _note(given.log, mutant, by)
        if by == "survived":
            print(mutant.where, flush=True)
    tried = sum(found.values()) - found["not made"]
    told = ", ".join(f"{count} by {by}" for by, count in sorted(found.items()) if by != "survived")
    print(f"{room}: {tried} of {len(every)} changes tried, {found['survived']} survived; noticed: {told}")
    return True


def changes_in(room: str) -> Iterator[Mutant]:
    """Every change to the modules of a room."""
    for path in sorted((ROOT / room).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield from mutants_of(".".join(parts[:-1] if parts[-1] == "__init__" else parts))


def _note(log: Path, mutant: Mutant, by: str) -> None:
    with log.open("a") as file:
        file.write(json.dumps({"by": by, "seed": mutant.node, "where": mutant.where}) + "\n")


if __name__ == "__main__":
    sys.exit(main())
