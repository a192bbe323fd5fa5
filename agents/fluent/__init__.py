"""The Fluent gateway: does in Fluent what the ledger asks for, and answers with commands."""

from __future__ import annotations

from agents.fluent.gateway import Gateway
from agents.fluent.meters import Meters
from agents.fluent.options import FluentOptions
from agents.fluent.pool import GatewayPool
from agents.fluent.profile import Profile, ProfileError, load_profile
from agents.fluent.settings import options_from

__all__ = [
    "FluentOptions",
    "Gateway",
    "GatewayPool",
    "Meters",
    "Profile",
    "ProfileError",
    "load_profile",
    "options_from",
]
