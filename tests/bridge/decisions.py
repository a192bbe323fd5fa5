"""Decisions as a worker publishes them, in transactions: for tests that need an exact one, or a late one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from tests.support.system import wait_until

Record = tuple[str, Mapping[str, Any] | bytes, Mapping[str, object]]
"""Topic (logical name), value, headers."""


class Decider:
    """A transactional producer under a prefix, and a reader of what was sent to an input topic."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self._bootstrap = bootstrap
        self.prefix = prefix
        self._producer = Producer(
            {"bootstrap.servers": bootstrap, "transactional.id": f"{prefix}decider", "linger.ms": 0}
        )
        self._producer.init_transactions(30)

    def publish(self, *records: Record, commit: bool = True) -> None:
        """Publish records in one transaction, or abort it."""
        self._producer.begin_transaction()
        for topic, value, headers in records:
            content = value if isinstance(value, bytes) else json.dumps(value).encode()
            key = _key_of(value)
            texts: list[tuple[str, str | bytes | None]] = [
                (name, str(text)) for name, text in headers.items()
            ]
            self._producer.produce(self.prefix + topic, content, key, headers=texts)
        if commit:
            self._producer.commit_transaction(30)
        else:
            self._producer.flush(30)
            self._producer.abort_transaction(30)

    def source_of(
        self, topic: str, text: str, occurrence: int = 1, timeout_s: float = 30
    ) -> dict[str, object]:
        """The source headers that answer the n-th record of `topic` whose value contains `text`."""

        def find() -> dict[str, object]:
            found = [place for place, value in self.read(topic) if text.encode() in value]
            return found[occurrence - 1] if len(found) >= occurrence else {}

        return wait_until(find, f"{text} in {topic}", timeout_s)

    def read(self, topic: str) -> Iterable[tuple[dict[str, object], bytes]]:
        """Source headers and value of every record of an input topic, by arrival."""
        name = self.prefix + topic
        config = {"bootstrap.servers": self._bootstrap, "group.id": f"{self.prefix}test-reader"}
        consumer = Consumer(
            {**config, "enable.partition.eof": True, "auto.offset.reset": "earliest", "fetch.wait.max.ms": 10}
        )
        try:
            numbers = consumer.list_topics(name, 10).topics[name].partitions
            consumer.assign([TopicPartition(name, number, 0) for number in numbers])
            records, ended = [], 0
            while ended < len(numbers):
                message = consumer.poll(10)
                assert message is not None, f"nothing more of {name}"
                if message.error() is not None:
                    ended += 1
                    continue
                place: dict[str, object] = {
                    "source-topic": name,
                    "source-partition": message.partition(),
                    "source-offset": message.offset(),
                }
                records.append((message.timestamp()[1], place, message.value() or b""))
            return [(place, value) for _, place, value in sorted(records, key=lambda record: record[0])]
        finally:
            consumer.close()


def _key_of(value: Mapping[str, Any] | bytes) -> str:
    """The key of a decision, or of the event that a dead letter has as its value."""
    if isinstance(value, bytes):
        return ""
    if "order" in value:
        return str(value["order"]["ref"])
    return str(value.get("orderRef") or value["promotionId"])


def outcome(ref: str, promotion: str = "P", *, taken: bool = True, revision: int = 1) -> dict[str, Any]:
    """Value of an `order-outcomes` record of one line."""
    line: dict[str, Any] = {"sku": "SKU-1", "quantity": 1, "consumed": taken}
    if not taken:
        line |= {"reason": "EXHAUSTED", "recommendation": "Offer the regular price."}
    return {
        "orderRef": ref,
        "promotionId": promotion,
        "outcome": "ACCEPTED" if taken else "REJECTED",
        "consumeResults": [line],
        "decidedAt": "2025-11-28T09:00:04.217Z",
        "revision": revision,
    }


def results(
    promotion: str, skus: Iterable[str], page: int = 1, pages: int = 1, of: int = 1
) -> dict[str, Any]:
    """Value of a `promotion-results` record; `of` is how many SKUs there are over all pages."""
    reservations = [
        {
            "promotionId": promotion,
            "sku": sku,
            "success": True,
            "reservationRef": f"FS-{promotion}-{sku}",
            "quantity": 10,
            "expiresAt": "2025-11-28T11:00:00.000Z",
        }
        for sku in skus
    ]
    summary = {"success": of, "errors": 0}
    return {
        "promotionId": promotion,
        "reservations": reservations,
        "summary": summary,
        "page": page,
        "pages": pages,
    }


def report(promotion: str, kind: str, status: str, page: int = 1, pages: int = 1) -> dict[str, Any]:
    """Value of a `reconciliation-reports` record without lines."""
    names = ("reserved", "consumed", "cancelled", "released", "rejectedUnits", "rejectedOrders", "drift")
    return {
        "promotionId": promotion,
        "kind": kind,
        "status": status,
        "lines": [],
        "totals": dict.fromkeys(names, 0),
        "page": page,
        "pages": pages,
        "revision": 1,
        "generatedAt": "2025-11-28T11:00:07.440Z",
    }


def dead_letter(reason: str, error: str) -> dict[str, object]:
    """Headers of a dead letter beside its source."""
    return {
        "reason": reason,
        "error": error,
        "recommendation": "Do better.",
        "failed-at": "2025-11-28T09:00:04.217Z",
    }
