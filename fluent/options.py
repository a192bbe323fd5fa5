"""What the gateway is told: plain values, and how they come from the project's settings."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from streams.settings import FluentEnvironment, ReservationConfig

MIB = 1024 * 1024
CONNECT_S = 5.0

PROFILE_DIR = "FLUENT_PROFILE_DIR"
"""Environment variable: a folder with a profile of the account's own."""


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
    """A folder with a profile of the account's own, in place of the built-in ones."""

    requests_per_second: float = 20.0
    max_in_flight: int = 16
    max_retries: int = 3
    """How often one call, and one request as a whole, is tried again."""
    connect_timeout_s: float = CONNECT_S
    call_timeout_s: float = 10.0
    """A whole HTTP call, the last byte of its answer included. A write needs a lease longer than this."""
    hold_timeout_s: float = 60.0
    """How long a hold waits for units that another promotion is about to give back."""
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


def options_from(login: FluentEnvironment, config: ReservationConfig) -> FluentOptions:
    """The options of a process. Raises ValueError that names what the login lacks."""
    if not (login.base_url and login.account and login.client_id and login.client_secret):
        raise ValueError(f"{', '.join(login.missing())} not set: without a login there is no Fluent")
    folder = os.environ.get(PROFILE_DIR)
    return FluentOptions(
        base_url=login.base_url,
        account=login.account,
        client_id=login.client_id,
        client_secret=login.client_secret.get_secret_value(),
        username=login.username,
        password=login.password.get_secret_value() if login.password else None,
        catalogue=config.catalogue,
        retailer_id=config.retailer_id,
        profile=config.fluent_profile,
        profile_dir=Path(folder) if folder else None,
        requests_per_second=config.fluent_requests_per_second,
        max_in_flight=config.fluent_max_in_flight,
        max_retries=config.max_retries,
        hold_timeout_s=config.hold_timeout_seconds,
        call_timeout_s=config.fluent_timeout_seconds,
        connect_timeout_s=min(CONNECT_S, config.fluent_timeout_seconds),
    )
