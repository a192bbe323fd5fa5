"""The headers of `dead-letters`; a dead letter's key and value are the original bytes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from schemas.fields import UtcTime
from schemas.reasons import Reason


class SourceHeaders(BaseModel):
    """The headers by which an answer names the input record that it answers; UTF-8 texts on the wire."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    source_topic: str = Field(alias="source-topic")
    source_partition: int = Field(alias="source-partition", ge=0)
    source_offset: int = Field(alias="source-offset", ge=0)

    @classmethod
    def from_headers(cls, headers: Iterable[tuple[str, bytes | None]]) -> Self:
        """The headers of a record as Kafka clients give them.

        Raises ValueError (pydantic's ValidationError) where one is missing or is not what it should be.
        """
        return cls.model_validate({name: value.decode() for name, value in headers if value is not None})


class DeadLetterHeaders(SourceHeaders):
    """Headers of `dead-letters`: where the message came from, what is wrong with it, what to do."""

    reason: Reason
    error: str
    recommendation: str
    failed_at: UtcTime = Field(alias="failed-at")
