"""What must be true of a sale, read back from its topics. Each check returns its findings as sentences."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from schemas.topics import DEAD_LETTERS, ORDER_CANCELLED, ORDER_OUTCOMES, ORDER_PLACED
from tests.support.audit import Key, fold
from tests.support.system import Message, System

Source = tuple[str, str, str]
MOST_FINDINGS = 20


@dataclass(frozen=True)
class Evidence:
    """Everything that was sent and everything that was answered. `stock` is units by (promotion, SKU)."""

    sent: dict[Source, Message]
    outcomes: list[Message]
    dead: list[Message]
    stock: Mapping[Key, int]


def gather(sale: System, stock: Mapping[Key, int]) -> Evidence:
    """Read it all with a new `read_committed` consumer."""
    sent = {
        (sale.prefix + topic, str(message.partition), str(message.offset)): message
        for topic in (ORDER_PLACED, ORDER_CANCELLED)
        for message in sale.read(topic)
    }
    return Evidence(sent, sale.read(ORDER_OUTCOMES), sale.read(DEAD_LETTERS), stock)


def findings(evidence: Evidence) -> list[str]:
    """Whatever is wrong, MOST_FINDINGS at most; empty when all is right."""
    checks = (unanswered, misread, changed, contradicted, half_given, oversold)
    return [finding for check in checks for finding in check(evidence)][:MOST_FINDINGS]


def unanswered(evidence: Evidence) -> Iterator[str]:
    """Every event has one answer, an outcome or a dead letter, and nothing was answered that was not sent."""
    answers: dict[Source, int] = dict.fromkeys(evidence.sent, 0)
    for message in [*evidence.outcomes, *evidence.dead]:
        source = source_of(message)
        if source not in answers:
            yield f"an answer names {source}, where nothing was sent: {message.value!r}"
        answers[source] = answers.get(source, 0) + 1
    for source, count in answers.items():
        if count != 1:
            yield f"{source} has {count} answers: {evidence.sent[source].value!r}"


def misread(evidence: Evidence) -> Iterator[str]:
    """An answer is about what was sent; a dead letter has its bytes; only what cannot be read is INVALID."""
    for message in evidence.outcomes:
        event = read(evidence.sent.get(source_of(message)))
        answered = message.json["orderRef"], message.json["promotionId"]
        if event is None or answered != (event["ref"], event["promotionId"]):
            yield f"{source_of(message)} was {event}, the outcome is about {answered}"
    for message in evidence.dead:
        original = evidence.sent.get(source_of(message))
        expected = "INVALID" if read(original) is None else "CONFLICT"
        if original is None or message.value != original.value or message.headers["reason"] != expected:
            yield f"{source_of(message)} is a dead letter, {message.headers['reason']}: {message.value!r}"


def changed(evidence: Evidence) -> Iterator[str]:
    """A decision that is told again is told in the same bytes."""
    told: dict[tuple[str, str, int], set[bytes]] = defaultdict(set)
    for message in evidence.outcomes:
        outcome = message.json
        told[outcome["orderRef"], outcome["promotionId"], outcome["revision"]].add(message.value)
    for decision, values in told.items():
        if len(values) > 1:
            yield f"{decision} was told in {len(values)} ways: {sorted(values)}"


def contradicted(evidence: Evidence) -> Iterator[str]:
    """Of events with one identity and different contents one content stands, the others are conflicts."""
    standing: dict[Any, set[Any]] = defaultdict(set)
    refused: dict[Any, set[Any]] = defaultdict(set)
    for messages, contents in ((evidence.outcomes, standing), (evidence.dead, refused)):
        for message in messages:
            original = evidence.sent.get(source_of(message))
            event = read(original)
            if original is not None and event is not None:
                identity, content = identified(source_of(message)[0], event)
                contents[identity].add(content)
    for identity in {*standing, *refused}:
        if len(standing[identity]) != 1 or standing[identity] & refused[identity]:
            yield f"of {identity} stand {standing[identity]}, and refused are {refused[identity]}"


def half_given(evidence: Evidence) -> Iterator[str]:
    """An order that takes all or nothing never keeps a part."""
    for message in evidence.outcomes:
        lines = message.json["consumeResults"]
        if any(line["consumed"] for line in lines) and any(
            line.get("reason") == "INCOMPLETE_ORDER" for line in lines
        ):
            yield f"a part of an all-or-nothing order was given: {message.value!r}"


def oversold(evidence: Evidence) -> Iterator[str]:
    """No SKU gave more than was set aside, cancels taken off."""
    for key, units in fold(evidence.outcomes).taken.items():
        if units > evidence.stock.get(key, 0):
            yield f"of {key} {units} units were given, and {evidence.stock.get(key, 0)} set aside"


def misreported(evidence: Evidence, promotion: str, report: Mapping[str, Any]) -> Iterator[str]:
    """In the FINAL report reserved = consumed + released, and consumed is what the outcomes say."""
    taken, lines = fold(evidence.outcomes).taken, {line["sku"]: line for line in report["lines"]}
    for (of, sku), units in evidence.stock.items():
        if of != promotion:
            continue
        line = lines.get(sku, {})
        given = taken[promotion, sku]
        if [line.get("reserved"), line.get("consumed"), line.get("released")] != [
            units,
            given,
            units - given,
        ]:
            yield f"{promotion}, {sku}: {units} set aside and {given} given, but the report says {line}"


def source_of(message: Message) -> Source:
    """The input that a record answers."""
    headers = message.headers
    return headers["source-topic"], headers["source-partition"], headers["source-offset"]


def read(message: Message | None) -> dict[str, Any] | None:
    """The order that an event is about; None for one that says nothing."""
    try:
        order = None if message is None else json.loads(message.value)["order"]
    except (ValueError, KeyError):
        return None
    return order if isinstance(order, dict) else None


def identified(topic: str, event: Mapping[str, Any]) -> tuple[Any, Any]:
    """What identifies an event, and its content."""
    order = event["ref"], event["promotionId"]
    content = frozenset((item["sku"], item["quantity"]) for item in event.get("items", ()))
    if not topic.endswith(ORDER_CANCELLED):
        return (ORDER_PLACED, *order), content
    return (ORDER_CANCELLED, *order, event.get("cancellationRef", content)), content
