"""Composition root: one simulated Fluent account, its stock and everybody who works on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from rehearsal.fluent.auditor import Auditor
from rehearsal.fluent.channels import Channels, OrderFlow
from rehearsal.fluent.execution import Executor
from rehearsal.fluent.faults import FaultPlan, Refusals
from rehearsal.fluent.limits import RateLimit
from rehearsal.fluent.oauth import Credentials, Tokens
from rehearsal.fluent.stale_reads import History
from rehearsal.fluent.store import Store
from rehearsal.fluent.switches import Controls
from rehearsal.fluent.workflow import Workflow
from streams.system import now_ms

Stock = dict[str, dict[str, int]]


class World:
    def __init__(
        self,
        stock: Stock,
        controls: Controls | None = None,
        *,
        seed: int = 0,
        catalogue: str = "DEFAULT:1",
        credentials: Credentials | None = None,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self.clock = clock
        self.controls = controls or Controls()
        self.store = Store(clock, catalogue)
        self.auditor = Auditor(self.store)
        self.history = History(self.store)
        self.workflow = Workflow(self.store, self.controls)
        self.orders = OrderFlow(self.store)
        self.channels = Channels(self.store, self.auditor, seed)
        self.refusals = Refusals()
        self.executor = Executor(self.store, self.refusals)
        self.tokens = Tokens(credentials or Credentials(), self.controls, clock)
        self.plan = FaultPlan(seed, self.controls)
        self.rate_limit = RateLimit(self.controls, clock)
        self.requests: Counter[str] = Counter()
        self.store.load(stock)
        self.auditor.reset_marks()

    def state(self) -> dict[str, Any]:
        """What ``GET /_control`` shows."""
        return {
            "controls": self.controls.model_dump(by_alias=True, mode="json"),
            "next": self.plan.expected(),
            "refusals": self.refusals.waiting(),
            "requests": dict(self.requests),
            "faults": dict(self.plan.delivered),
            "rateLimited": self.rate_limit.refused,
            "waitingForActivation": self.workflow.pending(),
        }
