"""What the evidence says taken together: who asked, what was answered, and what that makes per SKU."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from tests.audit.events import Event, read_event
from tests.audit.evidence import (
    DEAD_LETTERS,
    INPUTS,
    ORDER_CANCELLED,
    ORDER_PLACED,
    OUTCOMES,
    PROMOTION_END,
    PROMOTION_START,
    RELEASES,
    REPORTS,
    RESULTS,
    Evidence,
    Record,
    Source,
    Subject,
)

Outcome = dict[str, Any]


@dataclass
class Sums:
    """What the outcomes say about one SKU of one promotion; `consumed` is net of cancels."""

    consumed: int = 0
    cancelled: int = 0
    refused_units: int = 0
    refused_lines: int = 0


class Sale:
    """Everything is worked out once, when an invariant asks for it."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence

    def records(self, topic: str) -> list[Record]:
        """All records of a topic."""
        return list(self.evidence.records.get(topic, ()))

    @cached_property
    def sent(self) -> dict[Source, Record]:
        """Every input record."""
        return {
            (topic, record.partition, record.offset): record
            for topic in INPUTS
            for record in self.records(topic)
        }

    @cached_property
    def events(self) -> dict[Source, Event | None]:
        """What each input record says; None for one that cannot be read."""
        return {source: read_event(source[0], record) for source, record in self.sent.items()}

    @cached_property
    def outcomes(self) -> list[tuple[Source, Record, Outcome]]:
        """Every record of order-outcomes with what it answers."""
        return [
            (self.source_of(record), record, json.loads(record.value)) for record in self.records(OUTCOMES)
        ]

    @cached_property
    def results(self) -> list[tuple[Source, Record, dict[str, Any]]]:
        """Every record of promotion-results with what it answers."""
        return [
            (self.source_of(record), record, json.loads(record.value)) for record in self.records(RESULTS)
        ]

    @cached_property
    def letters(self) -> dict[Source, list[Record]]:
        """Dead letters by what they answer."""
        found: dict[Source, list[Record]] = defaultdict(list)
        for record in self.records(DEAD_LETTERS):
            found[self.source_of(record)].append(record)
        return found

    def source_of(self, record: Record) -> Source:
        """The input that an answer names in its headers."""
        headers = record.headers
        topic = headers["source-topic"].removeprefix(self.evidence.prefix)
        return topic, int(headers["source-partition"]), int(headers["source-offset"])

    @cached_property
    def revisions(self) -> dict[tuple[str, str], dict[int, set[bytes]]]:
        """By order and revision: in which bytes it was told."""
        found: dict[tuple[str, str], dict[int, set[bytes]]] = defaultdict(lambda: defaultdict(set))
        for _, record, outcome in self.outcomes:
            found[outcome["orderRef"], outcome["promotionId"]][outcome["revision"]].add(record.value)
        return found

    @cached_property
    def histories(self) -> dict[tuple[str, str], list[Outcome]]:
        """By order: one outcome of each revision, in their order."""
        return {
            name: [json.loads(min(told[revision])) for revision in sorted(told)]
            for name, told in self.revisions.items()
        }

    @cached_property
    def forgettable(self) -> set[tuple[str, ...]]:
        """Orders of which an event came so long after another that they may have been forgotten meanwhile.

        Such an order begins anew with revision 1; what it took before is still its own.
        """
        kept_ms = self.evidence.remembered_ms
        if kept_ms is None:
            return set()
        times: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for event in self.events.values():
            if event is not None:
                times[event.name].append(event.at_ms)
        return {name for name, at_ms in times.items() if max(at_ms) - min(at_ms) >= kept_ms}

    @cached_property
    def told(self) -> dict[tuple[str, str], list[Outcome]]:
        """By order: every outcome in the order of its log, without what was told before in the same bytes."""
        found: dict[tuple[str, str], dict[bytes, Outcome]] = defaultdict(dict)
        for _, record, outcome in self.outcomes:
            found[outcome["orderRef"], outcome["promotionId"]].setdefault(record.value, outcome)
        return {name: list(outcomes.values()) for name, outcomes in found.items()}

    @cached_property
    def sums(self) -> dict[Subject, Sums]:
        """What all orders together took, gave back and were refused."""
        found: dict[Subject, Sums] = defaultdict(Sums)
        for (_, promotion), outcomes in self.told.items():
            has: dict[str, int] = defaultdict(int)
            for outcome in outcomes:
                for sku, units in changes(outcome):
                    retold = has[sku] > 0 and units == has[sku]
                    if not retold:
                        has[sku] += units
                        found[promotion, sku].consumed += units
                        found[promotion, sku].cancelled += max(0, -units)
                for line in refused(outcome):
                    found[promotion, line["sku"]].refused_units += line["quantity"]
                    found[promotion, line["sku"]].refused_lines += 1
        return found

    @cached_property
    def lines(self) -> dict[Subject, dict[str, Any]]:
        """What promotion-results say of each SKU."""
        return {
            (result["promotionId"], line["sku"]): line
            for _, _, result in self.results
            for line in result["reservations"]
        }

    @cached_property
    def reserved(self) -> dict[Subject, int]:
        """Units that were set aside, 0 where that was refused."""
        return {key: line["quantity"] if line["success"] else 0 for key, line in self.lines.items()}

    @cached_property
    def releases(self) -> list[dict[str, Any]]:
        """Every record of reservation-releases."""
        return [json.loads(record.value) for record in self.records(RELEASES)]

    @cached_property
    def finals(self) -> dict[str, dict[int, list[dict[str, Any]]]]:
        """FINAL reports: by promotion and revision the pages, in their order."""
        found: dict[str, dict[int, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
        for record in self.records(REPORTS):
            report = json.loads(record.value)
            if report["kind"] == "FINAL":
                found[report["promotionId"]][report["revision"]].append(report)
        for revisions in found.values():
            for pages in revisions.values():
                pages.sort(key=lambda page: int(page.get("page", 1)))
        return found

    @cached_property
    def placed_ms(self) -> dict[tuple[str, ...], tuple[int, int]]:
        """By order: when its events were placed, the first and the last."""
        return self._times(ORDER_PLACED)

    @cached_property
    def started_ms(self) -> dict[tuple[str, ...], tuple[int, int]]:
        """By promotion: when its starts were placed, the first and the last."""
        return self._times(PROMOTION_START)

    @cached_property
    def ended_ms(self) -> dict[tuple[str, ...], tuple[int, int]]:
        """By promotion: when its ends were placed, the first and the last, also where no start was known."""
        return self._times(PROMOTION_END)

    @cached_property
    def identities(self) -> dict[tuple[str, ...], set[Any]]:
        """By order: its different events, conflicts left out."""
        found: dict[tuple[str, ...], set[Any]] = defaultdict(set)
        for source, event in self.events.items():
            if event is not None and len(event.name) == 2 and source not in self.letters:
                found[event.name].add(event.identity)
        return found

    @cached_property
    def cancelled_orders(self) -> set[tuple[str, ...]]:
        """Orders that somebody wanted to cancel."""
        return {event.name for event in self.events.values() if event and event.topic == ORDER_CANCELLED}

    def _times(self, topic: str) -> dict[tuple[str, ...], tuple[int, int]]:
        found: dict[tuple[str, ...], tuple[int, int]] = {}
        for source, event in self.events.items():
            refused = source in self.letters and topic != PROMOTION_END
            if event is not None and event.topic == topic and not refused:
                first, last = found.get(event.name, (event.at_ms, event.at_ms))
                found[event.name] = (min(first, event.at_ms), max(last, event.at_ms))
        return found


def changes(outcome: Outcome) -> Iterator[tuple[str, int]]:
    """What a revision changes: units taken by an order, given back by those that answer a cancel."""
    if "cancelResults" in outcome:
        yield from (
            (each["sku"], -each["quantity"]) for each in outcome["cancelResults"] if each["cancelled"]
        )
    else:
        yield from ((each["sku"], each["quantity"]) for each in outcome["consumeResults"] if each["consumed"])


def refused(outcome: Outcome) -> list[dict[str, Any]]:
    """Lines that an order asked for and did not get, without those that a cancel had taken out before."""
    return [each for each in asked(outcome) if not each["consumed"]]


def asked(outcome: Outcome) -> list[dict[str, Any]]:
    """The lines of an order's own decision, without those that a cancel had taken out before."""
    if "cancelResults" in outcome:
        return []
    return [each for each in outcome["consumeResults"] if each.get("reason") != "CANCELLED"]


def time_ms(text: str) -> int:
    """An ISO 8601 time as Unix milliseconds."""
    return round(datetime.fromisoformat(text).timestamp() * 1_000)
