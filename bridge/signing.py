"""Whether a request was signed by a known client: HMAC-SHA256 over `timestamp.METHOD.path.body`.

The signed path is what stands on the request line, percent-encoding and query included. A repeat of the same
request inside the window is let through on purpose: every event of ours may be repeated.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Mapping
from hashlib import sha256

from pydantic import SecretStr
from starlette.requests import Request

from bridge.problems import unauthorized
from streams.log import get_logger

WINDOW_S = 300
"""How far a request's clock may be from ours, in either direction."""

PREFIX = "sha256="
MAX_DIGITS = 12

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
    """Lets signed requests pass. `signatures` None: every request passes, which only loopback may have."""

    def __init__(self, signatures: Signatures | None) -> None:
        self._signatures = signatures

    def require_headers(self, request: Request) -> None:
        """Turn away what is not signed at all, before its body is read. Raises Problem."""
        if self._signatures is not None and not all(_claims(request)):
            raise unauthorized()

    def require(self, request: Request, body: bytes) -> None:
        """Turn away what is not signed by a known client. Raises Problem."""
        if self._signatures is None:
            return
        client, timestamp, signature = _claims(request)
        path = path_on_the_wire(request)
        if not self._signatures.accept(client, timestamp, signature, request.method, path, body, time.time()):
            log.warning("request_not_signed", route=path.decode("latin-1"), client=client)
            raise unauthorized()


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
