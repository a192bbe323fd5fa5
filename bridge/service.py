"""The bridge's parts together: what lives as long as the process does."""

from __future__ import annotations

import asyncio

from bridge.gate import Gate
from bridge.inbox import Inbox, ReadAgain
from bridge.operations import Metrics
from bridge.outbox import Outbox, Undelivered
from bridge.problems import Problem, unavailable
from bridge.records import Arrival, Source
from bridge.sale.live import Live
from bridge.sale.sales import Sales
from bridge.status import Status
from bridge.waiting import Waiters
from schemas.topics import PROMOTION_END, PROMOTION_START
from schemas.unreadable import UNREADABLE
from streams.log import get_logger
from streams.settings import Settings

PROBE_EVERY_S = 1.0
PROBE_TIMEOUT_S = 2.0

log = get_logger("bridge")


class Bridge:
    """Sends events and knows their answers. `start` and `stop` belong to the event loop that serves requests.

    Raises ConfigurationError when the data directory cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.gate = Gate()
        self.waiters = Waiters()
        self.metrics = Metrics()
        self.status = Status(settings.data_dir)
        self.sales = Sales()
        self.live = Live(self.sales, self.stands_still, lambda: self.is_caught_up)
        self._kafka_answers = True
        self._stopping = False
        self._tasks: list[asyncio.Task[None]] = []
        self._outbox: Outbox | None = None
        self._inbox: Inbox | None = None
        self.metrics.events.set_function(lambda: self.gate.events)
        self.metrics.waiters.set_function(lambda: self.waiters.count)
        self.metrics.viewers.set_function(lambda: self.live.viewers)
        self.metrics.ready.set_function(lambda: not self.not_ready())

    def start(self) -> None:
        """Connect producer and consumer, and keep an eye on the broker."""
        self._outbox = Outbox(self.settings)
        self._inbox = Inbox(self.settings, self._arrived, self.sales.begin)
        watching = self._look_at_kafka(self._outbox)
        self._tasks = [asyncio.create_task(watching), asyncio.create_task(self.live.run())]

    def begin_to_stop(self) -> None:
        """Not ready from now on; callers that wait for a decision get a 202, and pages' streams end."""
        self._stopping = True
        self.waiters.close()
        self.live.close()

    async def stop(self) -> None:
        """Close everything, once every request is answered."""
        self.begin_to_stop()
        for task in self._tasks:
            task.cancel()
        if self._inbox is not None:
            await self._inbox.stop()
        if self._outbox is not None:
            await self._outbox.close()
        self.status.close()

    @property
    def is_caught_up(self) -> bool:
        """Whether the recent past of the outcome topics is read."""
        return self._inbox is not None and self._inbox.is_caught_up

    def not_ready(self) -> str:
        """Why the bridge should get no requests now; empty when it should."""
        if self._stopping:
            return "The bridge is shutting down"
        if not self._kafka_answers:
            return "Kafka does not answer"
        return "" if self.is_caught_up else "The outcome topics' recent past is not read yet"

    def stands_still(self) -> str:
        """Why the figures of sales do not move; empty when they do."""
        is_current = self._inbox is not None and self._inbox.is_current
        return self.not_ready() or ("" if is_current else "The outcome topics cannot be read just now")

    async def send(self, topic: str, key: str, value: bytes, client: str, trace: str = "") -> Source:
        """Send an event of `client` to `topic` (logical name); returns its place there. Raises Problem."""
        if self._outbox is None or not self._kafka_answers:
            raise _no_kafka()
        try:
            source = await self._outbox.send(topic, key, value, client, trace)
        except Undelivered as failure:
            log.warning(
                "event_not_taken",
                topic=topic,
                error=str(failure),
                bytes=len(value),
                recommendation="none: the caller was told to send it again",
            )
            raise _too_large() if failure.too_large else _no_kafka() from None
        if topic in (PROMOTION_START, PROMOTION_END):
            log.info("promotion_event_taken", topic=topic, promotion=key, client=client)
        return source

    async def _look_at_kafka(self, outbox: Outbox) -> None:
        """Requests fail at once, instead of after their time-out, while no broker answers."""
        loop = asyncio.get_running_loop()
        while True:
            asked_at = loop.time()
            answers = await asyncio.to_thread(outbox.probe, PROBE_TIMEOUT_S)
            answers = answers or outbox.acknowledged_at > asked_at
            if answers != self._kafka_answers:
                self._log_kafka(answers=answers)
            self._kafka_answers = answers
            await asyncio.sleep(PROBE_EVERY_S)

    def _arrived(self, arrivals: list[Arrival]) -> None:
        self.sales.is_current = self._inbox is not None and self._inbox.is_current
        for arrival in arrivals:
            try:
                self.status.arrived(arrival)
                self.waiters.arrived(arrival)
                self.sales.arrived(arrival)
            except UNREADABLE as error:
                log.warning(
                    "outcome_unreadable",
                    topic=arrival.topic,
                    error=str(error),
                    recommendation="find out who else writes to this topic",
                )
        if self.status.renewed():
            raise ReadAgain

    @staticmethod
    def _log_kafka(*, answers: bool) -> None:
        if answers:
            log.info("kafka_answers")
        else:
            log.warning("kafka_silent", recommendation="see whether the brokers run and can be reached")


def _no_kafka() -> Problem:
    return unavailable(
        "Kafka has not acknowledged the event",
        "Send the same request again after the seconds in Retry-After; should the event have come through, "
        "the repeat changes nothing.",
    )


def _too_large() -> Problem:
    return Problem(
        413,
        "The event is larger than its Kafka topic takes",
        "Split the order or the promotion into several, each under its own reference, "
        "or raise max.message.bytes of the topic.",
    )
