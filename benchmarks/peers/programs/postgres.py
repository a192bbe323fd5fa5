"""PostgreSQL as the place where stock is: rows are locked while an order, or a batch of orders, is decided.

Decisions are durable (fsync) and remembered by order ref, so an order that comes again gets the same answer.
The outcome is published after the commit: at least once.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Mapping
from typing import Any

import psycopg
from confluent_kafka import Message

from benchmarks.peers.programs.loop import Run, consume, outcome

SCHEMA = """
CREATE TABLE stock (sku text PRIMARY KEY, left_units integer NOT NULL) WITH (fillfactor = 50);
CREATE TABLE decisions (order_ref text PRIMARY KEY, outcome bytea NOT NULL);
"""
LOCK = "SELECT sku, left_units FROM stock WHERE sku = ANY(%s) ORDER BY sku FOR UPDATE"
"""Always in the order of SKUs, so that two transactions never wait for each other."""

TAKE = (
    "UPDATE stock SET left_units = v.left_units FROM unnest(%s::text[], %s::int[]) AS v(sku, left_units) "
    "WHERE stock.sku = v.sku"
)
KNOWN = "SELECT order_ref, outcome FROM decisions WHERE order_ref = ANY(%s)"
REMEMBER = "INSERT INTO decisions SELECT * FROM unnest(%s::text[], %s::bytea[])"

PER_ORDER, PER_BATCH = "per-order", "per-batch"
BATCH = 2_000
CONNECTIONS = 4
"""Orders that are decided one by one overlap their commits: a consumer, a connection for each partition."""

Order = Mapping[str, Any]


def decide(database: psycopg.Connection[Any], orders: list[Order]) -> list[tuple[str, bytes]]:
    """Decide orders in one transaction; when this returns, everything is committed."""
    refs = [order["ref"] for order in orders]
    with database.transaction():
        answers = {ref: bytes(value) for ref, value in database.execute(KNOWN, (refs,))}
        new = {order["ref"]: order for order in orders if order["ref"] not in answers}
        if new:
            skus = sorted({item["sku"] for order in new.values() for item in order["items"]})
            left = dict(database.execute(LOCK, (skus,)).fetchall())
            made = [_take(order, left) for order in new.values()]
            database.execute(TAKE, (skus, [left[sku] for sku in skus]))
            database.execute(REMEMBER, (list(new), made))
            answers |= zip(new, made, strict=True)
    return [(ref, answers[ref]) for ref in refs]


def _take(order: Order, left: dict[str, int]) -> bytes:
    results = []
    for item in order["items"]:
        sku, quantity = item["sku"], item["quantity"]
        taken = quantity <= left[sku]
        left[sku] -= quantity if taken else 0
        results.append((sku, quantity, taken))
    return outcome(order["ref"], order["promotionId"], results)


def _set_up(run: Run) -> None:
    with psycopg.connect(run.server, autocommit=True) as database:
        database.execute(SCHEMA)
        rows = [(sku, run.units) for sku in run.skus]
        database.cursor().executemany("INSERT INTO stock VALUES (%s, %s)", rows)


def _work(run: Run, batch: int) -> None:
    database = psycopg.connect(run.server, autocommit=True)

    def decided(messages: list[Message]) -> list[tuple[str, bytes]]:
        orders = [json.loads(message.value() or b"")["order"] for message in messages]
        return [
            answer
            for at in range(0, len(orders), batch)
            for answer in decide(database, orders[at : at + batch])
        ]

    consume(run, decided)


def main() -> None:
    """`python -m benchmarks.peers.programs.postgres per-order|per-batch`"""
    run, mode = Run(), sys.argv[1]
    _set_up(run)
    if mode == PER_BATCH:
        _work(run, BATCH)
    workers = [threading.Thread(target=_work, args=(run, 1), daemon=True) for _ in range(CONNECTIONS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


if __name__ == "__main__":
    main()
