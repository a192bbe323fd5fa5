"""The agent of `fluent-requests`: asks Fluent what the ledger wants asked, sends answers to `sku-commands`.

It keeps nothing: the ledger asks again. A partition's offset is committed only below its oldest unanswered
request, so a restart takes in again what may not have been answered. Some of that was outdated long ago, and
Fluent must not be asked for it once more: a partition is read to the end that its log had when it was taken
over, and only then the newest request of each reservation is carried out.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable
from typing import cast

import faust

from agents.shell import channel, take
from fluent import RequestQueue
from fluent.backlog import Reservation, number_of, reservation_of
from schemas.topics import FLUENT_REQUESTS, SKU_COMMANDS
from schemas.unreadable import UNREADABLE
from streams.engine.fetched import Fetched
from streams.engine.host.app import EngineApp
from streams.engine.host.consumer import Consumer
from streams.engine.sender import Sender
from streams.engine.stage import what_is_wrong
from streams.ledger.commands import SkuCommand, Verified, encode
from streams.ledger.fluent_requests import AnyRequest, decode_request
from streams.log import get_logger
from streams.system import now_ms

log = get_logger("agents")


OnAnswered = Callable[[AnyRequest, SkuCommand, int], None]
"""Told of a request's answer, and when the gateway was asked (Unix ms)."""

Taken = tuple[int, AnyRequest]
"""A request and its offset."""


class Unanswered:
    """Which requests of one partition are not answered yet, and so how far its offset may be committed."""

    def __init__(self, following: int = 0) -> None:
        self._open: OrderedDict[int, None] = OrderedDict()
        self._following = following
        self._replay_ends_at: int | None = None
        self._newest: dict[Reservation, Taken] = {}

    def starts_at(self, log_end: int) -> None:
        """What lies below `log_end` at the first fetch is a replay."""
        if self._replay_ends_at is None:
            self._replay_ends_at = log_end

    def keep_newest(self, offset: int, request: AnyRequest) -> None:
        """Keeps a request until the replay is over; one that it outdates needs nothing more."""
        reservation = reservation_of(request)
        kept = self._newest.pop(reservation, None)
        if kept is not None and number_of(kept[1]) > number_of(request):
            (offset, request), kept = kept, (offset, request)
        if kept is not None:
            self.answered(kept[0])
        self._newest[reservation] = (offset, request)

    def due(self) -> list[Taken]:
        """The requests to be carried out now: none before the replay is over."""
        if self._following < (self._replay_ends_at or 0):
            return []
        due = list(self._newest.values())
        self._newest.clear()
        return due

    def took_in(self, offset: int) -> None:
        """A request was taken in."""
        self._open[offset] = None

    def fetched_up_to(self, following: int) -> None:
        """Everything below `following` was taken in."""
        self._following = following

    def answered(self, offset: int) -> None:
        """A request needs nothing more."""
        self._open.pop(offset, None)

    @property
    def committable(self) -> int | None:
        """The offset below which everything is answered, or None when nothing was taken in."""
        if self._open:
            return next(iter(self._open))
        return self._following or None


class FluentRequests:
    """One per worker: between the topics and the queue of the gateway that asks Fluent."""

    def __init__(
        self, topic: str, queue: RequestQueue, sender: Sender, on_answered: OnAnswered = lambda *_: None
    ) -> None:
        self.queue = queue
        self._on_answered = on_answered
        self._topic = topic
        self._sender = sender
        self._partitions: dict[int, Unanswered] = {}

    @property
    def outstanding(self) -> int:
        """Requests queued or in flight."""
        meters = self.queue.meters
        return meters.requests_queued + meters.skus_in_flight

    def register(self, app: EngineApp) -> None:
        """Let `app` take in what comes on `fluent-requests`."""

        async def take_in(fetched: Fetched) -> None:
            consumer = cast(Consumer, app.consumer)
            await self.take(fetched, consumer.end_offset(fetched.topic, fetched.partition))

        @app.agent(channel(app, FLUENT_REQUESTS), name=FLUENT_REQUESTS)
        async def fluent_requests(stream: faust.StreamT[bytes]) -> None:
            async for event in stream.events():
                await take(app, event, take_in)

        app.on_partitions_revoked.connect(lambda *_, **__: self.revoked())

    async def take(self, fetched: Fetched, log_end: int | None) -> None:
        """Take a fetch of requests in; `log_end` is that of the partition now.

        What finds no room is dropped: the ledger asks again.
        """
        unanswered = self._partitions.setdefault(fetched.partition, Unanswered())
        unanswered.starts_at(log_end or fetched.following)
        for record in fetched.records:
            try:
                request: AnyRequest = decode_request(record.value or b"")
            except UNREADABLE as error:
                log.error(
                    "not_a_fluent_request",
                    partition=fetched.partition,
                    offset=record.offset,
                    error=what_is_wrong(record, str(error)),
                    recommendation="find out who else writes to fluent-requests; the record is passed over",
                )
                continue
            unanswered.took_in(record.offset)
            unanswered.keep_newest(record.offset, request)
        unanswered.fetched_up_to(fetched.following)
        for offset, request in unanswered.due():
            self._submit(request, unanswered, offset)

    def _submit(self, request: AnyRequest, unanswered: Unanswered, offset: int) -> None:
        asked_at_ms = now_ms()

        def answer(command: SkuCommand) -> None:
            sku = command.sku if isinstance(command, Verified) else request.sku
            self._sender.keyed(SKU_COMMANDS, sku.encode(), encode(command))
            self._on_answered(request, command, asked_at_ms)

        if not self.queue.submit(request, answer, lambda: unanswered.answered(offset)):
            unanswered.answered(offset)  # no room: the ledger asks again, and orders must not wait for Fluent

    def durable_offset(self, topic: str, partition: int) -> int | None:
        """Next offset to take in after a restart."""
        if topic != self._topic or partition not in self._partitions:
            return None
        return self._partitions[partition].committable

    async def suspend(self, within_s: float) -> None:
        """A rebalance: drop what is queued and let calls in flight end; the caller has ended the lease."""
        offsets = {number: unanswered.committable for number, unanswered in self._partitions.items()}
        self.queue.forget()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.queue.drain(), within_s)
        for number, offset in offsets.items():
            self._partitions[number] = Unanswered(offset or 0)

    def revoked(self) -> None:
        """Offsets of partitions that may go away are not ours to commit any more."""
        self._partitions.clear()

    async def close(self) -> None:
        """Stop asking."""
        await self.queue.close(1.0)
        await self.queue.gateway.aclose()
