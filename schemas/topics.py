"""Every topic in one table: what it is for, how it is keyed, kept and partitioned.

The names here are logical ones; `TOPIC_PREFIX` goes in front of each on the wire.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

PROMOTION_START = "promotion-start"
PROMOTION_END = "promotion-end"
ORDER_PLACED = "order-placed"
ORDER_CANCELLED = "order-cancelled"

ORDER_COMMANDS = "order-commands"
PROMOTION_COMMANDS = "promotion-commands"
SKU_COMMANDS = "sku-commands"
FLUENT_REQUESTS = "fluent-requests"

RESERVATION_RESULTS = "reservation-results"
PROMOTION_RESULTS = "promotion-results"
ORDER_OUTCOMES = "order-outcomes"
RESERVATION_RELEASES = "reservation-releases"
RECONCILIATION_REPORTS = "reconciliation-reports"
SALE_FIGURES = "sale-figures"
DEAD_LETTERS = "dead-letters"

TASK_CHANGELOG = "flashsale-tasks-changelog"

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
"""Limit of our own topics, producers and fetches: above every input topic's, so that whatever came in
also fits into `dead-letters` together with its headers."""

HEADROOM_BYTES = 64 * 1024
"""By this much our limit must exceed the limit of every input topic (room for headers)."""

MAX_INPUT_BYTES = MAX_MESSAGE_BYTES - HEADROOM_BYTES
"""Of a message and its key. A topic's own limit is one of batches, and of what they have when compressed."""

DAY_MS = 86_400_000

COMPACTED_WITHIN_MS = 600_000
COMPACTED_SEGMENT_BYTES = 16 * 1024 * 1024
"""Of an output that is compacted, a reader reads everything at its start. So what was replaced goes soon: by
Kafka's defaults, a segment is compacted once it has a gibibyte or is a week old."""


class Role(StrEnum):
    """What a topic is for, and so whose it is."""

    INPUT = "input"
    COMMANDS = "commands"
    OUTPUT = "output"
    STATE = "state"


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic: its role, its key, what it carries, for how long (ms) records are kept, whether compacted.

    `key` and `purpose` stand in AsyncAPI and in docs/operations.md, which are generated.
    """

    name: str
    role: Role
    key: str
    purpose: str
    retention_ms: int = 7 * DAY_MS
    compacted: bool = False

    @property
    def log_append_time(self) -> bool:
        """Decisions take the broker's clock: on input and command topics records are stamped on append."""
        return self.role in (Role.INPUT, Role.COMMANDS)

    @property
    def cleanup(self) -> tuple[str, ...]:
        """What is done with old records. State is kept for good; an output goes after its retention."""
        if not self.compacted:
            return ("delete",)
        return ("compact",) if self.role is Role.STATE else ("compact", "delete")

    def broker_config(self) -> dict[str, str]:
        """Topic configuration as Kafka's `CreateTopics` takes it."""
        config = {
            "message.timestamp.type": "LogAppendTime" if self.log_append_time else "CreateTime",
            "cleanup.policy": ",".join(self.cleanup),
        }
        if self.role is not Role.INPUT:
            config["max.message.bytes"] = str(MAX_MESSAGE_BYTES)
        if self.compacted:
            config["delete.retention.ms"] = str(DAY_MS)
            if self.role is Role.OUTPUT:
                config["max.compaction.lag.ms"] = str(COMPACTED_WITHIN_MS)
                config["segment.bytes"] = str(COMPACTED_SEGMENT_BYTES)
        if "delete" in self.cleanup:
            config["retention.ms"] = str(self.retention_ms)
        return config


ANY_KEY = "any key or none; partitioning is free"

TOPICS: tuple[Topic, ...] = (
    Topic(PROMOTION_START, Role.INPUT, ANY_KEY, "A sale begins: reserve these SKUs."),
    Topic(PROMOTION_END, Role.INPUT, ANY_KEY, "A sale ends early: release what is left."),
    Topic(ORDER_PLACED, Role.INPUT, ANY_KEY, "An order takes units of a promotion."),
    Topic(ORDER_CANCELLED, Role.INPUT, ANY_KEY, "An order, or part of it, gives units back."),
    Topic(ORDER_COMMANDS, Role.COMMANDS, "order ref", "Everything about an order, in one log."),
    Topic(PROMOTION_COMMANDS, Role.COMMANDS, "promotion id", "Everything about a promotion, in one log."),
    Topic(SKU_COMMANDS, Role.COMMANDS, "SKU", "Everything that changes a SKU, in one log."),
    Topic(FLUENT_REQUESTS, Role.COMMANDS, "SKU", "What the ledger asks of Fluent."),
    Topic(RESERVATION_RESULTS, Role.OUTPUT, "promotion id", "One answer per SKU of a promotion."),
    Topic(
        PROMOTION_RESULTS,
        Role.OUTPUT,
        "promotion id",
        "The answers of a promotion together, when every SKU is decided.",
    ),
    Topic(
        ORDER_OUTCOMES,
        Role.OUTPUT,
        "order ref",
        "The decision about an order, then one more record for each cancel.",
    ),
    Topic(RESERVATION_RELEASES, Role.OUTPUT, "SKU", "Units of a SKU went back on sale."),
    Topic(
        RECONCILIATION_REPORTS,
        Role.OUTPUT,
        "promotion id",
        "What adds up, per SKU, beside what Fluent holds.",
        30 * DAY_MS,
    ),
    Topic(
        SALE_FIGURES,
        Role.OUTPUT,
        "promotion id/SKU",
        "How a SKU stands: at most once a second, while it changes.",
        30 * DAY_MS,
        compacted=True,
    ),
    Topic(
        DEAD_LETTERS,
        Role.OUTPUT,
        "the original key",
        "What could not be decided: the original bytes, unchanged, and why.",
    ),
    Topic(TASK_CHANGELOG, Role.STATE, "row", "Every task's rows: the truth behind its disk.", compacted=True),
)

BY_NAME: dict[str, Topic] = {topic.name: topic for topic in TOPICS}
INPUTS: tuple[str, ...] = tuple(t.name for t in TOPICS if t.role is Role.INPUT)
STAGES: tuple[str, ...] = (ORDER_COMMANDS, PROMOTION_COMMANDS, SKU_COMMANDS)
"""The command topics whose partition i together make up task i."""
