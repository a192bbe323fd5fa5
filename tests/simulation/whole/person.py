"""The person on call, and the supervisor: workers that end are started again, and somebody looks at why.

What the person does for an alarm is what docs/operations.md says. An alarm that is not known here is left as
it is, and the sale fails with it.
"""

from __future__ import annotations

import re
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from schemas.topics import ORDER_CANCELLED, ORDER_PLACED, TASK_CHANGELOG
from streams.engine.broker.coordinators import Partition
from streams.engine.ports import POSITIONS
from streams.engine.takeover import name, parse
from tests.simulation.whole.trouble import start_again
from tests.simulation.whole.worker import Worker

if TYPE_CHECKING:
    from tests.simulation.whole.sale import Sale

LOST = re.compile(
    r"(\S+/\d+) was decided up to offset \d+, but (?:the log begins at|the log ends at|the topic was deleted)"
    r".* see docs/operations.md, 'A position that the log no longer holds'"
)
COMES_WITHIN_S = 1.0, 45.0
COMES_AT_ONCE_S = 1.0
"""When nothing goes wrong any more."""

STARTS_AGAIN_S = 0.2, 5.0
SENT_AGAIN_WITHIN_S = 10.0
MOST_CALLS = 40
"""More than that is no way to run a sale."""


class Person:
    """Acts upon alarms some time after the first of them."""

    def __init__(self, sale: Sale, rng: Random) -> None:
        self.fair = False
        self.calls = 0
        self.acted_at = 0.0
        """Loop's seconds."""
        self._sale = sale
        self._rng = rng
        self._called = False
        self._sends_orders_again = rng.random() < 0.5
        sale.cluster.on_died = self._died

    def _died(self, worker: Worker) -> None:
        sale = self._sale
        sale.loop.later(self._rng.uniform(*STARTS_AGAIN_S), partial(start_again, sale, worker.directory.name))
        if not self._called:
            self._called = True
            within_s = COMES_AT_ONCE_S if self.fair else self._rng.uniform(*COMES_WITHIN_S)
            sale.loop.later(within_s, self._act)

    def _act(self) -> None:
        """Accept what is lost, have it sent again, and start the workers again."""
        sale, cluster = self._sale, self._sale.cluster
        self._called, self.acted_at = False, sale.loop.seconds
        self.calls += 1
        assert self.calls < MOST_CALLS, f"a person was called {self.calls} times: {cluster.died[-1]}"
        found = [LOST.search(why) for why in cluster.died]
        cluster.died = [why for why, known in zip(cluster.died, found, strict=True) if known is None]
        machines = {worker.directory.name for worker in sale.workers if worker.alive}
        for worker in sale.workers:
            worker.kill()
        for source in sorted({known[1] for known in found if known is not None}):
            self._accept(parse(source))
        for machine in sorted(machines):
            sale.loop.later(self._rng.uniform(*STARTS_AGAIN_S), partial(start_again, sale, machine))

    def _accept(self, partition: Partition) -> None:
        sale = self._sale
        lost = sale.inputs.accept(partition)
        changelog = TASK_CHANGELOG, partition[1] % sale.kind.partitions
        sale.cluster.kafka.append(changelog, POSITIONS.prefix + name(partition).encode(), None)
        if partition[0] not in (ORDER_PLACED, ORDER_CANCELLED) or self._sends_orders_again:
            for each in lost:
                sale.loop.later(
                    self._rng.uniform(0, SENT_AGAIN_WITHIN_S),
                    partial(sale.send, each.partition, each.entry.key, each.entry.value),
                )
