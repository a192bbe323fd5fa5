"""Where the world meets the system: input records, which are read a moment later or after a while."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from random import Random

import msgspec

from schemas.topics import ORDER_COMMANDS, PROMOTION_COMMANDS
from streams.ledger.inputs import CancelOrder, PlaceOrder
from streams.ledger.terms import Source
from tests.simulation.barrier import Barrier
from tests.simulation.broker import Broker
from tests.simulation.evidence import Event, as_sent
from tests.simulation.worlds import MINUTE_MS, Kind, log


@dataclass
class World:
    """Everything that was sent, by topic and offset, for the auditor."""

    broker: Broker
    kind: Kind
    barrier: Barrier
    sent: dict[tuple[str, int], Event] = field(default_factory=dict)
    _offsets: dict[str, int] = field(default_factory=dict)

    def plan(self, at_ms: int, topic: str, event: Event, rng: Random) -> None:
        """Send `event` at `at_ms`, and sometimes once more."""
        self._plan(at_ms, topic, event, rng)
        later_ms = log(rng, 1, max(MINUTE_MS, self.kind.lasts_ms))
        if rng.random() < self.kind.habits.repeats:
            self._plan(at_ms + later_ms, topic, event, rng)

    def _plan(self, at_ms: int, topic: str, event: Event, rng: Random) -> None:
        self.broker.clock.plan(at_ms, partial(self._send, topic, event, rng.randint(1, 400)))

    def _send(self, topic: str, event: Event, delay_ms: int) -> None:
        """An input event, as intake passes it on `delay_ms` later, or when the topic is read again."""
        offset = self._offsets.get(topic, 0)
        self._offsets[topic] = offset + 1
        event = msgspec.structs.replace(
            event,
            source=Source(topic, 0, offset),
            placed_at_ms=self.broker.clock.now_ms,
            original=as_sent(event),
        )
        self.sent[topic, offset] = event
        number = len(self.sent)
        self.barrier.backlog[number] = event.placed_at_ms
        self.broker.clock.plan(self._read_at_ms(topic) + delay_ms, partial(self._read, number, event))

    def _read_at_ms(self, topic: str) -> int:
        now_ms = self.broker.clock.now_ms
        from_ms, to_ms = self.kind.stalls.get(topic, (0, 0))
        return to_ms if from_ms <= now_ms < to_ms else now_ms

    def _read(self, number: int, event: Event) -> None:
        del self.barrier.backlog[number]
        if isinstance(event, PlaceOrder | CancelOrder):
            self.broker.append(ORDER_COMMANDS, event.order_ref.encode(), event)
        else:
            self.broker.append(PROMOTION_COMMANDS, event.promotion_id.encode(), event)
