"""Standard Webhooks, a second way to sign: HMAC-SHA256 over `webhook-id.webhook-timestamp.body`.

For senders that have a library for it (https://www.standardwebhooks.com, version 1 of the symmetric scheme).
Neither method nor route is signed, so it is taken for events only, and an id that comes again with another
body or on another route is refused. No header names the client: it is the one whose secret fits.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from pydantic import SecretStr
from starlette.requests import Request

from bridge.once import Once, OtherContent
from bridge.problems import Problem
from bridge.records import Source
from streams.settings.secrets import webhook_key

VERSION = "v1,"
SIGNATURE_CHARACTERS = 44
"""Of 32 bytes in base64."""

MAX_ID_BYTES = 256
MAX_SIGNATURES = 10
"""Senders give several while their secret changes."""


Sender = Callable[[], Coroutine[Any, Any, Source]]


@dataclass(frozen=True, slots=True)
class Claims:
    """What a request's headers say, before anything of it is proven."""

    id: str
    timestamp: str
    signatures: tuple[str, ...]

    @property
    def formed(self) -> bool:
        """Whether id and signatures have the form of such."""
        return 0 < len(self.id) <= MAX_ID_BYTES and bool(self.signatures)


def claims_of(request: Request) -> Claims | None:
    """The claims of a request that is signed in this way; None for one that is not, or in our own way too."""
    headers = request.headers
    if "webhook-signature" not in headers or "x-signature" in headers:
        return None
    given = headers["webhook-signature"].split(" ", MAX_SIGNATURES)[:MAX_SIGNATURES]
    length = len(VERSION) + SIGNATURE_CHARACTERS
    formed = tuple(each for each in given if each.startswith(VERSION) and len(each) == length)
    return Claims(headers.get("webhook-id", ""), headers.get("webhook-timestamp", ""), formed)


class Webhooks:
    """Knows the clients' secrets of the form `whsec_…`. Whether the clock is right is not its question."""

    def __init__(self, secrets_of: Mapping[str, tuple[SecretStr, ...]]) -> None:
        self._keys = [
            (client, key)
            for client, known in secrets_of.items()
            for secret in known
            if (key := webhook_key(secret.get_secret_value())) is not None
        ]

    @property
    def anybody(self) -> bool:
        """Whether some client can sign in this way."""
        return bool(self._keys)

    def signer(self, claims: Claims, body: bytes) -> str:
        """The client that signed; empty where none did. Every key is tried, whichever fits."""
        head = f"{claims.id}.{claims.timestamp}.".encode("latin-1", "replace")
        found = ""
        for client, key in self._keys:
            expected = _signature(key, head, body).encode()
            for given in claims.signatures:
                if hmac.compare_digest(expected, given.encode("latin-1", "replace")):
                    found = found or client
        return found


def sign_webhook(secret: str, webhook_id: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature`. Raises ValueError for a secret of another form."""
    key = webhook_key(secret)
    if key is None:
        raise ValueError("a secret of Standard Webhooks begins with whsec_")
    return _signature(key, f"{webhook_id}.{timestamp}.".encode(), body)


def _signature(key: bytes, head: bytes, body: bytes) -> str:
    return VERSION + base64.b64encode(hmac.digest(key, head + body, "sha256")).decode()


class Received:
    """The webhooks that were sent to Kafka, by client and id."""

    def __init__(self) -> None:
        self._once: Once[Source] = Once()

    async def send(
        self, identity: tuple[str, str], route: str, body: bytes, send: Sender, *, again: bool
    ) -> Source:
        """Send an event under its webhook-id, once; `again`: a repeat too, because its caller waits.

        Raises Problem where the id came before with another body or on another route.
        """
        content = sha256(route.encode() + b"\0" + body).digest()
        try:
            if self._once.require(identity, content) and again:
                return await send()
            return await self._once.send(identity, content, send)
        except OtherContent:
            raise Problem(
                409,
                "The webhook-id came before, with another body or on another route",
                "Give each event a webhook-id of its own, and send one again only as it was.",
            ) from None
