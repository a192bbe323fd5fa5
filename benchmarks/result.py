"""A measured figure, and the place where it is measured."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flashsale.admin.topics import create_topics
from streams.settings import Settings, load_settings


@dataclass(frozen=True)
class Result:
    """One row of the table. `unit` "/s" is compared with the raw loop."""

    name: str
    value: float
    unit: str
    aim: str = ""
    notes: str = ""

    @property
    def text(self) -> str:
        """The figure as a person reads it."""
        return f"{self.value:,.0f} {self.unit}"


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
