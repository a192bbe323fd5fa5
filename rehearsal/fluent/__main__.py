"""``python -m rehearsal.fluent``: the simulator with every switch, for tests. People use ``flashsale``."""

from __future__ import annotations

import argparse
import json

from rehearsal.fluent.server import SAMPLE_STOCK, run_foreground


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m rehearsal.fluent", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--stock", default=SAMPLE_STOCK, help='JSON file: {"SKU-001":{"LOC-1":100}}')
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--latency-ms", type=float, default=0)
    parser.add_argument("--fault-rate", type=float, default=0)
    parser.add_argument(
        "--controls", type=json.loads, default={}, help="JSON object, as POST /_control takes it"
    )
    parser.add_argument("--catalogue", default="DEFAULT:1", help="whose stock it is: DEFAULT:<retailerId>")
    given = parser.parse_args()
    run_foreground(
        given.port,
        given.host,
        given.stock,
        given.seed,
        given.latency_ms,
        given.fault_rate,
        given.controls,
        given.catalogue,
    )


if __name__ == "__main__":
    main()
