"""What a decision wants done: records to send, notices for the log, counts for the metrics.

Rows are changed through `Rows`; everything else that a decision causes is collected here and becomes
visible, all of it or nothing, with the Kafka transaction that also carries the rows.
"""

from __future__ import annotations

import msgspec

MAX_EFFECTS = 2_000
"""No command emits more, but a start or an end of more SKUs; a `Continue` does what is left."""

Headers = list[tuple[str, bytes]]


class Send(msgspec.Struct, gc=False):
    """One record. `own` sends it to the partition that is being decided, whatever its key."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers | None = None
    own: bool = False


class Notice(msgspec.Struct, gc=False):
    """Something that the person on call should read. `level` is "info", "warning" or "error"."""

    level: str
    event: str
    fields: dict[str, str | int]


class Batch(msgspec.Struct, gc=False):
    """Records of one source that were decided together, for how long they took."""

    stage: str
    """The source's logical topic."""
    records: int
    appended_at_ms: int
    """Of the oldest record."""
    placed_at_ms: int = 0
    """When an order was placed whose claim is among them; 0 when it is not known of any."""


HELD, RELEASED = "held", "released"
"""What was waited for: Fluent's hold since the start, the release of unsold units since the deadline."""


class Effects:
    """Collects the effects of the commands of one batch, in order; what it counts becomes metrics."""

    __slots__ = ("batches", "dead_letters", "notices", "outcomes", "reasons", "sends", "units", "waits")

    def __init__(self) -> None:
        self.sends: list[Send] = []
        self.notices: list[Notice] = []
        self.outcomes: dict[str, int] = {}
        """Records of `order-outcomes` by their outcome."""
        self.reasons: dict[str, int] = {}
        """Lines of orders and SKUs of promotions by the reason of their refusal; "" = given."""
        self.dead_letters: dict[str, int] = {}
        """Dead letters by their reason."""
        self.units: dict[str, int] = {}
        """Units by what became of them."""
        self.waits: list[tuple[str, int]] = []
        """What was waited for (HELD, RELEASED), and for how many milliseconds."""
        self.batches: list[Batch] = []
        """The batches that were decided."""

    def count(self, reason: str) -> None:
        """Count a decision about one line."""
        self.reasons[reason] = self.reasons.get(reason, 0) + 1

    def count_outcome(self, outcome: str) -> None:
        """Count the publication of an outcome."""
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1

    def count_units(self, what: str, units: int) -> None:
        """Count units; what went down is not counted."""
        if units > 0:
            self.units[what] = self.units.get(what, 0) + units

    def count_dead_letter(self, reason: str) -> None:
        """Count a dead letter."""
        self.dead_letters[reason] = self.dead_letters.get(reason, 0) + 1
