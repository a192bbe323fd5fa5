"""The shop of the demo: its checkout sends orders, its back office books what was accepted.

With `settlement` "order-flow" Fluent's own order workflow books the sold units; in the demo the back office
is that workflow. It reads `order-outcomes` as any other system would, and sends the cancels of customers who
give something back.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
from confluent_kafka import KafkaError, Message, Producer

from rehearsal.demo.events import Cancel, Event, Identity, Placed, cancelled_value
from rehearsal.demo.invoices import Line
from rehearsal.demo.plan import Plan, cancelled_by_customer
from rehearsal.demo.topics import Follower, identity_of
from schemas.topics import ORDER_CANCELLED, ORDER_OUTCOMES, ORDER_PLACED
from streams.kafka import producer_config
from streams.settings import Settings

FLUSH_TIMEOUT_S = 30.0
WAIT_S = 0.05
HTTP_TIMEOUT_S = 10.0
BOOKINGS_AT_ONCE = 4


class Outbox:
    """A producer that remembers what the broker did not take; safe in several threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer = Producer(producer_config(settings) | {"queue.buffering.max.messages": 1_000_000})
        self._refused: KafkaError | None = None

    def send(self, topic: str, value: bytes, key: str) -> None:
        """Queue a record; `key` is what a shop would take, the order's or promotion's reference."""
        self._producer.produce(
            self._settings.prefixed(topic), value, key.encode(), on_delivery=self._delivered
        )
        self._producer.poll(0)

    def flush(self) -> None:
        """Wait until the broker has everything. Raises ConnectionError when it has not."""
        left = self._producer.flush(FLUSH_TIMEOUT_S)
        if left or self._refused is not None:
            raise ConnectionError(
                f"the broker has not taken {left or 'all'} records: {self._refused or 'no answer'}"
            )

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        self._refused = error or self._refused


class Clerk(ABC, threading.Thread):
    """A thread of the shop: at work until it has done everything or is stopped. `failure`: what ended it."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.stopping = threading.Event()
        self.failure: Exception | None = None

    def run(self) -> None:
        """Work; a failure stays in `failure`."""
        try:
            self.work()
        except Exception as error:
            self.failure = error

    @abstractmethod
    def work(self) -> None:
        """What it does until `stopping` is set."""

    def stop(self) -> None:
        """Do nothing more; returns when the thread has ended."""
        self.stopping.set()
        if self.is_alive():
            self.join(FLUSH_TIMEOUT_S)


class Checkout(Clerk):
    """Sends every event `at_s` / `speed` seconds after the first one; without `speed` as fast as possible.

    A cancel of a known order is handed to `after_decision`: a customer gives back what they got.
    """

    def __init__(
        self, plan: Plan, outbox: Outbox, speed: float | None, after_decision: Callable[[Cancel], None]
    ) -> None:
        super().__init__("checkout")
        events: tuple[Event, ...] = (*plan.placed, *plan.cancels)
        self._events = sorted(events, key=lambda event: event.at_s)
        self._outbox = outbox
        self._speed = speed
        self._after_decision = after_decision
        self.done = False

    def work(self) -> None:
        """Send everything, and wait until the broker has it."""
        start = time.monotonic()
        for event in self._events:
            if self.stopping.wait(self._wait_s(start, event)):
                return
            self._send(event)
        self._outbox.flush()
        self.done = True

    def _wait_s(self, start: float, event: Event) -> float:
        if self._speed is None:
            return 0.0
        return max(0.0, start + event.at_s / self._speed - time.monotonic())

    def _send(self, event: Event) -> None:
        if isinstance(event, Placed):
            self._outbox.send(ORDER_PLACED, event.value, event.identity[0])
        elif event.known:
            self._after_decision(event)
        else:
            self._outbox.send(ORDER_CANCELLED, event.value, event.identity[0])


class OrderFlow:
    """Fluent's order workflow: books accepted lines once per order, and frees what was given back."""

    def __init__(self, base_url: str) -> None:
        self._http = httpx.Client(base_url=base_url, timeout=HTTP_TIMEOUT_S, trust_env=False)

    def book(self, identity: Identity, items: list[dict[str, Any]]) -> None:
        """Book units as sold. Raises httpx.HTTPError when Fluent does not."""
        self._post("/_orders", {"ref": "/".join(identity), "items": items})

    def give_back(self, identity: Identity, revision: int, items: list[dict[str, Any]]) -> None:
        """Free units of an order that was booked; once per revision of its outcome."""
        body = {"ref": "/".join(identity), "items": items, "cancellationRef": str(revision)}
        self._post("/_orders/cancel", body)

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def _post(self, path: str, body: dict[str, Any]) -> None:
        self._http.post(path, json=body).raise_for_status()


class BackOffice(Clerk):
    """Follows `order-outcomes` to its end and acts on each record once.

    `handled` counts the records that it is done with, repeats included: their bookings are in Fluent and the
    cancels that they brought about are in Kafka.
    """

    def __init__(self, settings: Settings, flow: OrderFlow, outbox: Outbox) -> None:
        super().__init__("back office")
        self._outcomes = Follower(settings, ORDER_OUTCOMES)
        self._flow = flow
        self._outbox = outbox
        self._lock = threading.Lock()
        self._waiting: defaultdict[Identity, list[Cancel]] = defaultdict(list)
        self._decisions: set[Identity] = set()
        self._seen: set[tuple[Identity, int]] = set()
        self._clerks = ThreadPoolExecutor(BOOKINGS_AT_ONCE, "shop")
        self.handled = 0
        self.booked = 0

    def work(self) -> None:
        """Follow the topic until it is stopped."""
        while not self.stopping.is_set():
            records = self._outcomes.new(WAIT_S)
            if records:
                self._act([record.json for record in records])
                self._outbox.flush()
            self.handled += len(records)

    def stop(self) -> None:
        """Act on nothing more, and give the connections back."""
        super().stop()
        self._clerks.shutdown()
        self._outcomes.close()
        self._flow.close()

    def cancel_when_decided(self, cancel: Cancel) -> None:
        """Send a cancel once its order is decided: at once where it is."""
        with self._lock:
            if cancel.identity not in self._decisions:
                self._waiting[cancel.identity].append(cancel)
                return
        self._send(cancel.identity, cancel.value)

    def _act(self, outcomes: Sequence[dict[str, Any]]) -> None:
        """Book what is new, several at once; then do what follows from each, in order."""
        fresh = [outcome for outcome in outcomes if self._is_new(outcome)]
        orders = [outcome for outcome in fresh if outcome["revision"] == 1]
        for booked in self._clerks.map(self._book, orders):
            self.booked += booked
        for outcome in orders:
            self._decided(outcome)
        for outcome in fresh:
            if outcome["revision"] > 1:
                self._give_back(outcome)

    def _is_new(self, outcome: dict[str, Any]) -> bool:
        version = identity_of(outcome), outcome["revision"]
        if version in self._seen:
            return False
        self._seen.add(version)
        return True

    def _book(self, outcome: dict[str, Any]) -> bool:
        sold = _lines(outcome["consumeResults"], "consumed")
        if sold:
            self._flow.book(identity_of(outcome), sold)
        return bool(sold)

    def _decided(self, outcome: dict[str, Any]) -> None:
        identity, sold = identity_of(outcome), _lines(outcome["consumeResults"], "consumed")
        with self._lock:
            self._decisions.add(identity)
            cancels = self._waiting.pop(identity, [])
        for cancel in cancels:
            self._send(identity, cancel.value)
        if sold and not cancels and cancelled_by_customer(identity):
            self._change_of_mind(identity, sold)

    def _give_back(self, outcome: dict[str, Any]) -> None:
        back = _lines(outcome.get("cancelResults", []), "cancelled")
        if back:
            self._flow.give_back(identity_of(outcome), outcome["revision"], back)

    def _change_of_mind(self, identity: Identity, sold: list[dict[str, Any]]) -> None:
        """A customer gives back the first of several products, or all there is."""
        back = [Line(**sold[0])] if len(sold) > 1 else []
        self._send(identity, cancelled_value(identity, f"RMA-{identity[0]}", back))

    def _send(self, identity: Identity, value: bytes) -> None:
        self._outbox.send(ORDER_CANCELLED, value, identity[0])


def _lines(results: list[dict[str, Any]], given: str) -> list[dict[str, Any]]:
    return [{"sku": line["sku"], "quantity": line["quantity"]} for line in results if line[given]]
