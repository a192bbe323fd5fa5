"""The shop's checkout: sends the orders and cancels of the plan, in time, in a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from confluent_kafka import KafkaError, Message, Producer

from rehearsal.demo.events import Cancel, Event, Placed
from rehearsal.demo.plan import Plan
from schemas.topics import ORDER_CANCELLED, ORDER_PLACED
from streams.kafka import producer_config
from streams.settings import Settings

FLUSH_TIMEOUT_S = 30.0


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


class Publisher(threading.Thread):
    """Sends every event `at_s` / `speed` seconds after the first one; without `speed` as fast as possible.

    A cancel of a known order is handed to `after_decision`: a customer gives back what they got.
    """

    def __init__(
        self, plan: Plan, outbox: Outbox, speed: float | None, after_decision: Callable[[Cancel], None]
    ) -> None:
        super().__init__(name="publisher", daemon=True)
        events: tuple[Event, ...] = (*plan.placed, *plan.cancels)
        self._events = sorted(events, key=lambda event: event.at_s)
        self._outbox = outbox
        self._speed = speed
        self._after_decision = after_decision
        self._stopping = threading.Event()
        self.failure: Exception | None = None
        self.done = False

    def run(self) -> None:
        """Send, then flush; a failure stays in `failure`."""
        try:
            start = time.monotonic()
            for event in self._events:
                if self._stopping.wait(self._wait_s(start, event)):
                    return
                self._send(event)
            self._outbox.flush()
            self.done = True
        except Exception as error:
            self.failure = error

    def stop(self) -> None:
        """Send nothing more; returns when the thread has ended."""
        self._stopping.set()
        if self.is_alive():
            self.join(FLUSH_TIMEOUT_S)

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
