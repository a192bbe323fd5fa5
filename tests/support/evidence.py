"""What the independent auditor reads of a system on a real broker."""

from __future__ import annotations

from typing import Any

from schemas.topics import SKU_COMMANDS
from tests.audit.evidence import READ, Evidence, Record
from tests.support.ends import ends_known_ms
from tests.support.system import Message, System


def gather(sale: System, **more: Any) -> Evidence:
    """Read every topic with a new `read_committed` consumer, and Fluent; `more` is what else is known.

    Nobody but the sale changes what Fluent has. Its journal keeps the newest changes only: where the first
    ones are gone, it says nothing.
    """
    journal, truth = sale.fluent.journal(), sale.fluent.truth()
    known: dict[str, Any] = {
        "prefix": sale.prefix,
        "stock": {sku: now["available"] + now["held"] + now["booked"] for sku, now in truth.items()},
        "truth": truth,
        "ends_known_ms": ends_known_ms((m.timestamp_ms, m.value) for m in sale.read(SKU_COMMANDS)),
        "journal": journal["entries"] if journal["oldest"] == 1 else None,
    }
    records = {topic: [_record(message) for message in sale.read(topic)] for topic in READ}
    return Evidence(records, **{**known, **more})


def _record(message: Message) -> Record:
    return Record(
        message.partition,
        message.offset,
        message.timestamp_ms,
        message.key,
        message.value,
        message.headers,
    )
