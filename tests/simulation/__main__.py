"""`python -m tests.simulation [--whole] SEED…` repeats simulated sales; exits 1 when one of them fails.

One that fails is made smaller and printed as a test.
"""

from __future__ import annotations

import argparse
import sys

from tests.simulation import simulation
from tests.simulation.smaller import shrink
from tests.simulation.whole import sale


def main() -> int:
    """Run each seed and say how it went."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("seeds", type=int, nargs="+", metavar="SEED")
    parser.add_argument("--whole", action="store_true", help="the whole system, and not only its cores")
    given = parser.parse_args()
    run, orders_of = (sale.run, sale.orders_of) if given.whole else (simulation.run, simulation.orders_of)
    failed = 0
    for seed in given.seeds:
        try:
            done = run(seed)
        except Exception as error:
            failed += 1
            print(f"seed {seed}: {error}\n\nIt is made smaller.\n", flush=True)
            smaller = shrink(run, seed, orders_of(seed))
            print(f"{smaller.says}\n\n{smaller.as_test()}")
        else:
            orders = len(done.report.sale.histories)
            print(f"seed {seed}: {orders} orders, {done.crashes} lost transactions, nothing wrong")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
