"""`POST /fluent-events`: Fluent's own webhooks, signed with Fluent's key and mapped by `inputMapping`.

Fluent signs the raw body with SHA512withRSA (PKCS #1 v1.5) and sends the signature in base64. There is no
timestamp in it, so a repeat is told by the event's id.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections import OrderedDict
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key
from pydantic_core import from_json
from starlette.requests import Request
from starlette.responses import Response

from bridge.events import accepted, key_of, read_event
from bridge.problems import Problem, unauthorized
from bridge.service import Bridge
from schemas.invalid import InvalidEvent
from schemas.parsing import Event
from schemas.reasons import RECOMMENDATIONS, Reason
from streams.settings import ConfigurationError, Settings

HEADER = "fluent-signature"
MAX_SEEN = 100_000
"""Ids of events that are remembered, the newest ones. An older repeat is a repeat of the event itself."""


class FluentEvents:
    """Takes Fluent's events in. `key` None: nobody can sign, so nothing passes unless `unsigned`."""

    def __init__(self, bridge: Bridge, key: RSAPublicKey | None, *, unsigned: bool) -> None:
        self._bridge = bridge
        self._key = key
        self._unsigned = unsigned
        self._seen: OrderedDict[str, asyncio.Task[Event]] = OrderedDict()

    async def take(self, request: Request) -> Response:
        """Send what `inputMapping` finds in Fluent's event to its input topic. Raises Problem."""
        with self._bridge.gate.one_event() as incoming:
            body = await incoming.read(request)
            if not self._unsigned:
                self._require(body, request.headers.get(HEADER, ""))
            topic, event = _mapped(self._bridge.settings, body)
            event_id = _id_of(body)
            if event_id is None:
                await self._bridge.send(topic, key_of(event), body)
                return accepted(event)
            return accepted(await self._once(event_id, topic, event, body))

    async def _once(self, event_id: str, topic: str, event: Event, body: bytes) -> Event:
        """The event that was sent under this id: a repeat waits for the first and sends nothing."""
        task = self._seen.get(event_id)
        if task is None:
            task = asyncio.create_task(self._send(event_id, topic, event, body))
            self._seen[event_id] = task
            if len(self._seen) > MAX_SEEN:
                self._seen.popitem(last=False)
        return await asyncio.shield(task)

    async def _send(self, event_id: str, topic: str, event: Event, body: bytes) -> Event:
        try:
            await self._bridge.send(topic, key_of(event), body)
        except Problem:
            self._seen.pop(event_id, None)
            raise
        return event

    def _require(self, body: bytes, signature: str) -> None:
        try:
            given = base64.b64decode(signature, validate=True)
            if self._key is None:
                raise unauthorized()
            self._key.verify(given, body, PKCS1v15(), SHA512())
        except (InvalidSignature, binascii.Error, ValueError):
            raise unauthorized() from None


def load_key(file: Path) -> RSAPublicKey:
    """Fluent's public key from a PEM file, or from base64 of its DER as Fluent shows it.

    Raises ConfigurationError.
    """
    content = file.read_bytes()
    try:
        if b"-----BEGIN" in content:
            key = load_pem_public_key(content)
        else:
            key = load_der_public_key(base64.b64decode(content))
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, RSAPublicKey):
        raise ConfigurationError(
            f"BRIDGE_FLUENT_PUBLIC_KEY_FILE names {file}, which is no RSA public key (PEM or base64 DER)."
        )
    return key


def _mapped(settings: Settings, body: bytes) -> tuple[str, Event]:
    """The first input topic in the configuration's order whose mapping yields its shape."""
    errors = []
    for topic in settings.mappings:
        try:
            return topic, read_event(settings, topic, body)
        except InvalidEvent as invalid:
            errors.append(f"{topic}: {invalid.error}")
    if not errors:
        raise Problem(
            422,
            "No inputMapping is configured, so nothing can be made of Fluent's events",
            "Configure inputMapping for the input topics that Fluent's events are meant for.",
        )
    raise Problem(
        422,
        f"No inputMapping yields an event: {' '.join(errors)}",
        RECOMMENDATIONS[Reason.INVALID],
        reason=Reason.INVALID,
    )


def _id_of(body: bytes) -> str | None:
    """The id of Fluent's event; None where it has none."""
    value = from_json(body)
    found = value.get("id") if isinstance(value, dict) else None
    return str(found) if isinstance(found, str | int) and found else None
