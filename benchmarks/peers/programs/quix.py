"""Quix Streams with exactly-once: a stateful step on a stream that is keyed by SKU.

`keyed` takes orders that are keyed by SKU; `grouped` takes any key and has Quix group them by SKU, which
sends each once more through a topic of its own.
"""

from __future__ import annotations

import sys
from typing import Any

from quixstreams import Application, State

from benchmarks.peers.programs.loop import Run, first_taken, record

COMMIT_S = 0.5
"""Quix's own 5 s would end most runs with one commit."""


def main() -> None:
    """`python -m benchmarks.peers.programs.quix keyed|grouped`"""
    run, started = Run(), list[bool]()
    app = Application(
        broker_address=run.bootstrap,
        consumer_group=run.name,
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
        commit_interval=COMMIT_S,
        state_dir=f"{run.directory}/quix",
        auto_create_topics=True,
        loglevel="WARNING",
    )

    def decide(event: dict[str, Any], state: State) -> dict[str, Any]:
        if not started:
            started.append(True)
            first_taken()
        order = event["order"]
        ref = order["ref"]
        known = state.get(f"decided/{ref}")
        if known is None:
            (item,) = order["items"]
            claimed = state.get("claimed", 0)
            taken = claimed + item["quantity"] <= run.units
            if taken:
                state.set("claimed", claimed + item["quantity"])
            result = (item["sku"], item["quantity"], taken)
            known = record(ref, order["promotionId"], [result])
            state.set(f"decided/{ref}", known)
        return dict(known)

    orders = app.topic(run.orders, key_deserializer="str", value_deserializer="json")
    outcomes = app.topic(run.outcomes, key_serializer="str", value_serializer="json")
    stream = app.dataframe(orders)
    if sys.argv[1] == "grouped":
        stream = stream.group_by(lambda event: event["order"]["items"][0]["sku"], name="sku")
    stream = stream.apply(decide, stateful=True)
    stream.to_topic(outcomes, key=lambda decided: decided["orderRef"])
    app.run()


if __name__ == "__main__":
    main()
