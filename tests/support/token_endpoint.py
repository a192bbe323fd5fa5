"""An OAuth provider for tests: exchanges client credentials for a JSON Web Token that nobody has signed."""

from __future__ import annotations

import base64
import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qs, unquote

CLIENT, SECRET, SCOPE = "flashsale/1", "only: for this test", "kafka"


def token(subject: str, life_s: float, scope: str = SCOPE) -> str:
    """A token that Kafka's handler for unsecured tokens accepts."""
    now = time.time()
    claims = {"sub": subject, "iat": now, "exp": now + life_s, "scope": scope}
    parts = (json.dumps(part).encode() for part in ({"alg": "none"}, claims))
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts) + "."


@dataclass
class TokenEndpoint:
    """Serves `url` while it is open as a context manager."""

    life_s: float = 300.0
    status: int = 200
    """What it answers to a client that it knows."""
    body: bytes | None = None
    """Instead of a token."""
    asked: list[dict[str, list[str]]] = field(default_factory=list)

    def __enter__(self) -> Self:
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                endpoint._answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._server.server_port}/token"

    @property
    def environment(self) -> dict[str, str]:
        """What makes a client of ours log in with it."""
        return {
            "KAFKA_SASL_MECHANISM": "OAUTHBEARER",
            "KAFKA_OAUTH_TOKEN_URL": self.url,
            "KAFKA_OAUTH_CLIENT_ID": CLIENT,
            "KAFKA_OAUTH_CLIENT_SECRET": SECRET,
            "KAFKA_OAUTH_SCOPE": SCOPE,
        }

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        length = int(request.headers["Content-Length"])
        self.asked.append(parse_qs(request.rfile.read(length).decode()))
        scheme, _, login = request.headers.get("Authorization", "").partition(" ")
        given = [unquote(part) for part in base64.b64decode(login).decode().split(":", 1)]
        if scheme == "Basic" and given == [CLIENT, SECRET]:
            fields = {"access_token": token(CLIENT, self.life_s), "expires_in": self.life_s}
            status, body = self.status, self.body or json.dumps(fields).encode()
        else:
            status, body = 401, b'{"error": "invalid_client"}'
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)
