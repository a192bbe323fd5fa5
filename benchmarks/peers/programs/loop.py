"""The loop of a plain consumer: read a batch, decide it, publish, then say how far it is. At least once."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, Message, Producer

BATCH = 2_000


@dataclass(frozen=True)
class Run:
    """What a peer is told about its run: by the environment, whatever it is written in."""

    bootstrap: str = os.environ.get("PEER_BOOTSTRAP", "")
    orders: str = os.environ.get("PEER_ORDERS", "")
    outcomes: str = os.environ.get("PEER_OUTCOMES", "")
    name: str = os.environ.get("PEER_NAME", "")
    """Unique to the run: group, application, database."""
    units: int = int(os.environ.get("PEER_UNITS", "0"))
    """What is there of each SKU."""
    directory: str = os.environ.get("PEER_DIRECTORY", "")
    server: str = os.environ.get("PEER_SERVER", "")

    @property
    def skus(self) -> list[str]:
        """All SKUs that there are."""
        return [f"SKU-{number}" for number in range(int(os.environ["PEER_SKUS"]))]


def first_taken() -> None:
    """Say that the first order was taken, and when: from here the clock runs."""
    print(f"started {time.time():.6f}", flush=True, file=sys.__stdout__)  # Faust redirects the other one


Results = Sequence[tuple[str, int, bool]]
"""Of an order's lines: (SKU, quantity, whether it was taken)."""


def outcome(ref: str, promotion: str, results: Results) -> bytes:
    """The record that a shop reads."""
    return json.dumps(record(ref, promotion, results), separators=(",", ":")).encode()


def record(ref: str, promotion: str, results: Results) -> dict[str, Any]:
    """The same before it is encoded."""
    taken = sum(consumed for _, _, consumed in results)
    lines = [
        {"sku": sku, "quantity": quantity, "consumed": True}
        if consumed
        else {"sku": sku, "quantity": quantity, "consumed": False, "reason": "EXHAUSTED"}
        for sku, quantity, consumed in results
    ]
    word = "ACCEPTED" if taken == len(lines) else "PARTIAL" if taken else "REJECTED"
    return {"orderRef": ref, "promotionId": promotion, "outcome": word, "consumeResults": lines}


def consume(
    run: Run, decide: Callable[[list[Message]], Sequence[tuple[str, bytes]]], batch: int = BATCH
) -> None:
    """Until the process is ended: `decide` gets records and returns (order ref, outcome) of each."""
    settings = {"bootstrap.servers": run.bootstrap, "group.id": run.name, "auto.offset.reset": "earliest"}
    consumer = Consumer({**settings, "enable.auto.commit": False})
    consumer.subscribe([run.orders])
    producer = Producer(
        {"bootstrap.servers": run.bootstrap, "linger.ms": 5, "queue.buffering.max.messages": 1_000_000}
    )
    started = False
    while True:
        messages = [message for message in consumer.consume(batch, 0.05) if message.error() is None]
        if not messages:
            continue
        if not started:
            started = True
            first_taken()
        for ref, value in decide(messages):
            producer.produce(run.outcomes, value, ref)
        producer.flush()
        consumer.commit(asynchronous=False)
