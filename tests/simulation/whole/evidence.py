"""What a sale of the whole system leaves behind, as the independent auditor reads it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from schemas.topics import (
    DEAD_LETTERS,
    ORDER_OUTCOMES,
    PROMOTION_END,
    PROMOTION_RESULTS,
    RECONCILIATION_REPORTS,
    SKU_COMMANDS,
)
from tests.audit.evidence import CHANGELOG, READ, Evidence, Record
from tests.simulation.whole.kafka import Entry
from tests.support.ends import ends_known_ms

if TYPE_CHECKING:
    from tests.simulation.whole.sale import Sale

ANSWERS = (ORDER_OUTCOMES, PROMOTION_RESULTS, DEAD_LETTERS)


def gather(sale: Sale) -> Evidence:
    """Everything that an outsider could read after a sale that came to rest."""
    auditor, terms = sale.cluster.fluent.world.auditor, sale.kind.terms
    return Evidence(
        {topic: _read(sale, topic) for topic in READ},
        all_or_nothing=terms.all_or_nothing,
        remembered_ms=terms.orders_kept_ms,
        stock={sku: units - sale.sold_elsewhere[sku] for sku, units in sale.stock.items()},
        truth=auditor.truth(),
        journal=list(auditor.journal),
        settle_delay_ms=None if terms.book_sale else terms.settle_delay_ms,
        max_backlog_ms=terms.max_backlog_ms,
        ends_known_ms=ends_known_ms(
            (each.timestamp, each.value or b"") for each in _entries(sale, SKU_COMMANDS)
        ),
        tables=sale.tables,
    )


def unanswered(sale: Sale) -> list[str]:
    """What is still to come: answers, FINAL reports, the end of holds."""
    missing = [str(source) for source in sale.sent if source[0] != PROMOTION_END]  # an end may have no answer
    answered = Counter(str(source) for topic in ANSWERS for source in _sources(sale, topic))
    missing = [source for source in missing if not answered[source]]
    final = {report["promotionId"] for report in _reports(sale) if report["kind"] == "FINAL"}
    started = {each.key for each in _entries(sale, PROMOTION_RESULTS)}
    missing += [f"the FINAL report of {key!r}" for key in started if key and key.decode() not in final]
    held = {sku: figures["held"] for sku, figures in sale.cluster.fluent.world.auditor.truth().items()}
    return missing + [f"{units} units of {sku} are held" for sku, units in held.items() if units]


def _reports(sale: Sale) -> list[dict[str, str]]:
    return [json.loads(entry.value or b"{}") for entry in _entries(sale, RECONCILIATION_REPORTS)]


def _sources(sale: Sale, topic: str) -> Iterator[tuple[str, int, int]]:
    for entry in _entries(sale, topic):
        headers = {name: value.decode() for name, value in entry.headers}
        yield headers["source-topic"], int(headers["source-partition"]), int(headers["source-offset"])


def _entries(sale: Sale, topic: str) -> Iterator[Entry]:
    kafka = sale.cluster.kafka
    for number in range(kafka.topics[topic]):
        yield from kafka.logs[topic, number].read(0, 1_000_000)[0]


def _read(sale: Sale, topic: str) -> list[Record]:
    kafka = sale.cluster.kafka
    return [
        Record(
            number,
            entry.offset,
            entry.timestamp,
            entry.key,
            entry.value or b"",
            {name: value.decode() for name, value in entry.headers} if topic != CHANGELOG else {},
        )
        for number in range(kafka.topics[topic])
        for entry in kafka.logs[topic, number].read(0, 1_000_000)[0]
    ]
