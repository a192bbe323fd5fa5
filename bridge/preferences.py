"""`Prefer: wait=N` (RFC 7240): how long a caller wants to wait for the decision itself."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

MAX_WAIT_S = 30

_WAIT = re.compile(r'wait\s*=\s*(?:(\d{1,9})|"(\d{1,9})")\s*(?:;.*)?', re.IGNORECASE)
_ASYNC = re.compile(r"respond-async\s*(?:;.*)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Wait:
    """How long to wait, in seconds, and what `Preference-Applied` says about it (None: nothing)."""

    seconds: float
    applied: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The answer's headers about it."""
        return {} if self.applied is None else {"Preference-Applied": self.applied}


def wait_of(prefer: Iterable[str], default_s: float) -> Wait:
    """What the values of the `Prefer` headers ask for; `default_s` where they ask for nothing.

    More than MAX_WAIT_S is cut to that, which `Preference-Applied` says. What cannot be read is ignored, and
    of two the first counts, as RFC 7240 requires.
    """
    preferences = [part.strip() for value in prefer for part in value.split(",")]
    for preference in preferences:
        found = _WAIT.fullmatch(preference)
        if found:
            seconds = min(int(found[1] or found[2]), MAX_WAIT_S)
            return Wait(seconds, f"wait={seconds}")
    if any(_ASYNC.fullmatch(preference) for preference in preferences):
        return Wait(0, "respond-async")
    return Wait(default_s)
