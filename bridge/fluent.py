"""`POST /fluent-events`: Fluent's own webhooks, signed with Fluent's key and mapped by `inputMapping`.

Fluent signs the raw body with SHA512withRSA (PKCS #1 v1.5) and sends the signature in base64. It signs for
every account with the same key, so account and retailer are looked at as well. There is no timestamp in it,
so a repeat is recognised by the event's id and its content.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from functools import partial
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key
from pydantic import JsonValue
from pydantic_core import from_json
from starlette.requests import Request
from starlette.responses import Response

from bridge.events import accepted, key_of, read_event
from bridge.once import Once
from bridge.problems import Problem, unauthorized
from bridge.records import Source
from bridge.service import Bridge
from schemas.invalid import InvalidEvent
from schemas.parsing import Event
from schemas.reasons import RECOMMENDATIONS, Reason
from streams.log import get_logger
from streams.settings import ConfigurationError, Settings

HEADER = "fluent-signature"
CLIENT = "fluent"
"""The client id in the records of Fluent's events."""

MAX_LOGGED = 100

log = get_logger("bridge")


class FluentEvents:
    """Takes Fluent's events in. `key` None: nobody can sign, so nothing passes unless `unsigned`."""

    def __init__(self, bridge: Bridge, key: RSAPublicKey | None, *, unsigned: bool) -> None:
        self._bridge = bridge
        self._key = key
        self._unsigned = unsigned
        self._once: Once[Source] = Once()

    async def take(self, request: Request) -> Response:
        """Send what `inputMapping` finds in Fluent's event to its input topic. Raises Problem."""
        signature = b"" if self._unsigned else self._signature(request)
        body = await self._bridge.gate.strangers.read(request)
        if not self._unsigned:
            self._require(body, signature)
        with self._bridge.gate.one_event(len(body)):
            topic, event = _mapped(self._bridge.settings, body)
            fields = _fields_of(body)
            self._require_ours(fields)
            event_id = fields.get("id")
            send = partial(self._bridge.send, topic, key_of(event), body, CLIENT)
            if not isinstance(event_id, str | int) or not event_id:
                await send()
            else:
                digest = sha256(body).digest()  # the same id with other content is another event
                await self._once.send(digest, digest, send)
            return accepted(event)

    def _signature(self, request: Request) -> bytes:
        """What is given as the signature, before the body is read. Raises Problem."""
        try:
            given = base64.b64decode(request.headers.get(HEADER, ""), validate=True)
        except (binascii.Error, ValueError):
            raise unauthorized() from None
        if self._key is None or len(given) != self._key.key_size // 8:
            raise unauthorized()
        return given

    def _require(self, body: bytes, signature: bytes) -> None:
        try:
            if self._key is None:
                raise unauthorized()
            self._key.verify(signature, body, PKCS1v15(), SHA512())
        except InvalidSignature:
            raise unauthorized() from None

    def _require_ours(self, fields: Mapping[str, JsonValue]) -> None:
        """Turn away another account's events, and another retailer's. Raises Problem."""
        account, retailer = fields.get("accountId"), fields.get("retailerId")
        our_account = self._bridge.settings.fluent.account
        our_retailer = self._bridge.settings.config.retailer_id
        signed_without = account is None and self._key is not None
        if signed_without or (
            account is not None and str(account).casefold() != (our_account or "").casefold()
        ):
            raise _foreign("account", account, "FLUENT_ACCOUNT")
        if retailer is not None and str(retailer) != our_retailer:
            raise _foreign("retailer", retailer, "retailerId in the configuration")


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


def _fields_of(body: bytes) -> dict[str, JsonValue]:
    """Fluent's event by its fields; none where it is not a JSON object."""
    value = from_json(body)
    return value if isinstance(value, dict) else {}


def _foreign(kind: str, given: JsonValue, setting: str) -> Problem:
    named = "none" if given is None else str(given)[:MAX_LOGGED]
    log.warning("fluent_event_foreign", named=named, kind=kind, recommendation=f"compare with {setting}")
    return Problem(
        403,
        f"The event is not of this bridge's {kind}: it names {named}",
        f"Have Fluent send the webhooks of the {kind} that {setting} names to this bridge.",
    )
