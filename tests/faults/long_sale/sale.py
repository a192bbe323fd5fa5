"""The sale itself: sends, lets the weather pass, ends the promotions and proves."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from rehearsal.kafka import EmbeddedKafka
from schemas.topics import DEAD_LETTERS, ORDER_OUTCOMES, PROMOTION_END, PROMOTION_RESULTS, PROMOTION_START
from tests.audit.report import audit
from tests.faults.long_sale.events import PROMOTIONS, SKUS, Event, events, stock_for
from tests.faults.long_sale.timeline import Timeline
from tests.faults.long_sale.weather import Decisions, Staff, Visitor, Weather
from tests.support.audit import final_report, promotion_start
from tests.support.evidence import gather
from tests.support.kafka import unique_prefix
from tests.support.storm import QUIET
from tests.support.system import System, system, wait_until

CONFIG: dict[str, Any] = {
    "partitions": 6,
    "kafkaSessionTimeoutMs": 3_000,
    "settlement": "sale",
    "holdTimeoutSeconds": 600,
    "closeTimeoutSeconds": 600,
}
ANSWERED_WITHIN_S = 600.0
"""After the weather has passed; what it takes is a fraction of that."""


RESERVE = 0.3
SLOWLY_PER_SECOND = 4
"""What is kept back of a short sale lasts three minutes: longer than all the weather on a slow machine."""


@dataclass(frozen=True)
class Plan:
    """How long a sale: so many orders, so many events a second, always the same for one seed."""

    orders: int
    per_second: int
    seed: int = 13


@dataclass
class Result:
    """What there was, and everything that was wrong with it."""

    figures: dict[str, int | float]
    findings: list[str]
    timeline: Timeline | None = None


class Sender(threading.Thread):
    """Sends events at a steady rate, whatever happens to broker and workers.

    The last RESERVE of them go out slowly until `finish`, so that there is always something to decide.
    """

    def __init__(self, sale: System, what: Iterable[Event], per_second: int) -> None:
        super().__init__(name="sender", daemon=True)
        self.events = list(what)
        self.sent = 0
        self.untaken = -1
        self._sale = sale
        self._per_second = per_second
        self._finish = threading.Event()

    @property
    def busy(self) -> bool:
        """Whether there is more to send than the reserve."""
        return self.sent < len(self.events) * (1 - RESERVE)

    def finish(self) -> None:
        """Send the rest, and return when the broker has it; raises AssertionError where it has not."""
        self._finish.set()
        self.join()
        assert self.untaken == 0, f"the broker did not take {self.untaken} events"

    def run(self) -> None:
        """Send everything, with Java's partitioner, as shops do; `untaken` is then what did not arrive."""
        producer = Producer(
            {
                "bootstrap.servers": self._sale.bootstrap,
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
                "linger.ms": 5,
                "queue.buffering.max.messages": 1_000_000,
                **QUIET,
            }
        )
        due = time.monotonic()
        for event in self.events:
            due += 1 / (self._per_second if self.busy or self._finish.is_set() else SLOWLY_PER_SECOND)
            time.sleep(max(0.0, due - time.monotonic()))
            producer.produce(self._sale.prefix + event.topic, event.value, event.key)
            producer.poll(0)
            self.sent += 1
        self.untaken = producer.flush(120)


def hold(plan: Plan, directory: Path, say: Callable[[str], None] = print) -> Result:
    """Hold the sale of a plan, with an embedded Kafka of its own."""
    began, stock = time.monotonic(), stock_for(plan.orders)
    with EmbeddedKafka() as broker, opened(broker, directory, stock) as sale, Decisions(sale) as decisions:
        staff = Staff(sale, directory, sale.environment())
        try:
            weather = Weather(staff, broker, decisions, say)
            start_promotions(sale, stock)
            visitor, sender = Visitor(staff), Sender(sale, events(plan.orders, plan.seed), plan.per_second)
            visitor.start()
            sender.start()
            with Timeline(lambda: sender.sent, lambda: decisions.count) as timeline:
                seen = weather.pass_over(lambda: sender.busy, timeline)
                sender.finish()
                visitor.leave()
                say(f"{sender.sent:,} events are sent; {decisions.count:,} outcomes have come")
                wait_until(lambda: answers(sale) >= sender.sent, "every event is answered", ANSWERED_WITHIN_S)
            found = prove(sale, stock, say)
            found.timeline = timeline
        finally:
            staff.close()
    found.figures |= {
        "events": sender.sent,
        **seen,
        "visits": visitor.visits,
        "stops that did not end in order": staff.stops.total() - staff.stops[0],
        "workers that their supervisor started again": staff.restarts(),
        "seconds": round(time.monotonic() - began, 1),
    }
    return found


@contextmanager
def opened(broker: EmbeddedKafka, directory: Path, stock: dict[tuple[str, str], int]) -> Iterator[System]:
    """Topics, and a Fluent with twice the stock that is asked for."""
    shelves = {sku: {"LOC-1": 2 * sum(stock[promotion, sku] for promotion in PROMOTIONS)} for sku in SKUS}
    with system(broker.bootstrap, unique_prefix(), directory, shelves, **CONFIG) as sale:
        yield sale


def start_promotions(sale: System, stock: dict[tuple[str, str], int]) -> None:
    """Both, with everything set aside."""
    for promotion in PROMOTIONS:
        units = {sku: count for (of, sku), count in stock.items() if of == promotion}
        sale.publish(PROMOTION_START, [promotion_start(promotion, units)])
    results = sale.wait_for(PROMOTION_RESULTS, len(PROMOTIONS))
    assert all(not message.json["summary"]["errors"] for message in results)


def answers(sale: System) -> int:
    """How many outcomes and dead letters there are."""
    time.sleep(1.0)
    return len(sale.read(ORDER_OUTCOMES)) + len(sale.read(DEAD_LETTERS))


def prove(sale: System, stock: dict[tuple[str, str], int], say: Callable[[str], None]) -> Result:
    """End the promotions and read everything back."""
    sale.publish(PROMOTION_END, [{"promotion": {"id": each, "reason": "over"}} for each in PROMOTIONS])
    for each in PROMOTIONS:
        wait_until(partial(final_report, sale, each), f"the FINAL report of {each}", 180)
    report = audit(gather(sale))
    wrong = report.wrong
    for key, units in report.sale.reserved.items():
        if stock[key] != units:
            wrong.append(f"of {key} {units} units were set aside instead of {stock[key]}")
    sold = sum(sums.consumed for sums in report.sale.sums.values())
    kinds = Counter(outcome["outcome"] for _, _, outcome in report.sale.outcomes)
    dead = len(report.sale.letters)
    say(f"read back: {len(report.sale.outcomes):,} outcomes, {dead:,} dead letters")
    return Result({"units sold": sold, "dead letters": dead, **kinds}, wrong)
