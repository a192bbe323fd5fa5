"""Standard output: announced lines and results, flushed; tables as wide as they are when nobody watches."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

UNLIMITED_WIDTH = 10_000
"""Characters of a line that goes into a file or a pipe: nothing is folded or cut there."""


def say(line: str) -> None:
    """One line on standard output, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def complain(line: str) -> None:
    """One line on standard error."""
    sys.stderr.write(f"{line}\n")


def console() -> Console:
    """Rich's console on standard output. Texts are data: no markup, no emoji, no guessed highlights."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else UNLIMITED_WIDTH
    return Console(width=width, markup=False, emoji=False, highlight=False)


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numbers: Sequence[str] = (),
    totals: Sequence[str] | None = None,
) -> None:
    """A table for people; the columns named in `numbers` are right-aligned, `totals` stand below a line."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_footer=totals is not None)
    for place, column in enumerate(columns):
        footer = "" if totals is None else totals[place]
        table.add_column(column, footer, justify="right" if column in numbers else "left")
    for row in rows:
        table.add_row(*row)
    console().print(table)
