"""What a check found out about one thing: fine, or a problem and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How much a problem matters: an error keeps a worker from starting, a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a check. `problem` and `remedy` are empty where all is well.

    `topic` is the name on the broker, the prefix included.
    """

    topic: str
    severity: Severity = Severity.ERROR
    problem: str = ""
    remedy: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problem

    @property
    def sentence(self) -> str:
        """Topic, problem and remedy for a log line."""
        return f"{self.topic}: {self.problem}; {self.remedy}." if self.problem else f"{self.topic}: ok."
