"""The Fluent gateway: does in Fluent what the ledger asks for, and answers with commands."""

from __future__ import annotations

from fluent.gateway import Gateway
from fluent.meters import Meters
from fluent.options import FluentOptions, options_from
from fluent.profile import Profile, ProfileError, load_profile
from fluent.queue import RequestQueue

__all__ = [
    "FluentOptions",
    "Gateway",
    "Meters",
    "Profile",
    "ProfileError",
    "RequestQueue",
    "load_profile",
    "options_from",
]
