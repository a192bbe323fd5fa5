"""The shop after checkout: books what was accepted in Fluent's order flow, and lets customers cancel.

With `settlement` "order-flow" Fluent's own order workflow books the sold units; in the demo this is it. It
reads `order-outcomes` as any other system would.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from rehearsal.demo.events import Cancel, Identity, cancelled_value
from rehearsal.demo.evidence import identity_of
from rehearsal.demo.invoices import Line
from rehearsal.demo.kafka_topics import Reader
from rehearsal.demo.plan import cancelled_by_customer
from rehearsal.demo.publisher import Outbox
from schemas.topics import ORDER_CANCELLED, ORDER_OUTCOMES
from streams.settings import Settings

WAIT_S = 0.05
HTTP_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 15.0
BOOKINGS_AT_ONCE = 4


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


class Shop(threading.Thread):
    """Follows `order-outcomes` to its end and acts on each record once.

    `handled` counts the records that it is done with, repeats included: their bookings are in Fluent and the
    cancels that they brought about are in Kafka.
    """

    def __init__(self, settings: Settings, flow: OrderFlow, outbox: Outbox) -> None:
        super().__init__(name="shop", daemon=True)
        self._reader = Reader(settings, [ORDER_OUTCOMES], "shop")
        self._flow = flow
        self._outbox = outbox
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._waiting: defaultdict[Identity, list[Cancel]] = defaultdict(list)
        self._decisions: set[Identity] = set()
        self._seen: set[tuple[Identity, int]] = set()
        self._clerks = ThreadPoolExecutor(BOOKINGS_AT_ONCE, "shop")
        self.failure: Exception | None = None
        self.handled = 0
        self.booked = 0

    def run(self) -> None:
        """Follow the topic until `stop`; a failure stays in `failure`."""
        try:
            while not self._stopping.is_set():
                records = self._reader.new(WAIT_S)
                if records:
                    self._act([record.json for record in records])
                    self._outbox.flush()
                self.handled += len(records)
        except Exception as error:
            self.failure = error

    def stop(self) -> None:
        """Act on nothing more; returns when the thread has ended."""
        self._stopping.set()
        if self.is_alive():
            self.join(STOP_TIMEOUT_S)
        self._clerks.shutdown()
        self._reader.close()
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
