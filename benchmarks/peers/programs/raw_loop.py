"""The bound: decode, one dict, produce. Nothing is durable, nothing is remembered of an order."""

from __future__ import annotations

import json
from collections import Counter

from confluent_kafka import Message

from benchmarks.peers.programs.loop import Run, consume, outcome


def main() -> None:
    """`python -m benchmarks.peers.programs.raw_loop`"""
    run, claimed = Run(), Counter[str]()

    def decide(messages: list[Message]) -> list[tuple[str, bytes]]:
        decided = []
        for message in messages:
            order = json.loads(message.value() or b"")["order"]
            results = []
            for item in order["items"]:
                sku, quantity = item["sku"], item["quantity"]
                taken = claimed[sku] + quantity <= run.units
                claimed[sku] += quantity if taken else 0
                results.append((sku, quantity, taken))
            decided.append((order["ref"], outcome(order["ref"], order["promotionId"], results)))
        return decided

    consume(run, decide)


if __name__ == "__main__":
    main()
