"""The Fluent gateway's agent: takes requests from `fluent-requests`, sends answers to `sku-commands`.

It keeps nothing: the ledger asks again. A partition's offset is committed only below its oldest unanswered
request, so a restart takes in again what may not have been answered.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

import structlog
from msgspec import MsgspecError

from streams.engine.fetched import Fetched
from streams.engine.sender import Sender
from streams.ledger.commands import SkuCommand, encode
from streams.ledger.fluent_requests import FluentRequest, decode_request
from streams.topology import SKU_COMMANDS

log = structlog.get_logger("gateway")

OnDone = Callable[[SkuCommand | None], None]


class Asker(Protocol):
    """What asks Fluent: many SKUs at once, one request in flight per SKU."""

    @property
    def outstanding(self) -> int:
        """Requests queued or in flight."""

    async def submit(self, request: FluentRequest, on_done: OnDone) -> None:
        """Queue a request; waits while the queue is full.

        `on_done` is called exactly once: with the answer, or with None when the request was superseded,
        was a repeat, or could not be answered now.
        """

    async def close(self) -> None:
        """Stop asking; what is in flight is abandoned."""


class Unanswered:
    """Which requests of one partition are not answered yet, and so how far its offset may be committed."""

    def __init__(self) -> None:
        self._open: OrderedDict[int, None] = OrderedDict()
        self._following = 0

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


class RequestAgent:
    """One per worker."""

    def __init__(self, topic: str, asker: Asker, sender: Sender) -> None:
        self._topic = topic
        self._asker = asker
        self._sender = sender
        self._partitions: dict[int, Unanswered] = {}

    @property
    def outstanding(self) -> int:
        """Requests queued or in flight."""
        return self._asker.outstanding

    async def take(self, fetched: Fetched) -> None:
        """Take a fetch of requests in; returns when they are queued."""
        unanswered = self._partitions.setdefault(fetched.partition, Unanswered())
        for record in fetched.records:
            try:
                request: FluentRequest = decode_request(record.value or b"")
            except (MsgspecError, UnicodeDecodeError) as error:
                log.error("not a Fluent request", offset=record.offset, error=str(error))
                continue
            unanswered.took_in(record.offset)
            await self._asker.submit(request, self._on_done(request, unanswered, record.offset))
        unanswered.fetched_up_to(fetched.following)

    def _on_done(self, request: FluentRequest, unanswered: Unanswered, offset: int) -> OnDone:
        def done(answer: SkuCommand | None) -> None:
            unanswered.answered(offset)
            if answer is not None:
                self._sender.keyed(SKU_COMMANDS, request.sku.encode(), encode(answer))

        return done

    def durable_offset(self, topic: str, partition: int) -> int | None:
        """Next offset to take in after a restart."""
        if topic != self._topic or partition not in self._partitions:
            return None
        return self._partitions[partition].committable

    def revoked(self) -> None:
        """A rebalance: offsets of partitions that may go away are not ours to commit any more."""
        self._partitions.clear()

    async def close(self) -> None:
        """Stop asking."""
        await self._asker.close()
