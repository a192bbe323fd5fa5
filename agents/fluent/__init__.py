"""The Fluent gateway: does in Fluent what the ledger asks for, and answers with commands."""

from __future__ import annotations

from agents.fluent.gateway import Gateway, options_from
from agents.fluent.meters import Meters
from agents.fluent.options import FluentOptions
from agents.fluent.pool import GatewayPool
from agents.fluent.profile import Profile, ProfileError, load_profile

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
