"""The Fluent gateway: does in Fluent what the ledger asks for, and answers with commands."""

from __future__ import annotations

from fluent.gateway import Gateway
from fluent.meters import Meters
from fluent.options import FluentOptions
from fluent.pool import GatewayPool
from fluent.profile import Profile, ProfileError, load_profile
from fluent.settings import options_from

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
