"""Faust as its documentation has it: an agent, a table of what is claimed, a table of what was decided.

At least once: a table's change, the outcome and the offset are three writes, so an order that is read again
after a crash may take its units twice. Orders must be keyed by SKU.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faust

from benchmarks.peers.programs.loop import Run, first_taken, outcome

PARTITIONS = 4


def main() -> None:
    """`python -m benchmarks.peers.programs.plain_faust`"""
    run = Run()
    app = faust.App(
        run.name,
        broker=f"kafka://{run.bootstrap}",
        store="rocksdb://?driver=rocksdict",
        datadir=Path(run.directory) / "faust",
        topic_partitions=PARTITIONS,
        topic_replication_factor=1,
        consumer_auto_offset_reset="earliest",
        web_enabled=False,
        key_serializer="raw",
        value_serializer="json",
    )
    orders = app.topic(run.orders, partitions=PARTITIONS)
    outcomes = app.topic(run.outcomes, value_serializer="raw", partitions=PARTITIONS)
    claimed = app.Table("claimed", default=int, partitions=PARTITIONS, key_type=str, value_type=int)
    decided = app.Table("decided", partitions=PARTITIONS, key_type=str, value_type=str)
    started: list[bool] = []

    @app.agent(orders)
    async def decide(stream: Any) -> None:
        async for event in stream:
            if not started:
                started.append(True)
                first_taken()
            order = event["order"]
            ref = order["ref"]
            known = decided.get(ref)
            if known is None:
                (item,) = order["items"]
                sku, quantity = item["sku"], item["quantity"]
                taken = claimed[sku] + quantity <= run.units
                if taken:
                    claimed[sku] += quantity
                known = outcome(ref, order["promotionId"], [(sku, quantity, taken)]).decode()
                decided[ref] = known
            await outcomes.send(key=ref.encode(), value=known.encode())

    app.finalize()
    faust.Worker(app, loglevel="warning").execute_from_commandline()


if __name__ == "__main__":
    main()
