"""Counters and gauges of the gateway, read when metrics are scraped."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

BreakerState = Literal["closed", "half-open", "open"]
"""Of the circuit breaker: requests pass, one is tried, none passes."""


@dataclass(slots=True)
class Meters:
    """Counts since the start, and how it stands now."""

    http_requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By (operation, result): result is "ok" or the name of an error class."""
    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Like `http_requests`, but each alias of a batch counts."""
    retries: Counter[str] = field(default_factory=Counter)
    """By operation."""
    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By (kind of request, kind of answer); "Unanswered" where the ledger has to ask again."""
    logins: Counter[str] = field(default_factory=Counter)
    """By grant and result, for instance "password ok"."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Requests of the ledger that were not carried out: "superseded", "repeated", "no room"."""
    document_misfits: int = 0
    """Fields of the profile's documents that Fluent's schema does not have."""
    skus_in_flight: int = 0
    requests_queued: int = 0
    """Of the ledger, not begun."""
    breaker: BreakerState = "closed"
    rate_share: float = 1.0
    """1.0: the configured requests per second and in flight; less: Fluent asked us to slow down."""
