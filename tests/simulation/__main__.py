"""`python -m tests.simulation SEED…` repeats simulated sales; exits 1 when one of them fails."""

from __future__ import annotations

import argparse
import sys

from tests.simulation.simulation import as_test, run


def main() -> int:
    """Run each seed and say how it went."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("seeds", type=int, nargs="+", metavar="SEED")
    failed = 0
    for seed in parser.parse_args().seeds:
        try:
            done = run(seed)
        except AssertionError as error:
            failed += 1
            print(f"seed {seed}: {error}\n\n{as_test(seed)}")
        else:
            orders = len(done.report.sale.histories)
            print(f"seed {seed}: {orders} orders, {done.crashes} crashes, nothing wrong")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
