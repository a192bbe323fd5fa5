"""The parts of one worker process, together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from agents.fluent_requests import RequestAgent
from agents.timers import Timers
from flashsale.worker.metrics import Metrics
from streams.engine.engine import Engine
from streams.engine.host.app import EngineApp
from streams.engine.host.consumer import Consumer
from streams.engine.sender import Sender
from streams.settings import Settings


@dataclass
class Worker:
    """Everything that one worker process consists of."""

    settings: Settings
    app: EngineApp
    engine: Engine
    metrics: Metrics
    sender: Sender
    requests: RequestAgent
    timers: Timers

    def ready(self) -> tuple[bool, str]:
        """Whether the worker owns its partitions and its rows are restored."""
        if self.engine.ready:
            return True, "ready"
        return False, "not ready: waiting for partitions, or restoring rows"

    @property
    def consumer(self) -> Consumer:
        """The app's consumer; Faust knows it by its interface only."""
        return cast(Consumer, self.app.consumer)
