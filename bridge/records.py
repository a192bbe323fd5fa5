"""What comes back: records of the outcome topics, read just far enough to find who waits for them."""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import NamedTuple

import msgspec
from pydantic import ValidationError

from schemas.dead_letters import SourceHeaders


class Source(NamedTuple):
    """The place of an input record: topic (logical name), partition, offset."""

    topic: str
    partition: int
    offset: int


class Arrival(msgspec.Struct, frozen=True):
    """A committed record of an outcome topic (logical name), and the input that it answers."""

    topic: str
    value: bytes
    source: Source | None
    headers: dict[str, str]


Fields = dict[str, object]
"""The body of a response, by its names in JSON."""

NOTHING = msgspec.Raw(b"")
"""Where a field is absent."""


class Outcome(msgspec.Struct, rename="camel", omit_defaults=True):
    """A record of `order-outcomes`; what is only passed on stays as it is."""

    order_ref: str
    promotion_id: str
    outcome: str
    consume_results: msgspec.Raw
    decided_at: str
    revision: int
    reason: str | None = None
    cancel_results: msgspec.Raw = NOTHING
    cancellation_ref: str | None = None


class Page(msgspec.Struct, rename="camel"):
    """A page of `promotion-results`."""

    promotion_id: str
    reservations: list[msgspec.Raw]
    summary: msgspec.Raw
    page: int
    pages: int


class Report(msgspec.Struct, rename="camel", omit_defaults=True):
    """The head of a `reconciliation-reports` page, without its lines."""

    promotion_id: str
    kind: str
    status: str
    totals: msgspec.Raw
    revision: int
    generated_at: str
    page: int
    pages: int
    waiting_for: list[str] | None = None

    @property
    def is_complete(self) -> bool:
        """Whether this is the last page, so that the whole report is out."""
        return self.page == self.pages


read_outcome = msgspec.json.Decoder(Outcome).decode
read_page = msgspec.json.Decoder(Page).decode
read_report = msgspec.json.Decoder(Report).decode


def results_of(values: Iterable[bytes]) -> Fields:
    """The pages of a promotion's results as one; no fields when a page is missing."""
    pages = sorted(map(read_page, values), key=attrgetter("page"))
    if not pages or len(pages) != pages[-1].pages:
        return {}
    return {
        "promotionId": pages[0].promotion_id,
        "reservations": [result for page in pages for result in page.reservations],
        "summary": pages[0].summary,
    }


def source_of(
    headers: Iterable[tuple[str, bytes | None]], prefix: str
) -> tuple[Source | None, dict[str, str]]:
    """The input that a record answers, None where its headers do not say; and the headers as texts.

    `prefix` is TOPIC_PREFIX: headers name topics as they are called on the broker.
    """
    texts = {name: (value or b"").decode(errors="replace") for name, value in headers}
    if "source-offset" not in texts:
        return None, texts
    try:
        named = SourceHeaders.model_validate(texts)
    except ValidationError:
        return None, texts
    topic = named.source_topic.removeprefix(prefix)
    return Source(topic, named.source_partition, named.source_offset), texts
