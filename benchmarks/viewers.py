"""What it costs a bridge that people look at a sale: nobody, one, and two hundred of them.

The sale has 1,000 SKUs; every second 100 of them have new figures and 500 orders are answered, as a worker
would publish them. Viewers read what they are sent, from this process.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import Producer

from benchmarks.bridge import serving
from benchmarks.result import Arena, Result
from benchmarks.usage import cpu_s, rss_mb
from rehearsal.kafka.config import free_port
from schemas.times import iso_utc
from schemas.topics import ORDER_OUTCOMES, SALE_FIGURES
from streams.system import now_ms

SKUS, CHANGES, ORDERS = 1_000, 100, 500
"""Of the sale; of these figures and orders a second."""

PARTITIONS = 4
NUMBERS = (0, 1, 200)
WARM_S, SECONDS = 3.0, 20.0
PATH = "/sale/WATCHED/events"


def run(arena: Arena) -> list[Result]:
    """Shares of a core, one row for each number of viewers."""
    settings, environment = arena.settings(PARTITIONS)
    port = free_port()
    with (
        serving(environment, arena.directory, port, "--unsigned") as process,
        _sale(arena, settings.topic_prefix),
    ):
        return [_measure(process.pid, port, number) for number in NUMBERS]


def _measure(pid: int, port: int, number: int) -> Result:
    with _viewers(port, number) as received:
        time.sleep(WARM_S)
        began, used, before = time.monotonic(), cpu_s(pid), sum(received)
        time.sleep(SECONDS)
        seconds = time.monotonic() - began
        share = (cpu_s(pid) - used) / seconds * 100
        kilobytes = (sum(received) - before) / seconds / 1_000
    notes = f"{kilobytes:,.0f} kB/s sent, {rss_mb(pid):,.0f} MB RSS"
    return Result(f"bridge, {number} viewers of a sale", share, "% of a core", "", notes)


@contextmanager
def _viewers(port: int, number: int) -> Iterator[list[int]]:
    """So many that read; yields the bytes that each has received so far."""
    received = [0] * number
    loop = asyncio.new_event_loop()

    async def view(place: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        while data := await reader.read(1 << 16):
            received[place] += len(data)

    tasks = [loop.create_task(view(place)) for place in range(number)]
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield received
    finally:
        for task in tasks:
            loop.call_soon_threadsafe(task.cancel)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.close()


@contextmanager
def _sale(arena: Arena, prefix: str) -> Iterator[None]:
    """A sale that goes on in a thread."""
    over = threading.Event()
    thread = threading.Thread(target=_publish, args=(Producer(arena.client), prefix, over))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _publish(producer: Producer, prefix: str, over: threading.Event) -> None:
    for sku in range(SKUS):
        producer.produce(prefix + SALE_FIGURES, _figures(sku, 0), f"WATCHED/{sku}")
    second = 0
    while not over.is_set():
        second += 1
        for number in range(ORDERS):
            producer.produce(
                prefix + ORDER_OUTCOMES, _outcome(second * ORDERS + number), f"{second}-{number}"
            )
        for number in range(CHANGES):
            sku = (second * CHANGES + number) % SKUS
            producer.produce(prefix + SALE_FIGURES, _figures(sku, second), f"WATCHED/{sku}")
        producer.flush(10)
        over.wait(1 - time.time() % 1)


def _figures(sku: int, sold: int) -> bytes:
    counts = dict.fromkeys(("cancelled", "released", "rejectedUnits", "rejectedOrders"), 0)
    at = iso_utc(now_ms())
    identity = {"promotionId": "WATCHED", "sku": f"SKU-{sku:04}", "status": "ACTIVE"}
    value = {**identity, "reserved": 1_000, "consumed": sold, **counts, "at": at}
    return json.dumps(value | {"expiresAt": "2100-01-01T00:00:00.000Z"}).encode()


def _outcome(number: int) -> bytes:
    refused = {"consumed": False, "reason": "EXHAUSTED", "recommendation": "Offer the regular price."}
    line = {"sku": "SKU-0001", "quantity": 1, **({"consumed": True} if number % 3 else refused)}
    value = {"orderRef": f"O-{number}", "promotionId": "WATCHED", "outcome": "ACCEPTED", "revision": 1}
    return json.dumps(value | {"consumeResults": [line], "decidedAt": "2026-11-26T00:00:00.000Z"}).encode()
