"""What a run leaves behind, as the independent auditor reads it: records of topics and Fluent's figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from schemas.times import iso_utc
from schemas.topics import SKU_COMMANDS
from streams.ledger.inputs import CancelOrder, EndPromotion, PlaceOrder, StartPromotion
from streams.ledger.terms import Terms
from tests.audit.evidence import CHANGELOG, INPUTS, READ, Evidence, Record
from tests.simulation.broker import Broker
from tests.simulation.fluent import Fluent
from tests.simulation.worker import Task
from tests.support.ends import ends_known_ms

Event = PlaceOrder | CancelOrder | StartPromotion | EndPromotion
MINUTE_MS = 60_000


def as_sent(event: Event) -> bytes:
    """The bytes of the input record that intake made this event of."""
    if isinstance(event, PlaceOrder | CancelOrder):
        order: dict[str, object] = {"ref": event.order_ref, "promotionId": event.promotion_id}
        if isinstance(event, CancelOrder) and event.cancellation_ref:
            order["cancellationRef"] = event.cancellation_ref
        if event.lines:
            order["items"] = _items(event.lines)
        return msgspec.json.encode({"order": order})
    if isinstance(event, EndPromotion):
        return msgspec.json.encode({"promotion": {"id": event.promotion_id}})
    lasts: dict[str, object] = {"durationMinutes": event.duration_ms / MINUTE_MS}
    if event.expires_at_ms:
        lasts = {"expiresAt": iso_utc(event.expires_at_ms)}
    return msgspec.json.encode(
        {"promotion": {"id": event.promotion_id, "skus": _items(event.lines), **lasts}}
    )


def _items(lines: Iterable[tuple[str, int]]) -> list[dict[str, object]]:
    return [{"sku": sku, "quantity": quantity} for sku, quantity in lines]


def gather(
    broker: Broker,
    sent: dict[tuple[str, int], Event],
    fluent: Fluent,
    tasks: list[Task],
    terms: Terms,
    journal: Sequence[Mapping[str, Any]],
) -> Evidence:
    """Everything that an outsider could read after a run that came to rest."""
    records = {topic: _read(broker, topic) for topic in READ if topic not in INPUTS}
    for topic in INPUTS:
        records[topic] = [
            Record(0, offset, event.placed_at_ms, None, event.original)
            for (of, offset), event in sent.items()
            if of == topic
        ]
    return Evidence(
        records,
        all_or_nothing=terms.all_or_nothing,
        remembered_ms=terms.orders_kept_ms,
        forgotten=True,
        stock={sku: stock.on_hand for sku, stock in fluent.stocks.items()},
        truth={
            sku: {"held": stock.held, "available": stock.available} for sku, stock in fluent.stocks.items()
        },
        journal=journal,
        settle_delay_ms=None if terms.book_sale else terms.settle_delay_ms,
        ends_known_ms=ends_known_ms((each.at_ms, each.value) for each in _read(broker, SKU_COMMANDS)),
        tables={task.index: task.store.rows for task in tasks},
    )


def _read(broker: Broker, topic: str) -> list[Record]:
    return [
        Record(
            partition,
            offset,
            record.at_ms,
            record.key,
            record.value,
            {name: value.decode() for name, value in record.headers or []} if topic != CHANGELOG else {},
        )
        for partition in range(broker.partitions)
        for offset, record in enumerate(broker.logs[topic, partition])
    ]
