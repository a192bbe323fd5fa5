"""What has an identity of its own is sent once, however often it comes: Fluent's event ids, webhook-ids."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

MAX_SEEN = 100_000
"""Identities that are remembered, the newest ones. An older repeat is a repeat of the event itself."""

Sent = TypeVar("Sent")


class OtherContent(Exception):
    """The identity came before, with something else."""


@dataclass(slots=True)
class Seen(Generic[Sent]):
    """One identity, with the digest of its content: being sent, or what that gave."""

    content: bytes
    sending: asyncio.Task[Sent] | None
    sent: Sent | None = None


class Once(Generic[Sent]):
    """Remembers what was sent under which identity. In the event loop only.

    There are many: of each no more is kept than `Sent`, which should be small.
    """

    def __init__(self) -> None:
        self._seen: OrderedDict[Hashable, Seen[Sent]] = OrderedDict()

    async def send(
        self, identity: Hashable, content: bytes, send: Callable[[], Coroutine[Any, Any, Sent]]
    ) -> Sent:
        """What `send` gave for this identity: a repeat waits for the first and sends nothing.

        `content` is a digest. Raises OtherContent where another came before, and whatever `send` raises;
        then the same may be sent again.
        """
        self.require(identity, content)
        seen = self._seen.get(identity)
        if seen is None:
            task = asyncio.create_task(send())
            task.add_done_callback(lambda done: self._settle(identity, done))
            seen = self._seen[identity] = Seen(content, task)
            if len(self._seen) > MAX_SEEN:
                self._seen.popitem(last=False)
        if seen.sending is None:
            return cast(Sent, seen.sent)
        return await asyncio.shield(seen.sending)

    def require(self, identity: Hashable, content: bytes) -> bool:
        """Whether the identity came before. Raises OtherContent where that was with another content."""
        before = self._seen.get(identity)
        if before is not None and before.content != content:
            raise OtherContent
        return before is not None

    def _settle(self, identity: Hashable, done: asyncio.Task[Sent]) -> None:
        """Whatever went wrong, the same event may be sent again."""
        seen, failed = self._seen.get(identity), done.cancelled() or done.exception() is not None
        if seen is None or seen.sending is not done:
            return  # so many others came that it is forgotten
        if failed:
            del self._seen[identity]
        else:
            seen.sending, seen.sent = None, done.result()
