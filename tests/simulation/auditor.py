"""The auditor: reads what was sent, what was published and Fluent's own figures, and adds it all up again.

It knows nothing of rows, commands between stages or the simulator's tasks.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from schemas.topics import (
    DEAD_LETTERS,
    FLUENT_REQUESTS,
    ORDER_OUTCOMES,
    PROMOTION_RESULTS,
    RECONCILIATION_REPORTS,
    RESERVATION_RELEASES,
    SKU_COMMANDS,
)
from streams.ledger.commands import HoldConfirmed, decode_sku_command
from streams.ledger.fluent_requests import HoldRequest, decode_request
from streams.ledger.inputs import CancelOrder, EndPromotion, PlaceOrder, StartPromotion
from streams.ledger.reservations.attendance import BEAT_MS, LATE_MS
from streams.ledger.terms import Terms
from tests.simulation.broker import Broker, Record
from tests.simulation.deadlines import Deadlines
from tests.simulation.fluent import Fluent
from tests.simulation.sale import Event
from tests.simulation.shop import changes

SEEN_WITHIN_MS = LATE_MS + BEAT_MS
"""A delay between decision and commit may go unnoticed if it is shorter."""

Subject = tuple[str, str]
Input = tuple[str, int]


@dataclass
class Sums:
    """What the outcomes say about one SKU of one promotion."""

    consumed: int = 0
    cancelled: int = 0
    refused_units: int = 0
    refused_lines: int = 0


@dataclass
class Audit:
    """One run, as it can be seen from outside."""

    broker: Broker
    fluent: Fluent
    sent: dict[Input, Event]
    terms: Terms
    sums: dict[Subject, Sums] = field(default_factory=lambda: defaultdict(Sums))
    reserved: dict[Subject, int] = field(default_factory=dict)
    decisions: int = 0
    without_fluent: int = 0
    """Lines that were told that Fluent is away, and it came back."""
    deadlines: Deadlines = field(init=False)

    def check(self) -> None:
        """Everything that was promised; the first thing that does not add up is an AssertionError."""
        outcomes, letters, results = (
            self._by_source(topic) for topic in (ORDER_OUTCOMES, DEAD_LETTERS, PROMOTION_RESULTS)
        )
        self._every_event_is_answered_once(outcomes, letters, results)
        self._dead_letters_are_the_original_bytes(letters)
        self._conflicts_are_other_content(letters)
        self._starts_have_one_answer(results)
        self._orders_are_decided_once(outcomes)
        self._nothing_is_oversold()
        self._holds_end_once()
        self._final_reports_add_up()
        self._fluent_agrees()
        self._who_was_told_that_fluent_is_away_had_cause()
        self.deadlines = Deadlines(self.broker, self.terms)
        self.deadlines.check(self.reserved, self.sent)

    def _by_source(self, topic: str) -> dict[Input, list[Record]]:
        found: dict[Input, list[Record]] = defaultdict(list)
        for record in self.broker.read(topic):
            headers = dict(record.headers or [])
            found[headers["source-topic"].decode(), int(headers["source-offset"])].append(record)
        return found

    def _every_event_is_answered_once(
        self,
        outcomes: dict[Input, list[Record]],
        letters: dict[Input, list[Record]],
        results: dict[Input, list[Record]],
    ) -> None:
        assert (outcomes.keys() | letters.keys() | results.keys()) <= self.sent.keys()
        for source, event in self.sent.items():
            answers = [len(found.get(source, [])) for found in (outcomes, letters, results)]
            if isinstance(event, PlaceOrder | CancelOrder):
                assert answers in ([1, 0, 0], [0, 1, 0]), f"{source} was answered {answers}"
            elif isinstance(event, StartPromotion):
                assert answers in ([0, 0, 1], [0, 1, 0]), f"{source} was answered {answers}"
            else:
                assert isinstance(event, EndPromotion)
                assert answers in ([0, 0, 0], [0, 1, 0]), f"{source} was answered {answers}"

    def _dead_letters_are_the_original_bytes(self, letters: dict[Input, list[Record]]) -> None:
        for (topic, offset), records in letters.items():
            assert records[0].value == f"{topic} {offset}".encode()
            reason = dict(records[0].headers or [])["reason"]
            assert reason in ((b"NO_PROMOTION",) if topic == "promotion-end" else (b"CONFLICT",))

    def _conflicts_are_other_content(self, letters: dict[Input, list[Record]]) -> None:
        """Of the events with one identity, those with one content stand and all others are dead letters."""
        stands: dict[Any, set[Any]] = defaultdict(set)
        conflicts: dict[Any, set[Any]] = defaultdict(set)
        for source, event in self.sent.items():
            if not isinstance(event, EndPromotion):
                identity, content = told_apart(event)
                (conflicts if source in letters else stands)[identity].add(content)
        assert all(len(contents) == 1 for contents in stands.values())
        assert all(not contents & stands[identity] for identity, contents in conflicts.items())

    def _starts_have_one_answer(self, results: dict[Input, list[Record]]) -> None:
        answers: dict[str, set[bytes]] = defaultdict(set)
        for (record,) in results.values():
            answers[(record.key or b"").decode()].add(record.value)
        for promotion_id, values in answers.items():
            (value,) = values
            for line in json.loads(value)["reservations"]:
                self.reserved[promotion_id, line["sku"]] = line["quantity"] if line["success"] else 0

    def _orders_are_decided_once(self, outcomes: dict[Input, list[Record]]) -> None:
        revisions: dict[tuple[str, str, int], bytes] = {}
        for records in outcomes.values():
            outcome = json.loads(records[0].value)
            name = (outcome["orderRef"], outcome["promotionId"], outcome["revision"])
            assert revisions.setdefault(name, records[0].value) == records[0].value, f"{name} is twofold"
        orders: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        for (ref, promotion_id, revision), value in sorted(revisions.items()):
            assert revision == len(orders[ref, promotion_id]) + 1, f"{ref} has a gap before {revision}"
            orders[ref, promotion_id].append(json.loads(value))
        for (_, promotion_id), history in orders.items():
            self._add_up(promotion_id, history)

    def _add_up(self, promotion_id: str, history: list[dict[str, Any]]) -> None:
        decided = [outcome for outcome in history if "cancelResults" not in outcome]
        assert len(decided) <= 1
        left: dict[str, int] = defaultdict(int)
        for outcome in history:
            for sku, quantity in changes(outcome):
                left[sku] += quantity
                sums = self.sums[promotion_id, sku]
                sums.consumed += quantity
                sums.cancelled += max(0, -quantity)
        assert all(units >= 0 for units in left.values()), "more was given back than was taken"
        for outcome in decided:
            self.decisions += 1
            self._add_refusals(promotion_id, outcome)

    def _add_refusals(self, promotion_id: str, outcome: dict[str, Any]) -> None:
        asked = [line for line in outcome["consumeResults"] if line.get("reason") != "CANCELLED"]
        refused = [line for line in asked if not line["consumed"]]
        if self.terms.all_or_nothing:
            assert len(refused) in (0, len(asked)), "a part of an all-or-nothing order was taken"
        for line in refused:
            sums = self.sums[promotion_id, line["sku"]]
            sums.refused_units += line["quantity"]
            sums.refused_lines += 1

    def _nothing_is_oversold(self) -> None:
        for subject, sums in self.sums.items():
            assert 0 <= sums.consumed <= self.reserved.get(subject, 0), f"{subject} is oversold"

    def _holds_end_once(self) -> None:
        ends: dict[Subject, int] = defaultdict(int)
        for record in self.broker.read(RESERVATION_RELEASES):
            release = json.loads(record.value)
            subject = (release["promotionId"], release["sku"])
            assert release["reserved"] == release["consumed"] + release["released"] == self.reserved[subject]
            ends[subject] += release["cause"] != "CANCELLED"
        assert ends == {subject: 1 for subject, units in self.reserved.items() if units}

    def _final_reports_add_up(self) -> None:
        newest: dict[str, dict[str, Any]] = {}
        for record in self.broker.read(RECONCILIATION_REPORTS):
            report = json.loads(record.value)
            if report["kind"] == "FINAL":
                before = newest.get(report["promotionId"])
                assert report["revision"] == (before["revision"] if before else 0) + 1
                newest[report["promotionId"]] = report
        assert newest.keys() == {promotion_id for promotion_id, _ in self.reserved}
        for promotion_id, report in newest.items():
            for line in report["lines"]:
                self._line_adds_up((promotion_id, line["sku"]), line)

    def _line_adds_up(self, subject: Subject, line: dict[str, Any]) -> None:
        sums = self.sums[subject]
        assert line["reserved"] == line["consumed"] + line["released"] == self.reserved[subject]
        assert (line["consumed"], line["cancelled"]) == (sums.consumed, sums.cancelled), subject
        assert (line["drift"], line["fluent"]["held"]) == (0, 0)
        if line["reserved"]:
            refused = (sums.refused_units, sums.refused_lines)
            assert (line["rejectedUnits"], line["rejectedOrders"]) == refused, subject

    def _fluent_agrees(self) -> None:
        for sku, stock in self.fluent.stocks.items():
            sold = sum(sums.consumed for subject, sums in self.sums.items() if subject[1] == sku)
            assert stock.held == 0, f"something of {sku} is still held"
            assert stock.available == stock.on_hand - sold, f"{sku}: what was sold is not what is booked"

    def _who_was_told_that_fluent_is_away_had_cause(self) -> None:
        """Fluent had not answered within the hold time-out after it was really asked."""
        asked: dict[Subject, int] = {}
        for record in self.broker.read(FLUENT_REQUESTS):
            request = decode_request(record.value)
            if isinstance(request, HoldRequest):
                asked.setdefault((request.promotion_id, request.sku), record.at_ms)
        answered: dict[Subject, int] = {}
        for record in self.broker.read(SKU_COMMANDS):
            command = decode_sku_command(record.value)
            if isinstance(command, HoldConfirmed):
                answered.setdefault((command.promotion_id, command.sku), record.at_ms)
        for record in self.broker.read(ORDER_OUTCOMES):
            outcome = json.loads(record.value)
            for line in outcome.get("consumeResults", ()):
                subject = (outcome["promotionId"], line["sku"])
                if line.get("reason") == "FLUENT_UNAVAILABLE" and subject in answered:
                    took_ms = answered[subject] - asked[subject]
                    assert took_ms > self.terms.hold_timeout_ms - SEEN_WITHIN_MS, (
                        f"Fluent answered about {subject} after {took_ms} ms"
                    )
                    self.without_fluent += 1


def told_apart(event: PlaceOrder | CancelOrder | StartPromotion) -> tuple[Any, Any]:
    """What an event is, and what it says: lines by SKU, whatever their order."""
    lines = frozenset(event.lines)
    if isinstance(event, StartPromotion):
        return event.promotion_id, (lines, event.duration_ms)
    order = (event.order_ref, event.promotion_id)
    if isinstance(event, PlaceOrder):
        return order, lines
    return (*order, event.cancellation_ref or lines), lines
