"""The headers of our answers: which input record they answer, and of a dead letter what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict, Field

from schemas.fields import UtcTime
from schemas.reasons import Reason


def texts_of(headers: Iterable[tuple[str, bytes | None]]) -> dict[str, str]:
    """A record's headers as texts; what is no UTF-8 has a sign for that in its place."""
    return {name: (value or b"").decode(errors="replace") for name, value in headers}


class SourceHeaders(BaseModel):
    """The headers by which an answer names the input record that it answers; UTF-8 texts on the wire."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    source_topic: str = Field(alias="source-topic")
    source_partition: int = Field(alias="source-partition", ge=0)
    source_offset: int = Field(alias="source-offset", ge=0)


class DeadLetterHeaders(SourceHeaders):
    """Headers of `dead-letters`, whose key and value are the original bytes: what is wrong, what to do.

    There is no value where the message is too large for the topic or its batch could not be unpacked.
    """

    reason: Reason
    error: str
    recommendation: str
    failed_at: UtcTime = Field(alias="failed-at")
