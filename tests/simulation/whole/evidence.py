"""What a sale of the whole system leaves behind, as the independent auditor reads it."""

from __future__ import annotations

import json
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
from tests.audit.evidence import CHANGELOG, INPUTS, READ, Evidence, Record, Source
from tests.simulation.whole.kafka import Entry
from tests.support.ends import ends_known_ms

if TYPE_CHECKING:
    from tests.simulation.whole.sale import Sale

ANSWERS = (ORDER_OUTCOMES, PROMOTION_RESULTS, DEAD_LETTERS)


def gather(sale: Sale) -> Evidence:
    """Everything that an outsider could read after a sale that came to rest."""
    auditor, terms = sale.cluster.fluent.world.auditor, sale.kind.terms
    return Evidence(
        {topic: _sent(sale, topic) if topic in INPUTS else _read(sale, topic) for topic in READ},
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
        read_again={each.source for each in sale.inputs.all if each.again},
    )


def unanswered(sale: Sale) -> list[str]:
    """What is still to come: answers, FINAL reports, the end of holds."""
    answered = answered_inputs(sale)
    missing = [
        str(each.source)
        for each in sale.inputs.all
        if each.partition[0] != PROMOTION_END  # an end may have no answer
        if not each.lost and each.source not in answered
    ]
    final = {report["promotionId"] for report in _reports(sale) if report["kind"] == "FINAL"}
    started = {each.key for each in _entries(sale, PROMOTION_RESULTS)}
    missing += [f"the FINAL report of {key!r}" for key in started if key and key.decode() not in final]
    held = {sku: figures["held"] for sku, figures in sale.cluster.fluent.world.auditor.truth().items()}
    return missing + [f"{units} units of {sku} are held" for sku, units in held.items() if units]


def _reports(sale: Sale) -> list[dict[str, str]]:
    return [json.loads(entry.value or b"{}") for entry in _entries(sale, RECONCILIATION_REPORTS)]


def answered_inputs(sale: Sale) -> set[Source]:
    """All of which there is an outcome, a result or a dead letter."""
    return {source for topic in ANSWERS for source in _sources(sale, topic)}


def _sources(sale: Sale, topic: str) -> Iterator[tuple[str, int, int]]:
    for entry in _entries(sale, topic):
        yield sale.inputs.answered_by(_texts(entry))


def _texts(entry: Entry) -> dict[str, str]:
    return {name: value.decode() for name, value in entry.headers}


def _entries(sale: Sale, topic: str) -> Iterator[Entry]:
    kafka = sale.cluster.kafka
    for number in range(kafka.topics[topic]):
        yield from kafka.logs[topic, number].read(0, 1_000_000)[0]


def _sent(sale: Sale, topic: str) -> list[Record]:
    """What was sent to an input topic, but for what was deleted before anybody had read it."""
    unread = sale.inputs.unread(answered_inputs(sale))
    sent = [each for each in sale.inputs.all if each.partition[0] == topic and each.source not in unread]
    return [
        Record(
            each.partition[1], each.source[2], each.entry.timestamp, each.entry.key, each.entry.value or b""
        )
        for each in sorted(sent, key=lambda each: each.source)
    ]


def _read(sale: Sale, topic: str) -> list[Record]:
    kafka = sale.cluster.kafka
    return [
        Record(
            number,
            entry.offset,
            entry.timestamp,
            entry.key,
            entry.value or b"",
            _headers(sale, topic, entry),
        )
        for number in range(kafka.topics[topic])
        for entry in kafka.logs[topic, number].read(0, 1_000_000)[0]
    ]


def _headers(sale: Sale, topic: str, entry: Entry) -> dict[str, str]:
    if topic == CHANGELOG:
        return {}
    found = _texts(entry)
    if topic in ANSWERS:
        found["source-offset"] = str(sale.inputs.answered_by(found)[2])
    return found
