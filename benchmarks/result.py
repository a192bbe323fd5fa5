"""A measured figure, the table of them, and the place where they are measured."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.table import Table

from flashsale.admin.topics import create_topics
from streams.settings import Settings, load_settings

PER_SECOND = "/s"
BOUND = "raw loop, nothing durable"
"""The row of which others of the same unit are a share."""


@dataclass(frozen=True)
class Result:
    """A figure. With a unit that ends in "/s" more is better, with any other less."""

    name: str
    value: float
    unit: str
    aim: str = ""
    notes: str = ""

    @property
    def text(self) -> str:
        """The figure as a person reads it."""
        return f"{self.value:,.{0 if self.value >= 10 else 1}f} {self.unit}"

    @property
    def rate(self) -> bool:
        """Whether more is better."""
        return self.unit.endswith(PER_SECOND)

    def better(self, other: Result) -> Result:
        """The better one of two."""
        return max(self, other, key=lambda result: result.value if self.rate else -result.value)

    def times(self, other: Result) -> float:
        """How many times better than the other this is."""
        mine, theirs = (self.value, other.value) if self.rate else (other.value, self.value)
        return mine / theirs if theirs else float("inf")


@dataclass(frozen=True)
class Row:
    """The same figure of each subject, today's first; of what cannot be compared, today's only."""

    results: list[Result]


def table(rows: Sequence[Row], subjects: Sequence[str]) -> Table:
    """Figures beside those of another revision, what was aimed at, and the raw loop of the same run."""
    bound = next((row.results[0].value for row in rows if row.results[0].name == BOUND), None)
    shown = Table(title="Measured in one run on this machine")
    against = [column for name in subjects[1:] for column in (name, "times better")]
    for column in ("what", "measured", *against, "aim", "of the raw loop", "notes"):
        shown.add_column(column)
    for row in rows:
        mine, *others = row.results
        compared = [text for other in others for text in (other.text, f"{mine.times(other):.2f}")]
        share = f"{mine.value / bound:.0%}" if bound and mine.unit == PER_SECOND else ""
        empty = [""] * (len(against) - len(compared))
        shown.add_row(mine.name, mine.text, *compared, *empty, mine.aim, share, mine.notes)
    return shown


def p50_and_p99_ms(taken_s: Sequence[float], warm_share: float) -> tuple[float, float]:
    """Of what was taken after the first `warm_share` of the run; `taken_s` is in the order of the run."""
    kept = sorted(taken_s[int(len(taken_s) * warm_share) :])
    return kept[int(len(kept) * 0.5)] * 1e3, kept[int(len(kept) * 0.99)] * 1e3


@dataclass
class Arena:
    """A broker; every measurement gets topics of its own."""

    bootstrap: str
    broker_pid: int
    directory: Path
    client: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.client = {"bootstrap.servers": self.bootstrap}

    def settings(self, partitions: int, **config: Any) -> tuple[Settings, dict[str, str]]:
        """Settings and environment under a new prefix; the topics are created."""
        name = uuid.uuid4().hex[:8]
        file = self.directory / f"{name}.json"
        file.write_text(json.dumps({"partitions": partitions, **config}))
        environment = {
            "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap,
            "TOPIC_PREFIX": f"{name}-",
            "RESERVATION_CONFIG": str(file),
            "DATA_DIR": str(self.directory / name),
            "FLUENT_BASE_URL": "http://127.0.0.1:9",  # nothing is asked of Fluent here
        }
        settings = load_settings(environment)
        create_topics(settings)
        return settings, environment
