"""How a sale stands by `sale-figures`: known within a second, where a report may be a minute old."""

from __future__ import annotations

from collections.abc import Iterable, Set
from contextlib import suppress
from dataclasses import dataclass, field

from confluent_kafka import Message
from pydantic import ValidationError

from schemas.reports import PromotionState, SaleFigures
from schemas.topics import SALE_FIGURES
from streams.reader import read_to_end
from streams.settings import Settings

COLUMNS = ("reserved", "consumed", "cancelled", "released", "rejected_units", "rejected_orders")


def status_of(states: Set[str]) -> PromotionState:
    """Where a promotion is, as the states of its SKUs tell it together."""
    if states <= {"CLOSED", "REJECTED"}:
        return "CLOSED" if "CLOSED" in states else "REJECTED"
    if states & {"CLOSING", "CLOSED"}:
        return "CLOSING"
    return "PENDING" if "PENDING" in states else "ACTIVE"


@dataclass
class Standing:
    """The newest figures of each SKU of a promotion."""

    promotion_id: str
    skus: dict[str, SaleFigures] = field(default_factory=dict)

    @property
    def status(self) -> PromotionState:
        """Where the promotion is."""
        return status_of({figures.status for figures in self.skus.values()})

    @property
    def is_over(self) -> bool:
        """Whether nothing is on sale or held any more."""
        return self.status in ("CLOSED", "REJECTED")

    @property
    def at(self) -> str:
        """The moment of the newest figures."""
        return max(figures.at for figures in self.skus.values())

    def total(self, column: str) -> int:
        """The sum of one of `COLUMNS`."""
        return sum(getattr(figures, column) for figures in self.skus.values())


def standings(records: Iterable[Message], promotion: str | None = None) -> dict[str, Standing]:
    """How the promotions stand, or the one that is named, by records in the order of their partitions."""
    found: dict[str, Standing] = {}
    for record in records:
        with suppress(ValidationError):
            figures = SaleFigures.model_validate_json(record.value() or b"")
            if promotion in (None, figures.promotion_id):
                known = found.setdefault(figures.promotion_id, Standing(figures.promotion_id))
                known.skus[figures.sku] = figures
    return found


def standing_of(settings: Settings, promotion: str) -> Standing | None:
    """How a promotion stands, None where nothing is known. Raises ConfigurationError."""
    prefix = f"{promotion}/".encode()
    own = (record for record in read_to_end(settings, SALE_FIGURES) if _key(record).startswith(prefix))
    return standings(own, promotion).get(promotion)


def _key(record: Message) -> bytes:
    key = record.key()
    return key if isinstance(key, bytes) else b""
