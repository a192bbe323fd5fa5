"""What comes back: records of the outcome topics, read just far enough to find whose answer they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import NamedTuple

import msgspec
from pydantic import ValidationError

from schemas.headers import SourceHeaders, texts_of
from schemas.structs import OrderOutcome, PromotionResults, ReportHead


class Source(NamedTuple):
    """The place of an input record: topic (logical name), partition, offset."""

    topic: str
    partition: int
    offset: int


class Arrival(msgspec.Struct, frozen=True):
    """A committed record of an outcome topic (logical name), and the input that it answers."""

    topic: str
    key: str
    value: bytes
    source: Source | None
    headers: dict[str, str]
    at_ms: int = 0
    """The record's time in Unix milliseconds."""


Fields = Mapping[str, object]
"""The body of a response, by its names in JSON."""

read_outcome = msgspec.json.Decoder(OrderOutcome).decode
read_page = msgspec.json.Decoder(PromotionResults).decode
read_report = msgspec.json.Decoder(ReportHead).decode
read_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
"""A record's fields, each as it was published."""


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
    texts = texts_of(headers)
    if "source-offset" not in texts:
        return None, texts
    try:
        named = SourceHeaders.model_validate(texts)
    except ValidationError:
        return None, texts
    topic = named.source_topic.removeprefix(prefix)
    return Source(topic, named.source_partition, named.source_offset), texts
