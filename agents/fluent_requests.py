"""The agent of `fluent-requests`: asks Fluent what the ledger wants asked, sends answers to `sku-commands`.

It keeps nothing: the ledger asks again. A partition's offset is committed only below its oldest unanswered
request, so a restart takes in again what may not have been answered.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict

import faust
from msgspec import MsgspecError

from agents.shell import channel, take
from fluent import RequestQueue
from schemas.topics import FLUENT_REQUESTS, SKU_COMMANDS
from streams.engine.fetched import Fetched
from streams.engine.host.app import EngineApp
from streams.engine.sender import Sender
from streams.ledger.commands import SkuCommand, encode
from streams.ledger.fluent_requests import FluentRequest, decode_request
from streams.log import get_logger

log = get_logger("agents")


class Unanswered:
    """Which requests of one partition are not answered yet, and so how far its offset may be committed."""

    def __init__(self, following: int = 0) -> None:
        self._open: OrderedDict[int, None] = OrderedDict()
        self._following = following

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

    def __init__(self, topic: str, queue: RequestQueue, sender: Sender) -> None:
        self.queue = queue
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

        @app.agent(channel(app, FLUENT_REQUESTS), name=FLUENT_REQUESTS)
        async def fluent_requests(stream: faust.StreamT[bytes]) -> None:
            async for event in stream.events():
                await take(app, event, self.take)

        app.on_partitions_revoked.connect(lambda *_, **__: self.revoked())

    async def take(self, fetched: Fetched) -> None:
        """Take a fetch of requests in. What finds no room is dropped: the ledger asks again."""
        unanswered = self._partitions.setdefault(fetched.partition, Unanswered())
        for record in fetched.records:
            try:
                request: FluentRequest = decode_request(record.value or b"")
            except (MsgspecError, UnicodeDecodeError) as error:
                log.error("not_a_fluent_request", offset=record.offset, error=str(error))
                continue
            unanswered.took_in(record.offset)
            self._submit(request, unanswered, record.offset)
        unanswered.fetched_up_to(fetched.following)

    def _submit(self, request: FluentRequest, unanswered: Unanswered, offset: int) -> None:
        key = request.sku.encode()

        def answer(command: SkuCommand) -> None:
            self._sender.keyed(SKU_COMMANDS, key, encode(command))

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
