"""The code that is measured: this tree, or that of another revision, checked out beside it."""

from __future__ import annotations

import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent.parent

COMMANDS = ("flashsale.cli", "streams.cli")
"""Where the command has stood, newest first: `python -m` one of these, wherever the tree is from."""


class NoRevisionError(Exception):
    """The revision cannot be checked out; the text is a sentence."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A tree of this software. Only its commands and its topics are used, whatever is inside."""

    name: str
    tree: Path

    def command(self, *arguments: str) -> list[str]:
        """What follows `python -m` for one of its commands."""
        for module in COMMANDS:
            if self.tree.joinpath(*module.split("."), "__main__.py").exists():
                return [module, *arguments]
        raise NoRevisionError(f"{self.name} has no command at {' or '.join(COMMANDS)}.")

    @property
    def environment(self) -> dict[str, str]:
        """Makes its packages win over those that are installed; libraries are this environment's."""
        return {"PYTHONPATH": str(self.tree)}


TODAY = Subject("today", HERE)


def checked_out(revision: str, directory: Path) -> Subject:
    """A revision's files in a folder of their own. Raises NoRevisionError where Git does not have it."""
    commit = _git("rev-parse", "--verify", "--short", f"{revision}^{{commit}}")
    tree, archive = directory / f"tree-{commit}", directory / f"{commit}.zip"
    _git("archive", "--format=zip", f"--output={archive}", commit)
    with zipfile.ZipFile(archive) as files:
        files.extractall(tree)
    return Subject(commit, tree)


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(HERE), *arguments],  # noqa: S607 - whichever Git the person uses
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise NoRevisionError(f"git {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout.strip()
