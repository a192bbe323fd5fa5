"""What the gateway is told: plain values, whoever read them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class FluentOptions:
    """Address, login, limits. Durations are seconds. `username` None: the client_credentials grant."""

    base_url: str
    account: str
    client_id: str
    client_secret: str = field(repr=False)
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    catalogue: str = "DEFAULT:1"
    retailer_id: str = "1"
    profile: str = "inventory-quantity"
    profile_dir: Path | None = None
    """A folder with a profile of one's own; it takes the place of the built-in ones."""

    requests_per_second: float = 20.0
    max_in_flight: int = 16
    max_retries: int = 3
    """How often one call, and one request as a whole, is tried again."""
    connect_timeout_s: float = 5.0
    call_timeout_s: float = 10.0
    """A whole HTTP call, the last byte of its answer included. A write needs a lease longer than this."""
    budget_s: float = 60.0
    """A whole request of the ledger; after that it is unanswered and the ledger asks again."""
    read_back_pause_s: float = 1.2
    """Before a second look where the first shows something bad: longer than Fluent's reads may lag."""
    backoff_base_s: float = 0.2
    backoff_cap_s: float = 30.0
    max_response_bytes: int = 8 * MIB
    max_request_bytes: int = 1 * MIB
    """Fluent takes 2 MB."""

    @property
    def is_loopback(self) -> bool:
        """Whether Fluent is on this machine: then no proxy of the environment stands in between."""
        return urlsplit(self.base_url).hostname in {"localhost", "127.0.0.1", "::1"}
