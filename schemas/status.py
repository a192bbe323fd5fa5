"""What `flashsale status --json` prints: how everything stands, and what needs a person.

Its JSON Schema is schemas/json/status.json. A field that is null is not known (yet).
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.fields import UTC_MILLISECONDS

Moment = Annotated[str, Meta(pattern=UTC_MILLISECONDS)]
Count = Annotated[int, Meta(ge=0)]
Breaker = Literal["closed", "half-open", "open"]
"""Of the circuit breaker in front of Fluent: requests pass, one is tried, none passes."""


class _Part(msgspec.Struct, rename="camel", kw_only=True):
    pass


class SkuStatus(_Part):
    """One SKU of a promotion, in units except for `rejectedOrders`. `reason` says why none were set aside."""

    sku: str
    reserved: Count
    consumed: Count | None = None
    left: Count | None = None
    cancelled: Count | None = None
    released: Count | None = None
    rejected_units: Count | None = None
    rejected_orders: Count | None = None
    drift: Count | None = None
    reason: str | None = None


class PromotionStatus(_Part):
    """A promotion that runs, or ended within a day. The figures are those of its newest report, and of
    `sale-figures` since then.

    `figuresOf` is when they held; `lines` are given for a promotion that was asked for by name.
    """

    promotion_id: str
    status: str
    skus: Count
    refused_skus: Count
    reserved: Count
    consumed: Count | None = None
    left: Count | None = None
    cancelled: Count | None = None
    released: Count | None = None
    rejected_units: Count | None = None
    rejected_orders: Count | None = None
    drift: Count | None = None
    expires_at: Moment | None = None
    seconds_left: Count | None = None
    figures_of: Moment | None = None
    lines: list[SkuStatus] | None = None


class TopicStatus(_Part):
    """Records of a topic that are not decided yet, and how long ago the oldest of them was written.

    Every record that was written before `decidedUpTo` is decided.
    """

    topic: str
    behind: Count
    seconds_behind: float | None = None
    decided_up_to: Moment | None = None


class WorkerStatus(_Part):
    """A member of the consumer group, and the tasks that it owns: `since` has a moment for each of them.

    What follows is what it says about itself, a few seconds old: `toldAt`, by the brokers' time. `queued` and
    `inFlight` are requests to Fluent.
    """

    member: str
    host: str
    tasks: list[int]
    since: list[Moment | None]
    breaker: Breaker | None = None
    queued: Count | None = None
    in_flight: Count | None = None
    intake_stopped: bool | None = None
    told_at: Moment | None = None


class GroupStatus(_Part):
    """The workers together. `tasks` is how many there are; `lastCommitAt` when anything was decided last."""

    state: str
    tasks: Count
    workers: list[WorkerStatus]
    last_commit_at: Moment | None = None


class DeadLetterStatus(_Part):
    """What was turned away within the last hour, by reason."""

    last_hour: Count
    reasons: dict[str, int]


class FluentStatus(_Part):
    """Requests to Fluent without an answer, and since when the oldest of them waits.

    `breaker` is the worst of all workers, `queued` and `inFlight` are those of all workers together.
    """

    unanswered: Count
    oldest_asked_at: Moment | None = None
    breaker: Breaker | None = None
    queued: Count | None = None
    in_flight: Count | None = None


class Attention(_Part):
    """Something that needs a person: what it is about, what is wrong, and what to do."""

    severity: Literal["error", "warning"]
    subject: str
    problem: str
    remedy: str


class StatusReport(_Part):
    """Everything at one moment. `attention` begins with the most urgent; empty: nothing needs a person.

    `clockAheadSeconds` is given where this machine's clock was seen to differ from the brokers' (negative: it
    is behind). All times are the brokers' then.
    """

    at: Moment
    promotions: list[PromotionStatus]
    topics: list[TopicStatus]
    group: GroupStatus
    fluent: FluentStatus
    dead_letters: DeadLetterStatus
    attention: list[Attention]
    clock_ahead_seconds: float | None = None
