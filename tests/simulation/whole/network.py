"""The network between a worker and the brokers: slow, and now and then it loses a request or its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from aiokafka.errors import KafkaConnectionError

from tests.simulation.whole.clock import NEUTRAL, VirtualLoop

T = TypeVar("T")

USUAL_S, SLOW_S = (0.0005, 0.02), (0.02, 1.5)
LOST_AFTER_S = 0.8
AGAIN_S = 0.02


@dataclass
class Weather:
    """What goes wrong, until it is made `fair`."""

    loss: float
    slow: float
    refusals: float = 0.0
    """The share of batches that a broker refuses for good."""
    away: tuple[float, float] = (0.0, 0.0)
    """From when to when (loop's seconds) the brokers answer nobody."""
    refusing: tuple[float, float] = (0.0, 0.0)
    """From when to when they refuse every batch: nothing is committed, and ticks still come."""

    def clear_up(self) -> None:
        """From now on nothing goes wrong any more."""
        self.loss = self.slow = self.refusals = 0.0
        self.away = self.refusing = (0.0, 0.0)


@dataclass
class Network:
    """One worker's connections to the brokers."""

    loop: VirtualLoop
    rng: Random
    weather: Weather

    async def ask(self, at_the_broker: Callable[[], T]) -> T:
        """Have a request carried out and get its answer, or KafkaConnectionError whatever became of it.

        A request that is on its way is carried out even if the worker that sent it freezes or dies.
        """
        answered: asyncio.Future[T] = self.loop.create_future()
        lost, answer_lost = self._lost(), self._lost()

        def carry_out() -> None:
            if lost or self._away():
                return self.loop.later(LOST_AFTER_S, lambda: _fail(answered))
            try:
                answer = at_the_broker()
            except Exception as error:
                failure = error
                self.loop.later(self._delay_s(), lambda: _settle(answered, error=failure))
            else:
                self.loop.later(self._delay_s(), lambda: come_back(answer))

        def come_back(answer: T) -> None:
            if answer_lost or self._away():
                return self.loop.later(LOST_AFTER_S, lambda: _fail(answered))
            _settle(answered, answer)

        self.loop.call_later(self._delay_s(), carry_out, context=NEUTRAL)
        return await answered

    async def insist(self, at_the_broker: Callable[[], T]) -> T:
        """The same again and again until there is an answer, as a producer does with what may be repeated."""
        while True:
            try:
                return await self.ask(at_the_broker)
            except KafkaConnectionError:
                await asyncio.sleep(AGAIN_S)

    def post(self, at_the_broker: Callable[[float], None]) -> None:
        """A request whose answer nobody waits for; it gets the seconds for which it was on its way."""
        delay_s = self._delay_s()

        def carry_out() -> None:
            if not self._away():
                at_the_broker(delay_s)

        if not self._lost():
            self.loop.call_later(delay_s, carry_out, context=NEUTRAL)

    def refused(self) -> bool:
        """Whether the broker refuses the batch in hand."""
        from_s, to_s = self.weather.refusing
        return from_s <= self.loop.seconds < to_s or self.rng.random() < self.weather.refusals

    def _lost(self) -> bool:
        return self.rng.random() < self.weather.loss

    def _away(self) -> bool:
        from_s, to_s = self.weather.away
        return from_s <= self.loop.seconds < to_s

    def _delay_s(self) -> float:
        return self.rng.uniform(*(SLOW_S if self.rng.random() < self.weather.slow else USUAL_S))


def _settle(future: asyncio.Future[T], answer: T | None = None, error: Exception | None = None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(answer)  # type: ignore[arg-type]


def _fail(future: asyncio.Future[T]) -> None:
    _settle(future, error=KafkaConnectionError("no answer"))
