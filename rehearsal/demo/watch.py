"""Follows a sale from outside while it lasts, to know when it is over and to have something to show."""

from __future__ import annotations

from rehearsal.demo.events import Identity
from rehearsal.demo.evidence import identity_of
from rehearsal.demo.kafka_topics import Ends, Reader, Record
from rehearsal.demo.progress import Tally
from schemas.topics import (
    DEAD_LETTERS,
    ORDER_CANCELLED,
    ORDER_OUTCOMES,
    ORDER_PLACED,
    PROMOTION_RESULTS,
    RECONCILIATION_REPORTS,
)
from streams.settings import Settings

FOLLOWED = (ORDER_OUTCOMES, DEAD_LETTERS, PROMOTION_RESULTS, RECONCILIATION_REPORTS)


class Watch:
    """Counts what has been committed so far. Not safe in several threads."""

    def __init__(self, settings: Settings) -> None:
        self._output = Reader(settings, FOLLOWED, "watch")
        self._placed = Ends(settings, [ORDER_PLACED])
        self._sent = Ends(settings, [ORDER_PLACED, ORDER_CANCELLED])
        self.tally = Tally()
        self.outcomes = 0
        self.dead_letters = 0
        self.started: set[str] = set()
        self.final: set[str] = set()
        self._decided: set[Identity] = set()
        self._refused: list[Record] = []

    def look(self, wait_s: float = 0.05) -> None:
        """Take in what has come since."""
        for record in self._output.new(wait_s):
            if record.topic == ORDER_OUTCOMES:
                self._count(record)
            elif record.topic == DEAD_LETTERS:
                self.dead_letters += 1
                self._refused.append(record)
            elif record.topic == PROMOTION_RESULTS:
                self.started.add(record.json["promotionId"])
            elif record.json["kind"] == "FINAL":
                self.final.add(record.json["promotionId"])

    def placed(self) -> int:
        """Records in `order-placed` now, by the topic's ends."""
        return self._placed.count()

    def unanswered(self) -> int:
        """Input records that no outcome or dead letter has answered yet."""
        return self._sent.count() - self.outcomes - self.dead_letters

    @property
    def decided(self) -> int:
        """Different orders with a decision."""
        return len(self._decided)

    @property
    def first_refusal(self) -> str | None:
        """Why the first dead letter is one."""
        return self._refused[0].headers.get("error") if self._refused else None

    def close(self) -> None:
        """Give the connections back."""
        for each in (self._output, self._placed, self._sent):
            each.close()

    def _count(self, record: Record) -> None:
        self.outcomes += 1
        outcome, tally = record.json, self.tally
        if outcome["revision"] > 1 or "reason" in outcome:
            tally.cancels += 1
        elif identity_of(outcome) not in self._decided:
            self._decided.add(identity_of(outcome))
            tally.decided += 1
            tally.accepted += outcome["outcome"] == "ACCEPTED"
            tally.partly += outcome["outcome"] == "PARTIAL"
            tally.refused += outcome["outcome"] == "REJECTED"
