"""What can be known about a sale from outside: its topics and Fluent's truth, added up from scratch. Pure.

Nothing here comes from the demo's own counters; the records are read after the sale by a consumer that saw
nothing before.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from rehearsal.demo.events import Identity
from rehearsal.demo.topics import Record, identity_of
from schemas.topics import (
    DEAD_LETTERS,
    ORDER_CANCELLED,
    ORDER_OUTCOMES,
    ORDER_PLACED,
    PROMOTION_RESULTS,
    PROMOTION_START,
    RECONCILIATION_REPORTS,
    RESERVATION_RELEASES,
)

AUDITED = (
    PROMOTION_START, ORDER_PLACED, ORDER_CANCELLED, ORDER_OUTCOMES, DEAD_LETTERS, PROMOTION_RESULTS,
    RESERVATION_RELEASES, RECONCILIATION_REPORTS,
)  # fmt: skip

Key = tuple[str, str]
"""(promotion id, SKU)"""


@dataclass(frozen=True)
class Evidence:
    """Committed records by topic, `/_truth` after the sale; `stock` is each SKU's availability before it."""

    records: Mapping[str, Sequence[Record]]
    truth: Mapping[str, Mapping[str, Any]]
    stock: Mapping[str, int]

    def of(self, topic: str) -> Sequence[Record]:
        """All records of a topic."""
        return self.records.get(topic, ())

    @cached_property
    def outcomes(self) -> list[tuple[Record, dict[str, Any]]]:
        """Every outcome record with its decoded value."""
        return [(record, record.json) for record in self.of(ORDER_OUTCOMES)]

    @cached_property
    def placed(self) -> dict[Identity, list[Record]]:
        """The records of each order in `order-placed`, repeats together."""
        found: dict[Identity, list[Record]] = {}
        for record in self.of(ORDER_PLACED):
            order = record.json["order"]
            found.setdefault((order["ref"], order["promotionId"]), []).append(record)
        return found

    @cached_property
    def decided(self) -> dict[Identity, Record]:
        """The first record of each order's decision; cancels of unknown orders are none."""
        found: dict[Identity, Record] = {}
        for record, outcome in self.outcomes:
            if outcome["revision"] == 1 and "reason" not in outcome:
                found.setdefault(identity_of(outcome), record)
        return found

    @cached_property
    def versions(self) -> dict[tuple[Identity, int], set[bytes]]:
        """The different bytes that were published for each order and revision."""
        found: defaultdict[tuple[Identity, int], set[bytes]] = defaultdict(set)
        for record, outcome in self.outcomes:
            found[identity_of(outcome), outcome["revision"]].add(record.value)
        return dict(found)

    @cached_property
    def states(self) -> dict[Identity, dict[str, Any]]:
        """The newest outcome of each order."""
        newest: dict[Identity, dict[str, Any]] = {}
        for _, outcome in self.outcomes:
            known = newest.get(identity_of(outcome))
            if known is None or outcome["revision"] > known["revision"]:
                newest[identity_of(outcome)] = outcome
        return newest

    @cached_property
    def sold(self) -> Counter[Key]:
        """Units that orders took and kept, by promotion and SKU: each order and revision counted once."""
        units: Counter[Key] = Counter()
        seen: set[tuple[Identity, int]] = set()
        for _, outcome in self.outcomes:
            version = identity_of(outcome), outcome["revision"]
            if version in seen:
                continue
            seen.add(version)
            if outcome["revision"] == 1:
                _count(units, outcome["promotionId"], outcome["consumeResults"], "consumed", 1)
            _count(units, outcome["promotionId"], outcome.get("cancelResults", ()), "cancelled", -1)
        return units

    @cached_property
    def reserved(self) -> dict[Key, int]:
        """Units that Fluent set aside, by promotion and SKU."""
        return {
            (line["promotionId"], line["sku"]): line["quantity"]
            for record in self.of(PROMOTION_RESULTS)
            for line in record.json["reservations"]
            if line["success"]
        }

    @cached_property
    def promotions(self) -> dict[str, dict[str, Any]]:
        """Each promotion's start, by id."""
        starts = [record.json["promotion"] for record in self.of(PROMOTION_START)]
        return {start["id"]: start for start in sorted(starts, key=lambda start: str(start["id"]))}

    @cached_property
    def finals(self) -> dict[str, Final]:
        """The newest FINAL report of each promotion, where all its pages are there."""
        pages: defaultdict[tuple[str, int], dict[int, Any]] = defaultdict(dict)
        for record in self.of(RECONCILIATION_REPORTS):
            report = record.json
            if report["kind"] == "FINAL":
                pages[report["promotionId"], report["revision"]][report["page"]] = report
        found = {}
        for (promotion, _), parts in sorted(pages.items(), key=lambda item: item[0][1]):
            first = next(iter(parts.values()))
            if len(parts) == first["pages"]:
                lines = [line for page in sorted(parts) for line in parts[page]["lines"]]
                found[promotion] = Final(first["status"], first["totals"], lines)
        return found

    @cached_property
    def causes(self) -> dict[str, Counter[str]]:
        """Why units went back on sale, by promotion: how many SKUs' releases had which cause."""
        found: dict[str, Counter[str]] = {}
        for record in self.of(RESERVATION_RELEASES):
            release = record.json
            found.setdefault(release["promotionId"], Counter())[release["cause"]] += 1
        return found

    def undecided_at(self, at_ms: int) -> int:
        """Orders that were in Kafka at a moment and whose decision was not; Unix milliseconds."""
        sent = {identity for identity, records in self.placed.items() if records[0].timestamp_ms <= at_ms}
        decided = {identity for identity, record in self.decided.items() if record.timestamp_ms <= at_ms}
        return len(sent - decided)


@dataclass(frozen=True)
class Final:
    """A promotion's last report, its pages joined."""

    status: str
    totals: Mapping[str, int]
    lines: Sequence[Mapping[str, Any]] = field(default_factory=list)


def _count(
    units: Counter[Key], promotion: str, results: Iterable[Mapping[str, Any]], given: str, sign: int
) -> None:
    for line in results:
        if line[given]:
            units[promotion, line["sku"]] += sign * line["quantity"]
