"""The bound: a raw confluent-kafka loop. Decode, one dict, produce; no transaction, nothing durable."""

from __future__ import annotations

import json
import time

from confluent_kafka import Consumer, Producer, TopicPartition

from benchmarks import prefill
from benchmarks.result import BOUND, Arena, Result
from schemas.topics import ORDER_OUTCOMES, ORDER_PLACED

ORDERS = 200_000
PARTITIONS = 2


def run(arena: Arena) -> list[Result]:
    """Orders a second."""
    settings, _ = arena.settings(PARTITIONS)
    source, out = settings.prefixed(ORDER_PLACED), settings.prefixed(ORDER_OUTCOMES)
    prefill.send(arena.client, source, prefill.orders(ORDERS, 1_000))
    consumer = Consumer({**arena.client, "group.id": "raw", "enable.auto.commit": False})
    consumer.assign([TopicPartition(source, p, 0) for p in range(PARTITIONS)])
    producer = Producer({**arena.client, "linger.ms": 5, "queue.buffering.max.messages": 1_000_000})
    claimed: dict[str, int] = {}
    done, began = 0, 0.0
    while done < ORDERS:
        for message in consumer.consume(4_000, 0.2):
            began = began or time.monotonic()
            order = json.loads(message.value() or b"")["order"]
            sku, units = order["items"][0]["sku"], order["items"][0]["quantity"]
            claimed[sku] = claimed.get(sku, 0) + units
            producer.produce(out, json.dumps({"orderRef": order["ref"], "consumed": True}), message.key())
            done += 1
        producer.poll(0)
    producer.flush()
    seconds = time.monotonic() - began
    consumer.close()
    return [Result(BOUND, ORDERS / seconds, "/s", "the bound")]
