"""The shop of a soak: sales that begin and end, orders at a steady rate, cancels, repeats, their answers."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Producer

from benchmarks.prefill import Pair
from benchmarks.reader import reader
from benchmarks.trial import Trial
from schemas.times import iso_utc
from schemas.topics import (
    DEAD_LETTERS,
    ORDER_CANCELLED,
    ORDER_OUTCOMES,
    ORDER_PLACED,
    PROMOTION_END,
    PROMOTION_START,
    RECONCILIATION_REPORTS,
)
from streams.kafka import producing
from streams.system import now_ms

SKUS_A_SALE = 100
SALES_APART = 5
"""Sales that follow each other have other SKUs, so many times."""

UNITS = 1_000
"""Of each SKU of a sale: where many order, it sells out."""

BASKETS, CANCELLED, REPEATED = 0.1, 0.03, 0.01
"""Shares of the orders: of three lines, cancelled afterwards, sent twice."""

RECENT = 1_000
"""Among so many newest orders are those that are cancelled or repeated."""

ENDED_EVERY = 3
"""Each third sale is ended early by a promotion-end; the others expire."""

PIECE_S = 0.01
CONNECTED_S = 10.0


@dataclass
class Counts:
    """What was sent and what came back."""

    events: int = 0
    """Orders, repeats and cancels: each has one outcome."""
    outcomes: int = 0
    dead_letters: int = 0
    sales: int = 0
    reports: int = 0
    final: set[str] = field(default_factory=set)
    """Sales that have a FINAL report."""
    wrong: list[str] = field(default_factory=list)
    """FINAL reports that do not add up, in sentences."""

    @property
    def unanswered(self) -> int:
        """Events that have no outcome yet."""
        return self.events - self.outcomes


class Shop:
    """Use as a context manager: sends and listens in threads of its own until `stop_sending` and the end."""

    def __init__(self, trial: Trial, rate: float, sale_s: float) -> None:
        """`rate` orders a second; a sale begins every `sale_s` seconds and lasts half as long again."""
        self.counts = Counts()
        self.failure: BaseException | None = None
        self._trial, self._rate, self._sale_s = trial, rate, sale_s
        self._chance = random.Random(7)
        self._recent: deque[Pair] = deque(maxlen=RECENT)
        self._sent_all, self._ended = threading.Event(), threading.Event()
        self._threads = [
            threading.Thread(target=self._guarded, args=(work,), daemon=True)
            for work in (self._send, self._listen)
        ]

    def __enter__(self) -> Shop:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._sent_all.set()
        self._ended.set()
        for thread in self._threads:
            thread.join(60)

    def stop_sending(self) -> None:
        """No further order; what was sent is still listened for."""
        self._sent_all.set()
        self._threads[0].join(60)

    def _guarded(self, work: Any) -> None:
        try:
            work()
        except BaseException as error:
            self.failure = error

    def _send(self) -> None:
        producer = Producer(producing(self._trial.client) | {"linger.ms": 5})
        began, sent = time.monotonic(), 0
        while not self._sent_all.is_set():
            since = time.monotonic() - began
            if since >= self.counts.sales * self._sale_s:
                self._begin_sale(producer, self.counts.sales)
            due = int(since * self._rate)
            for number in range(sent, due):
                for topic, (key, value) in self._events(number):
                    producer.produce(self._trial.topic(topic), value, key)
                    self.counts.events += 1
            sent = due
            producer.poll(0)
            self._sent_all.wait(PIECE_S)
        producer.flush(60)

    def _begin_sale(self, producer: Producer, number: int) -> None:
        """A sale begins; the one that began before goes on for a while, and ends early or expires."""
        skus = [{"sku": f"SKU-{n}", "quantity": UNITS} for n in self._skus(number)]
        at = iso_utc(now_ms() + round(1_500 * self._sale_s))
        start = {"promotion": {"id": f"SOAK-{number}", "skus": skus, "expiresAt": at}}
        producer.produce(self._trial.topic(PROMOTION_START), json.dumps(start), f"SOAK-{number}")
        if number % ENDED_EVERY == 1:
            end = {"promotion": {"id": f"SOAK-{number - 1}", "reason": "soak"}}
            producer.produce(self._trial.topic(PROMOTION_END), json.dumps(end), f"SOAK-{number - 1}")
        self.counts.sales += 1

    def _skus(self, sale: int) -> range:
        first = sale % SALES_APART * SKUS_A_SALE
        return range(first, first + SKUS_A_SALE)

    def _events(self, number: int) -> Iterator[tuple[str, Pair]]:
        """An order, and what comes with it."""
        chance = self._chance
        sale = self.counts.sales - 1 - (chance.random() < 0.3 and self.counts.sales > 1)
        lines = 3 if chance.random() < BASKETS else 1
        items = [{"sku": f"SKU-{n}", "quantity": 1} for n in chance.sample(self._skus(sale), lines)]
        ref = f"ORD-{number}"
        order = {"ref": ref, "promotionId": f"SOAK-{sale}", "items": items}
        placed = ref.encode(), json.dumps({"order": order}).encode()
        self._recent.append(placed)
        yield ORDER_PLACED, placed
        if chance.random() < REPEATED:
            yield ORDER_PLACED, chance.choice(self._recent)
        if chance.random() < CANCELLED:
            key, value = self._recent.popleft()
            known = json.loads(value)["order"]
            cancel = {"ref": known["ref"], "promotionId": known["promotionId"]}
            yield ORDER_CANCELLED, (key, json.dumps({"order": cancel}).encode())

    def _listen(self) -> None:
        trial, partitions = self._trial, self._trial.partitions
        topics = (ORDER_OUTCOMES, DEAD_LETTERS, RECONCILIATION_REPORTS)
        readers = {topic: reader(trial.client, trial.topic(topic), partitions) for topic in topics}
        try:
            while not self._ended.is_set():
                for topic, consumer in readers.items():
                    values = [m.value() or b"" for m in consumer.consume(5_000, 0.02) if m.error() is None]
                    self._count(topic, values)
        finally:
            for consumer in readers.values():
                consumer.close()

    def _count(self, topic: str, values: list[bytes]) -> None:
        counts = self.counts
        if topic == ORDER_OUTCOMES:
            counts.outcomes += len(values)
        elif topic == DEAD_LETTERS:
            counts.dead_letters += len(values)
        else:
            counts.reports += len(values)
            for value in values:
                self._check(json.loads(value))

    def _check(self, report: dict[str, Any]) -> None:
        """In a FINAL report reserved = consumed + released, in every line."""
        if report["kind"] != "FINAL":
            return
        self.counts.final.add(report["promotionId"])
        for line in report["lines"]:
            if line["reserved"] != line["consumed"] + line["released"]:
                self.counts.wrong.append(f"the FINAL report of {report['promotionId']} has {line}")
