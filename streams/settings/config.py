"""The external JSON configuration, `config/reservation-config.json`: what may differ between shops.

docs/configuration.md describes every key; a test compares it with the fields here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel

from schemas.fields import MAX_DURATION_MINUTES, MIN_DURATION_MINUTES
from schemas.invalid import sentence
from streams.settings.errors import ConfigurationError

DEFAULT_PATH = Path("config/reservation-config.json")
SCHEMA_PATH = DEFAULT_PATH.with_suffix(".schema.json")
MS_PER_SECOND = 1_000
MS_PER_MINUTE = 60_000
MS_PER_HOUR = 3_600_000
HOUR_SECONDS = 3_600
DAY_SECONDS = 86_400

RetailerId = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
CatalogueRef = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^\S+$")]


def milliseconds(amount: float, unit_ms: int) -> int:
    """`amount` units of `unit_ms` milliseconds each, to the nearest millisecond."""
    return round(amount * unit_ms)


class _Keys(BaseModel):
    # Built from JSON, hardly ever by keyword, so the generated aliases hide nothing from a type checker.
    model_config = ConfigDict(  # type: ignore[pydantic-alias]
        strict=True, frozen=True, extra="forbid", alias_generator=to_camel, allow_inf_nan=False
    )


class ReservationConfig(_Keys):
    """Every key of the configuration file, with its default and bounds; unknown keys are errors."""

    retailer_id: RetailerId = "1"
    catalogue_ref: CatalogueRef | None = None
    reservation_duration_minutes: int = Field(120, ge=MIN_DURATION_MINUTES, le=MAX_DURATION_MINUTES)
    auto_release_enabled: bool = True
    release_interval_seconds: float = Field(1, ge=0.1, le=HOUR_SECONDS)
    reconciliation_interval_seconds: float = Field(60, ge=0.1, le=DAY_SECONDS)
    order_policy: Literal["partial", "all-or-nothing"] = "partial"
    claim_grace_seconds: float = Field(5, ge=0, le=HOUR_SECONDS)
    max_backlog_seconds: float = Field(600, ge=1, le=DAY_SECONDS)
    expiry_grace_seconds: float = Field(2, ge=0, le=HOUR_SECONDS)
    hold_timeout_seconds: float = Field(60, ge=0.1, le=DAY_SECONDS)
    close_timeout_seconds: float = Field(60, ge=0.1, le=DAY_SECONDS)
    claim_retention_hours: float = Field(168, ge=0.001, le=8_760)
    fluent_profile: Literal["inventory-quantity", "template"] = "inventory-quantity"
    settlement: Literal["order-flow", "sale"] = "order-flow"
    settle_delay_seconds: float = Field(30, ge=0, le=DAY_SECONDS)
    settle_interval_seconds: float = Field(5, ge=0.1, le=HOUR_SECONDS)
    fluent_requests_per_second: float = Field(20, ge=0.1, le=10_000)
    fluent_max_in_flight: int = Field(16, ge=1, le=1_000)
    fluent_timeout_seconds: float = Field(10, ge=0.1, le=300)
    fluent_ask_again_seconds: float = Field(10, ge=0.1, le=HOUR_SECONDS)
    fluent_verify_seconds: float = Field(60, ge=0, le=DAY_SECONDS)
    max_retries: int = Field(3, ge=0, le=20)
    dead_letter_limit_per_minute: int = Field(0, ge=0, le=1_000_000)
    partitions: int = Field(12, ge=1, le=1_000)
    replication_factor: int | None = Field(None, ge=1, le=32)
    kafka_session_timeout_ms: int = Field(6_000, ge=500, le=300_000)
    input_mapping: dict[str, JsonValue] = Field(default_factory=dict)
    lock_timeout_ms: int | None = Field(None, ge=0)
    schema_location: str | None = Field(None, alias="$schema")

    @property
    def catalogue(self) -> str:
        """Ref of the inventory catalogue; Fluent's convention when none is configured."""
        return self.catalogue_ref or f"DEFAULT:{self.retailer_id}"

    @property
    def default_duration_ms(self) -> int:
        """How long a promotion lasts that says nothing about it."""
        return self.reservation_duration_minutes * MS_PER_MINUTE

    @property
    def release_interval_ms(self) -> int:
        """How often deadlines are looked at."""
        return milliseconds(self.release_interval_seconds, MS_PER_SECOND)

    @property
    def reconciliation_interval_ms(self) -> int:
        """At most one report per promotion and interval."""
        return milliseconds(self.reconciliation_interval_seconds, MS_PER_SECOND)

    @property
    def claim_grace_ms(self) -> int:
        """How long something waits for what it may have overtaken."""
        return milliseconds(self.claim_grace_seconds, MS_PER_SECOND)

    @property
    def max_backlog_ms(self) -> int:
        """How long a deadline waits at most until what was placed before it is decided."""
        return milliseconds(self.max_backlog_seconds, MS_PER_SECOND)

    @property
    def expiry_grace_ms(self) -> int:
        """How long after the deadline expiry is decided."""
        return milliseconds(self.expiry_grace_seconds, MS_PER_SECOND)

    @property
    def hold_timeout_ms(self) -> int:
        """How long claims wait for Fluent's answer about a hold."""
        return milliseconds(self.hold_timeout_seconds, MS_PER_SECOND)

    @property
    def close_timeout_ms(self) -> int:
        """After this a report names the SKUs whose end Fluent has not confirmed."""
        return milliseconds(self.close_timeout_seconds, MS_PER_SECOND)

    @property
    def claim_retention_ms(self) -> int:
        """How long orders and claims are remembered."""
        return milliseconds(self.claim_retention_hours, MS_PER_HOUR)

    @property
    def settle_delay_ms(self) -> int:
        """How long after an outcome the hold shrinks by what was consumed."""
        return milliseconds(self.settle_delay_seconds, MS_PER_SECOND)

    @property
    def settle_interval_ms(self) -> int:
        """At most one settle per SKU and interval."""
        return milliseconds(self.settle_interval_seconds, MS_PER_SECOND)

    @property
    def fluent_ask_again_ms(self) -> int:
        """After this an unanswered request to Fluent is emitted again."""
        return milliseconds(self.fluent_ask_again_seconds, MS_PER_SECOND)

    @property
    def fluent_verify_ms(self) -> int:
        """How long after a close the hold is looked at once more."""
        return milliseconds(self.fluent_verify_seconds, MS_PER_SECOND)


def json_schema() -> dict[str, JsonValue]:
    """The JSON Schema of the configuration file, for editors: `config/reservation-config.schema.json`."""
    schema: dict[str, JsonValue] = ReservationConfig.model_json_schema(by_alias=True)
    title = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Flash-sale reservations"}
    return {**title, **{key: value for key, value in schema.items() if key != "title"}}


def read_config(file: Path | None) -> tuple[ReservationConfig, str]:
    """The configuration in `file` and where it was read from; None: the default file, which may be absent.

    Raises ConfigurationError, in one sentence that names the file and the field.
    """
    chosen = file or DEFAULT_PATH
    try:
        text = chosen.read_text(encoding="utf-8")
    except FileNotFoundError:
        if file is None:
            return ReservationConfig(), f"defaults (there is no {chosen})"
        raise ConfigurationError(f"RESERVATION_CONFIG names {chosen}, which does not exist.") from None
    except OSError as error:
        raise ConfigurationError(f"The configuration {chosen} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"The configuration {chosen} is not UTF-8.") from None
    return _parse(chosen, text), str(chosen)


def _parse(file: Path, text: str) -> ReservationConfig:
    try:
        return ReservationConfig.model_validate_json(text)
    except ValidationError as failure:
        raise ConfigurationError(f"In {file}: {sentence(failure, 'the file')}") from None
