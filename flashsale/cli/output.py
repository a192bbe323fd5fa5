"""Standard output: announced lines and results, flushed; tables as wide as they are when nobody watches."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Sequence

UNLIMITED_WIDTH = 10_000
"""Characters of a line that goes into a file or a pipe: nothing is folded or cut there."""


class ReaderLeft(Exception):
    """Nobody reads our standard output any more, as in `flashsale tail … | head`: no error."""


def write(data: bytes) -> None:
    """Bytes on standard output, at once. Raises ReaderLeft."""
    left = memoryview(data)
    try:
        # With PYTHONUNBUFFERED there is no buffer below, and a write may take a part only.
        while left:
            left = left[sys.stdout.buffer.write(left) :]
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise ReaderLeft from None


def say(line: str) -> None:
    """One line on standard output. Raises ReaderLeft."""
    write(f"{line}\n".encode())


def complain(line: str) -> None:
    """One line on standard error."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numbers: Sequence[str] = (),
    totals: Sequence[str] | None = None,
) -> None:
    """A table for people; the columns named in `numbers` are right-aligned, `totals` stand below a line.

    Texts are data: no markup, no emoji, no guessed highlights. Raises ReaderLeft.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_footer=totals is not None)
    for place, column in enumerate(columns):
        footer = "" if totals is None else totals[place]
        table.add_column(column, footer, justify="right" if column in numbers else "left")
    for row in rows:
        table.add_row(*row)
    width = None if sys.stdout.isatty() else UNLIMITED_WIDTH
    shown = io.StringIO()
    Console(file=shown, width=width, markup=False, emoji=False, highlight=False).print(table)
    say("\n".join(line.rstrip() for line in shown.getvalue().strip("\n").splitlines()))
