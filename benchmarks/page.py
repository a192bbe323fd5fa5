"""Writes what was measured into a page of the docs, between two comments that stand there."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

PAGE = "performance.md"


class NoPlaceError(Exception):
    """The page has no place for what was measured; the text is a sentence."""


def write(folder: Path, name: str, text: str, plots: Mapping[str, str]) -> None:
    """Put `text` between `<!-- NAME -->` and `<!-- /NAME -->` of the page, and the plots beside it.

    Raises NoPlaceError where the page does not have the two comments.
    """
    page = folder / PAGE
    place = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    known = page.read_text() if page.exists() else ""
    if not place.search(known):
        raise NoPlaceError(f"{page} has no lines <!-- {name} --> and <!-- /{name} --> to write between.")
    page.write_text(place.sub(lambda found: found[1] + text.strip() + "\n" + found[2], known))
    for file, svg in plots.items():
        (folder / file).write_text(svg)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; all columns but the first are numbers, to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def told() -> str:
    """When and on what it was measured."""
    today = datetime.now(UTC).date()
    machine = f"{os.cpu_count()} cores ({platform.machine()})"
    return f"Measured on {today} on {machine}, Python {platform.python_version()}."
