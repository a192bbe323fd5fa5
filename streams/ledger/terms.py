"""What travels with an input event from intake to the decision: its source and the terms in force."""

from __future__ import annotations

from functools import lru_cache

import msgspec

HOUR_MS = 3_600_000


class Terms(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The settings that decisions depend on, recorded with each event.

    They travel in the event's header so that a changed configuration, or two workers that differ, can
    not change a decision that the log already determines. All times in milliseconds.
    """

    default_duration_ms: int = 7_200_000
    claim_grace_ms: int = 5_000
    expiry_grace_ms: int = 2_000
    hold_timeout_ms: int = 60_000
    close_timeout_ms: int = 60_000
    retention_ms: int = 168 * 3_600_000
    report_interval_ms: int = 60_000
    settle_delay_ms: int = 30_000
    settle_interval_ms: int = 5_000
    verify_ms: int = 60_000
    ask_again_ms: int = 10_000
    auto_release: bool = True
    all_or_nothing: bool = False
    book_sale: bool = False
    max_backlog_ms: int = 600_000

    @property
    def orders_kept_ms(self) -> int:
        """How long the orders stage remembers an order: in any case until its claim has been decided, which
        may wait for a start in a backlog and then for Fluent."""
        undecided_ms = self.max_backlog_ms + self.claim_grace_ms + self.hold_timeout_ms
        return self.retention_ms if self.retention_ms > undecided_ms else undecided_ms

    @property
    def claims_kept_ms(self) -> int:
        """How long the ledger keeps a claim: longer than the orders stage remembers the order, so that a
        repeat that was read before the order was forgotten still finds the claim."""
        return self.orders_kept_ms + self.max_backlog_ms + HOUR_MS


class Source(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Where an input event came from: the record that an outcome or a dead letter answers."""

    topic: str
    partition: int
    offset: int
    key: bytes | None = None
    trace: str = ""
    """W3C trace context that came with the record."""

    def headers(self) -> list[tuple[str, bytes]]:
        """The three headers by which a reader matches an answer to its own event, and its trace."""
        topic, partition = _log_headers(self.topic, self.partition)
        found = [topic, partition, ("source-offset", b"%d" % self.offset)]
        if self.trace:
            found.append(("traceparent", self.trace.encode()))
        return found


@lru_cache(maxsize=1_024)
def _log_headers(topic: str, partition: int) -> tuple[tuple[str, bytes], tuple[str, bytes]]:
    """The headers that all answers to the events of one partition have in common."""
    return ("source-topic", topic.encode()), ("source-partition", b"%d" % partition)


class Envelope(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The one header that intake adds to the unchanged bytes of an input event.

    `mapped` is the event in our shape where the input topic carries foreign JSON, else None.
    """

    source: Source
    placed_at_ms: int
    terms: Terms
    mapped: bytes | None = None


ENVELOPE_HEADER = "envelope"
"""Name of the header that carries an encoded `Envelope`; a record without it is one of our commands."""
