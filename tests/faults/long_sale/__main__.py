"""`python -m tests.faults.long_sale [--orders N] [--per-second N]`; exits 1 when something is wrong."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.faults.long_sale.sale import Plan, hold


def main() -> int:
    """Hold a sale, print what there was and what was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.long_sale")
    parser.add_argument("--orders", type=int, default=100_000, help="different orders (default: 100,000)")
    parser.add_argument("--per-second", type=int, default=500, help="events sent a second (default: 500)")
    parser.add_argument(
        "--seed", type=int, default=13, help="the same orders for the same seed (default: 13)"
    )
    parser.add_argument("--logs", type=Path, help="keep the workers' logs and disks in this directory")
    given = parser.parse_args()
    plan = Plan(given.orders, given.per_second, given.seed)
    with tempfile.TemporaryDirectory() as temporary:
        directory: Path = given.logs or Path(temporary)
        directory.mkdir(parents=True, exist_ok=True)
        result = hold(plan, directory)
    for name, value in result.figures.items():
        print(f"{name}: {value:,}")
    for finding in result.findings:
        print(f"WRONG: {finding}")
    print(f"{len(result.findings)} findings" if result.findings else "everything is right")
    return 1 if result.findings else 0


if __name__ == "__main__":
    sys.exit(main())
