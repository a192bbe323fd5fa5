"""The lines of `flashsale check`: one for each thing that was tried."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How a check went. A notice is worth knowing and fails nothing."""

    OK = "ok"
    NOTICE = "notice"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that was tried. `remedy` says what to do where it failed.

    `not_configured` tells a login that is missing from one that is wrong: exit status 2, not 1.
    """

    state: State
    subject: str
    detail: str
    remedy: str = ""
    not_configured: bool = False

    def __str__(self) -> str:
        told = f"{self.detail} -> {self.remedy}" if self.remedy else self.detail
        return f"{self.state:<7} {self.subject:<16} {' '.join(told.split())}"
