"""An OAuth provider for tests: exchanges client credentials for a JSON Web Token that nobody has signed."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass, field
from email.message import Message
from urllib.parse import parse_qs, unquote

from tests.support.posts import Posts

CLIENT, SECRET, SCOPE = "flashsale/1", "only: for this test", "kafka"


def token(subject: str, life_s: float, scope: str = SCOPE) -> str:
    """A token that Kafka's handler for unsecured tokens accepts."""
    now = time.time()
    claims = {"sub": subject, "iat": now, "exp": now + life_s, "scope": scope}
    parts = (json.dumps(part).encode() for part in ({"alg": "none"}, claims))
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts) + "."


@dataclass
class TokenEndpoint(Posts):
    """Serves `url` while it is open as a context manager."""

    life_s: float = 300.0
    status: int = 200
    """What it answers to a client that it knows."""
    body: bytes | None = None
    """Instead of a token."""
    asked: list[dict[str, list[str]]] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Its address."""
        return f"{self.address}/token"

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

    def answer(self, path: str, headers: Message, body: bytes) -> tuple[int, bytes]:
        """A token for the client that it knows."""
        self.asked.append(parse_qs(body.decode()))
        scheme, _, login = headers.get("Authorization", "").partition(" ")
        given = [unquote(part) for part in base64.b64decode(login).decode().split(":", 1)]
        if scheme != "Basic" or given != [CLIENT, SECRET]:
            return 401, b'{"error": "invalid_client"}'
        fields = {"access_token": token(CLIENT, self.life_s), "expires_in": self.life_s}
        return self.status, self.body or json.dumps(fields).encode()
