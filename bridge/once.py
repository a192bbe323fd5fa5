"""What has an identity of its own is sent once, however often it comes: Fluent's event ids, webhook-ids."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

MAX_SEEN = 100_000
"""Identities that are remembered, the newest ones. An older repeat is a repeat of the event itself."""

Sent = TypeVar("Sent")


class OtherContent(Exception):
    """The identity came before, with something else."""


class Once(Generic[Sent]):
    """Remembers what was sent under which identity. In the event loop only."""

    def __init__(self) -> None:
        self._seen: OrderedDict[Hashable, tuple[bytes, asyncio.Task[Sent]]] = OrderedDict()

    async def send(
        self, identity: Hashable, content: bytes, send: Callable[[], Coroutine[Any, Any, Sent]]
    ) -> Sent:
        """What `send` gave for this identity: a repeat waits for the first and sends nothing.

        `content` is a digest. Raises OtherContent where another came before, and whatever `send` raises;
        then the same may be sent again.
        """
        self.require(identity, content)
        if identity not in self._seen:
            task = asyncio.create_task(send())
            task.add_done_callback(lambda done: self._forget_failed(identity, done))
            self._seen[identity] = content, task
            if len(self._seen) > MAX_SEEN:
                self._seen.popitem(last=False)
        _, task = self._seen[identity]
        return await asyncio.shield(task)

    def require(self, identity: Hashable, content: bytes) -> bool:
        """Whether the identity came before. Raises OtherContent where that was with another content."""
        before = self._seen.get(identity)
        if before is not None and before[0] != content:
            raise OtherContent
        return before is not None

    def _forget_failed(self, identity: Hashable, done: asyncio.Task[Sent]) -> None:
        """Whatever went wrong, the same event may be sent again."""
        if done.cancelled() or done.exception() is not None:
            self._seen.pop(identity, None)
