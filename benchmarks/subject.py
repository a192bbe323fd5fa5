"""The code that is measured: this tree, or that of another revision, checked out beside it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def checked_out(revision: str, directory: Path) -> Iterator[Subject]:
    """A revision's tree in a Git work tree of its own, removed at the end. Raises NoRevisionError."""
    commit = _git("rev-parse", "--verify", "--short", f"{revision}^{{commit}}")
    tree = directory / f"tree-{commit}"
    _git("worktree", "add", "--detach", str(tree), commit)
    try:
        yield Subject(commit, tree)
    finally:
        _git("worktree", "remove", "--force", str(tree))


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
