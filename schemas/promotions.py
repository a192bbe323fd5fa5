"""What a merchant tells us about sales: `promotion-start` and `promotion-end`."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import AliasChoices, ConfigDict, Field, model_validator

from schemas.fields import (
    MAX_SKUS,
    Attributes,
    DurationMinutes,
    Item,
    Lines,
    Message,
    OffsetTime,
    Ref,
    compact_json,
    summed,
)
from schemas.invalid import InvalidEvent
from schemas.times import milliseconds

MS_PER_MINUTE = 60_000
USUAL_MINUTES = range(30, 121)
"""Outside of these a duration is taken, with a warning (the template's production checklist)."""

PromotionId = Annotated[Ref, Field(validation_alias=AliasChoices("id", "ref"))]
Reserved = Annotated[tuple[Item, ...], Field(min_length=1, fail_fast=True)]


def _id_or_ref(schema: dict[str, Any]) -> None:
    """JSON Schema of "`ref` is accepted in place of `id`"; beside an `id` it is an unknown field."""
    properties = schema["properties"]
    in_place = {"required": ["ref"], "properties": {"ref": properties["id"]}}
    schema["required"] = [name for name in schema["required"] if name != "id"]
    schema["anyOf"] = [{"required": ["id"]}, in_place]


def _start_rules(schema: dict[str, Any]) -> None:
    _id_or_ref(schema)
    dated = {"required": ["durationMinutes", "expiresAt"]}
    given = {"properties": {name: {"not": {"type": "null"}} for name in dated["required"]}}
    schema["not"] = {**dated, **given}


class StartedPromotion(Message):
    """The SKUs to set aside and until when. A null counts as absent."""

    model_config = ConfigDict(json_schema_extra=_start_rules)

    id: PromotionId
    skus: Reserved
    duration_minutes: DurationMinutes | None = None
    expires_at: OffsetTime | None = None
    attributes: Attributes | None = None

    @model_validator(mode="after")
    def _one_deadline(self) -> Self:
        if self.duration_minutes is not None and self.expires_at is not None:
            raise ValueError("has both durationMinutes and expiresAt, of which only one can hold")
        return self

    @model_validator(mode="after")
    def _not_too_many(self) -> Self:
        if len(self.skus) > MAX_SKUS and len(summed(self.skus)) > MAX_SKUS:
            raise ValueError(f"has more than {MAX_SKUS:,} SKUs")
        return self


class EndedPromotion(Message):
    """The promotion to end early."""

    model_config = ConfigDict(json_schema_extra=_id_or_ref)

    id: PromotionId
    reason: Annotated[str, Field(max_length=1_000)] | None = None


class PromotionStart(Message):
    """Value of `promotion-start`: reserve these SKUs for a sale."""

    promotion: StartedPromotion

    @property
    def identity(self) -> str:
        """The promotion's id."""
        return self.promotion.id

    def normalised_items(self) -> Lines:
        """(sku, units) with equal SKUs summed, in first-seen order."""
        return summed(self.promotion.skus)

    def expires_at_ms(self, started_at_ms: int, default_duration_ms: int) -> int:
        """The deadline: `expiresAt`, or the start's time plus its duration or else the default.

        Raises InvalidEvent when `expiresAt` is not after the start.
        """
        promotion = self.promotion
        if promotion.expires_at is None:
            minutes = promotion.duration_minutes
            return started_at_ms + (default_duration_ms if minutes is None else minutes * MS_PER_MINUTE)
        deadline_ms = milliseconds(promotion.expires_at)
        if deadline_ms <= started_at_ms:
            raise InvalidEvent(
                f"promotion.expiresAt must lie after the time of the start, but is {promotion.expires_at}."
            )
        return deadline_ms

    @property
    def unusual_minutes(self) -> int | None:
        """The duration where it was given and lies outside 30 to 120 minutes: worth a warning."""
        minutes = self.promotion.duration_minutes
        return None if minutes is None or minutes in USUAL_MINUTES else minutes

    def attributes_json(self) -> bytes:
        """The attributes as compact JSON with sorted keys; empty when there are none."""
        attributes = self.promotion.attributes
        return b"" if attributes is None else compact_json(attributes)


class PromotionEnd(Message):
    """Value of `promotion-end`: end a sale early and release what is left."""

    promotion: EndedPromotion

    @property
    def identity(self) -> str:
        """The promotion's id."""
        return self.promotion.id
