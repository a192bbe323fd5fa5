"""Fills topics before a measurement, so that only the worker is measured."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from confluent_kafka import Producer

from streams.kafka import producing
from streams.ledger.commands import Claim, HoldConfirmed, Reserve, encode
from streams.ledger.terms import Terms

PROMOTION = "BENCH"
UNITS = 10**8
FAR_MS = 2**42

Pair = tuple[bytes, bytes]


def send(client: dict[str, Any], topic: str, records: Iterable[Pair]) -> int:
    """Produce (key, value) pairs; returns how many."""
    producer = Producer(producing(client) | {"linger.ms": 20, "queue.buffering.max.messages": 2_000_000})
    count = 0
    for key, value in records:
        producer.produce(topic, value, key)
        count += 1
        if not count % 10_000:
            producer.poll(0)
    producer.flush()
    return count


def reserved(skus: int) -> Iterator[Pair]:
    """Every SKU of the promotion set aside and confirmed."""
    for i in range(skus):
        sku = f"SKU-{i}"
        yield sku.encode(), encode(Reserve(PROMOTION, sku, UNITS, FAR_MS, Terms()))
        yield sku.encode(), encode(HoldConfirmed(PROMOTION, sku, 1, UNITS))


def spread(skus: int) -> Callable[[random.Random], int]:
    """Every SKU alike."""
    return lambda chance: chance.randrange(skus)


def hot(skus: int) -> Callable[[random.Random], int]:
    """Nine of ten orders want the same SKU."""
    return lambda chance: 0 if chance.random() < 0.9 else chance.randrange(skus)


def claims(count: int, pick: Callable[[random.Random], int], repeated: float = 0.02) -> Iterator[Pair]:
    """Claim commands, some of them sent twice."""
    chance, last = random.Random(7), b""
    for i in range(count):
        sku = f"SKU-{pick(chance)}"
        last = encode(Claim(PROMOTION, sku, 1, f"ORD-{i}", 1, 5_000, 10**9))
        yield sku.encode(), last
        if chance.random() < repeated:
            yield sku.encode(), last


def orders(count: int, skus: int, lines: int = 1, *, keyed_by_ref: bool = True) -> Iterator[Pair]:
    """Order events as a shop sends them, keyed by their ref or by a customer's number."""
    chance = random.Random(7)
    for i in range(count):
        ref = f"ORD-{i}"
        items = [{"sku": f"SKU-{number}", "quantity": 1} for number in chance.sample(range(skus), lines)]
        event = {"order": {"ref": ref, "promotionId": PROMOTION, "items": items}}
        key = ref if keyed_by_ref else f"C-{chance.randrange(count)}"
        yield key.encode(), json.dumps(event).encode()
