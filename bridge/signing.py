"""Whether a known client signed a request: HMAC-SHA256 over `timestamp.METHOD.path.body`, or as a webhook.

The signed path is what stands on the request line, percent-encoding and query included. A repeat of the same
request inside the window is let through on purpose: every event of ours may be repeated.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Mapping
from hashlib import sha256
from types import MappingProxyType

from pydantic import SecretStr
from starlette.requests import Request

from bridge.problems import Problem, unauthorized
from bridge.webhooks import Claims, Webhooks, claims_of
from streams.log import get_logger

WINDOW_S = 300
"""How far a request's clock may be from ours, in either direction."""

PREFIX = "sha256="
MAX_DIGITS = 12
HEX_DIGITS = 64
MAX_LOGGED = 200
"""Characters of a path in the log, which is as long as its sender likes."""

PATHS = {
    "start": "/start-flash-sale",
    "consume": "/consume-reservation",
    "cancel": "/cancel-order",
    "end": "/end-flash-sale",
}
"""The routes that BRIDGE_CLIENTS can limit a client to, by their names there."""

log = get_logger("bridge")


def sign(secret: str, timestamp: int, method: str, path: str, body: bytes) -> str:
    """The value of `X-Signature`; `timestamp` in Unix seconds, `body` empty where there is none."""
    return PREFIX + _digest(secret.encode(), str(timestamp).encode(), method.encode(), path.encode(), body)


def _digest(secret: bytes, timestamp: bytes, method: bytes, path: bytes, body: bytes) -> str:
    digest = hmac.new(secret, b".".join((timestamp, method, path)), sha256)
    digest.update(b".")
    digest.update(body)
    return digest.hexdigest()


class Signatures:
    """Knows the clients' secrets and whether a request was signed with one of them."""

    def __init__(self, secrets_of: Mapping[str, tuple[SecretStr, ...]]) -> None:
        self._keys = {
            client: tuple(secret.get_secret_value().encode() for secret in known)
            for client, known in secrets_of.items()
        }
        # Somebody unknown costs the same time as somebody known.
        self._nobody = (secrets.token_bytes(32),)

    def knows(self, client: str) -> bool:
        """Whether a client of this name has a secret."""
        return client in self._keys

    def may_be(self, client: str, timestamp: str, signature: str, now_s: float) -> bool:
        """Whether it is worth reading a body: a known client, a clock within WINDOW_S, a signature's form."""
        formed = signature.lower().startswith(PREFIX) and len(signature) == len(PREFIX) + HEX_DIGITS
        return formed and client in self._keys and _in_window(timestamp, now_s)

    def accept(
        self,
        client: str,
        timestamp: str,
        signature: str,
        method: str,
        path: bytes,
        body: bytes,
        now_s: float,
    ) -> bool:
        """Whether a known client signed exactly this, with a clock within WINDOW_S of `now_s`."""
        stamp = timestamp.encode("latin-1", "replace")
        given = signature.encode("latin-1", "replace").lower()
        signed = False
        for key in self._keys.get(client, self._nobody):
            expected = PREFIX + _digest(key, stamp, method.encode(), path, body)
            signed |= hmac.compare_digest(expected.encode(), given)
        return signed and client in self._keys and _in_window(timestamp, now_s)


class Guard:
    """Lets signed requests pass. `secrets_of` None: every request passes, which only loopback may have.

    `allowed`: clients that may use some routes only, by the names of PATHS; all others may use every one.
    """

    def __init__(
        self,
        secrets_of: Mapping[str, tuple[SecretStr, ...]] | None,
        allowed: Mapping[str, frozenset[str]] = MappingProxyType({}),
    ) -> None:
        self._signatures = None if secrets_of is None else Signatures(secrets_of)
        self._webhooks = Webhooks(secrets_of or {})
        self._allowed = {client: {PATHS[name] for name in names} for client, names in allowed.items()}

    @property
    def is_open(self) -> bool:
        """Whether requests need no signature."""
        return self._signatures is None

    def require_headers(self, request: Request) -> None:
        """Turn away what cannot be signed correctly, before its body is read. Raises Problem.

        A client of ours is told of in the log, as one whose clock is wrong; strangers cost no line each.
        """
        if self._signatures is None:
            return
        webhook, now_s = claims_of(request), time.time()
        if webhook is not None:
            possible = self._may_be_webhook(request, webhook, now_s)
        else:
            possible = self._signatures.may_be(*_claims(request), now_s)
        if not possible:
            client = _claims(request)[0]
            if webhook is not None or self._signatures.knows(client):
                self._log_refused(request, client)
            raise unauthorized()

    def require(self, request: Request, body: bytes) -> str:
        """The client that signed a request; empty where none has to. Raises Problem."""
        if self._signatures is None:
            return ""
        client, signed = self._signer(self._signatures, request, body, time.time())
        if not signed:
            self._log_refused(request, client)
            raise unauthorized()
        self._require_route(request, client)
        return client

    def webhook_id(self, request: Request) -> str:
        """The identity that its sender gives an event; empty where it is not signed as a webhook."""
        webhook = None if self._signatures is None else claims_of(request)
        return "" if webhook is None else webhook.id

    def _signer(
        self, signatures: Signatures, request: Request, body: bytes, now_s: float
    ) -> tuple[str, bool]:
        """Who signs, as far as that is known, and whether the signature is right."""
        webhook = claims_of(request)
        if webhook is not None:
            client = self._webhooks.signer(webhook, body)
            return client, bool(client) and self._may_be_webhook(request, webhook, now_s)
        client, timestamp, signature = _claims(request)
        path = path_on_the_wire(request)
        signed = signatures.accept(client, timestamp, signature, request.method, path, body, now_s)
        return client, signed

    def _may_be_webhook(self, request: Request, webhook: Claims, now_s: float) -> bool:
        """Whether the body is worth reading: an event, a clock within WINDOW_S, a signature's form."""
        is_event = request.method == "POST" and request.scope["path"] in PATHS.values()
        return self._webhooks.anybody and is_event and webhook.formed and _in_window(webhook.timestamp, now_s)

    def _require_route(self, request: Request, client: str) -> None:
        path = request.scope["path"]
        if path in PATHS.values() and path not in self._allowed.get(client, PATHS.values()):
            log.warning(
                "client_not_allowed",
                client=client,
                route=path,
                recommendation="add the route to BRIDGE_CLIENTS if the client is meant to use it",
            )
            raise Problem(
                403,
                f"The client {client} may not use {path}",
                "Use another client, or have the route added to the client's in BRIDGE_CLIENTS.",
            )

    def _log_refused(self, request: Request, client: str) -> None:
        known = client if self._signatures is not None and self._signatures.knows(client) else "unknown"
        log.warning(
            "request_not_signed",
            route=request.scope["path"][:MAX_LOGGED],
            client=known,
            recommendation="if the caller is a client of yours, compare its secret and clock",
        )


def path_on_the_wire(request: Request) -> bytes:
    """Path and query as they stand on the request line."""
    path: bytes = request.scope["raw_path"]
    query: bytes = request.scope["query_string"]
    return path + b"?" + query if query else path


def _claims(request: Request) -> tuple[str, str, str]:
    headers = request.headers
    return (
        headers.get("x-client-id", ""),
        headers.get("x-timestamp", ""),
        headers.get("x-signature", ""),
    )


def _in_window(timestamp: str, now_s: float) -> bool:
    digits = timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= MAX_DIGITS
    return digits and abs(now_s - int(timestamp)) <= WINDOW_S
