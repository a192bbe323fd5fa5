"""Who may ask: checks a request's signature before anything is done for it."""

from __future__ import annotations

import time

from starlette.requests import Request

from bridge.problems import unauthorized
from bridge.signing import Signatures
from streams.log import get_logger

log = get_logger("bridge")


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
            log.warning("request turned away", route=path.decode("latin-1"), client=client)
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
