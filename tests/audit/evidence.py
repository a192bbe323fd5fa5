"""What an audit reads: records of topics, Fluent's figures, and what of a worker's disk can be had."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Source = tuple[str, int, int]
"""Topic (without its prefix), partition and offset of an input record."""

Subject = tuple[str, str]
"""A promotion and a SKU."""

PROMOTION_START, PROMOTION_END = "promotion-start", "promotion-end"
ORDER_PLACED, ORDER_CANCELLED = "order-placed", "order-cancelled"
INPUTS = (PROMOTION_START, PROMOTION_END, ORDER_PLACED, ORDER_CANCELLED)
OUTCOMES, RESULTS, DEAD_LETTERS = "order-outcomes", "promotion-results", "dead-letters"
RELEASES, REPORTS = "reservation-releases", "reconciliation-reports"
CHANGELOG = "flashsale-tasks-changelog"
READ = (*INPUTS, OUTCOMES, RESULTS, DEAD_LETTERS, RELEASES, REPORTS, CHANGELOG)
"""Every topic that an audit reads."""


@dataclass(frozen=True, slots=True)
class Record:
    """A committed record; a deleted row of the changelog has the value b""."""

    partition: int
    offset: int
    at_ms: int
    key: bytes | None
    value: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Evidence:
    """A sale from outside. What is None could not be had, and the invariants that need it are not checked."""

    records: Mapping[str, Sequence[Record]]
    """By topic, without the prefix; a changelog in the order of its offsets within each partition."""
    prefix: str = ""
    """Before every topic's name in the `source-topic` of an answer."""
    all_or_nothing: bool | None = None
    """The order policy; None where workers differ."""
    over: bool = True
    """Every promotion has ended or expired and its FINAL report is there."""
    remembered_ms: int | None = None
    """For how long an order is remembered after its last change; None: for longer than the sale lasts."""
    forgotten: bool = False
    """So long over that nothing may be remembered but what has to be for ever."""
    stock: Mapping[str, int] | None = None
    """Units of each SKU in Fluent before the sale."""
    truth: Mapping[str, Mapping[str, Any]] | None = None
    """Fluent's figures now: `held`, `booked` and `available` by SKU."""
    journal: Sequence[Mapping[str, Any]] | None = None
    """Each change of a quantity in Fluent: `atMs`, `sku`, `onHand`, `held` and `available` after it."""
    settle_delay_ms: int | None = None
    """For how long sold units stay held, where an order may be decided or cancelled later than that."""
    max_backlog_ms: int | None = None
    """So long after a deadline nobody waits any more for what is undecided; None: for ever."""
    ends_known_ms: Mapping[Subject, int] | None = None
    """When the ledger has heard of the last end of a reservation's promotion."""
    tables: Mapping[int, Mapping[bytes, bytes]] | None = None
    """The rows that a worker's disk has of a partition."""
    read_again: Collection[Source] = ()
    """Inputs that may have been read once more than others, because a person gave up the position of a log:
    each time they get their answer."""
