"""Every switch of the simulator with its default, and what a test may ask for: the JSON of ``/_control``."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from rehearsal.fluent.records import Code


class Fault(StrEnum):
    """What can happen to a request. "Before" and "after" say whether its change is applied."""

    TIMEOUT_BEFORE = "timeoutBefore"
    TIMEOUT_AFTER = "timeoutAfter"
    LATE = "late"
    ERROR_BEFORE = "errorBefore"
    ERROR_AFTER = "errorAfter"
    CLOSE_BEFORE = "closeBefore"
    CLOSE_AFTER = "closeAfter"
    TRUNCATED = "truncated"
    SLOW_DRIP = "slowDrip"
    GARBAGE = "garbage"
    STALE_READ = "staleRead"
    TOO_MANY_REQUESTS = "tooManyRequests"
    REFUSED = "refused"


class Wire(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", validate_assignment=True
    )


class Controls(Wire):
    failing: int = Field(0, description="Answers every request with this 5xx status; 0: off.")
    latency_ms: float = Field(0, ge=0, description="Mean time of an answer; half passes before the change.")
    jitter_ms: float | None = Field(
        None, ge=0, description="Standard deviation; default: a quarter of the mean."
    )
    fault_rate: float = Field(
        0, ge=0, le=1, description="Share of requests with some fault, all kinds alike."
    )
    faults: dict[Fault, float] = Field(
        default_factory=dict, description="Share per kind, on top of faultRate."
    )
    hang_ms: int = Field(
        30_000, ge=0, description="A time-out's connection is closed after this, unanswered."
    )
    late_ms: int = Field(2_000, ge=0, description="How long a late request waits before it is applied.")
    drip_ms: int = Field(20, ge=0, description="Pause between two pieces of a slow drip.")
    stale_ms: int = Field(1_000, ge=0, description="How old a stale read is.")
    requests_per_second: float = Field(0, ge=0, description="GraphQL rate limit; 0: none.")
    rate_limit_answer: Literal["429", "C0011"] = Field(
        "429", description="How a request beyond it is refused."
    )
    retry_after_seconds: int = Field(1, ge=0, description="Retry-After of a 429.")
    activation_delay_ms: int = Field(50, ge=0, description="From creation until the workflow sets ACTIVE.")
    recalculate_on_hand: bool = Field(
        False, description="Whether changes through the API recalculate onHand."
    )
    count_soft_reserve: bool = Field(False, description="Whether onHand counts SOFT_RESERVE.")
    introspection: bool = Field(True, description="Whether __schema and __type are answered.")
    strict_credentials: bool = Field(
        False, description="Only the configured account, client and user log in."
    )
    token_seconds: int = Field(86_386, ge=0, description="expires_in of new tokens.")
    refresh_tokens: bool = Field(False, description="Whether a login also gives a single-use refresh token.")
    sales_per_second: float = Field(
        0, ge=0, description="Units other channels sell, at random over the SKUs."
    )

    def merge(self, changes: dict[str, Any]) -> None:
        """Applies a partial change, all of it or (ValidationError) nothing."""
        checked = Controls.model_validate({**self.model_dump(by_alias=True), **changes})
        for name in Controls.model_fields:
            setattr(self, name, getattr(checked, name))


class Sale(Wire):
    """Another channel sells: a SALE quantity, ACTIVE at once."""

    sku: str
    location: str | None = None
    quantity: int = Field(gt=0)


class NextRequest(Wire):
    """A one-shot: what happens to the next request (or the ``skip`` + 1st) that matches.

    ``match`` is an operation name, a field of the operation's top level, ``token`` or ``*``; ``contains`` a
    text that the request's body must hold, for instance a hold's ref. A ``sell`` happens just before the
    request is applied. ``status`` is that of an error fault, ``code`` the GraphQL error code of ``refused``.
    """

    match: str = "*"
    contains: str = ""
    fault: Fault | None = None
    status: int = Field(503, ge=500, le=599)
    code: str = Code.RATE_LIMIT.value
    sell: Sale | None = None
    skip: int = Field(0, ge=0)
    count: int = Field(1, ge=1)


class Refusal(Wire):
    """The next ``count`` mutations of the record with this ref fail with ``code``; ``applied``: although the
    change was made."""

    ref: str
    code: str
    applied: bool = False
    count: int = Field(1, ge=1)
