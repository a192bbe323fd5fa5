"""The log of a proof: one JSON object a line, each with its `kind`, written as soon as it is known."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


class Log:
    """Appends to a file, and says on standard output what a person wants to follow."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self.violations = 0

    def write(self, kind: str, **fields: Any) -> None:
        """One line."""
        with self._path.open("a") as file:
            file.write(json.dumps({"kind": kind, "at": now(), **fields}) + "\n")

    def violation(self, kind: str, says: str, **fields: Any) -> None:
        """Something is wrong: it counts, and is shown."""
        self.violations += 1
        self.write(kind, says=says, **fields)
        print(f"WRONG: {says}", flush=True)


def now() -> str:
    """The time, as the log has it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def circumstances() -> dict[str, str]:
    """What is needed to repeat a proof: the commit, the command, the machine."""
    found = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True)  # noqa: S607
    return {
        "commit": found.stdout.strip(),
        "command": " ".join(["python", "-m", "tests.proof", *sys.argv[1:]]),
        "python": platform.python_version(),
        "system": platform.platform(),
    }
