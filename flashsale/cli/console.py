"""What the commands share: settings, logs and a broker at their beginning, lines and tables at their end.

What is printed comes from topics and from Fluent: nothing of it may reach a terminal as a command to it.
"""

from __future__ import annotations

import io
import re
import shutil
import sys
from collections.abc import Iterable, Sequence

from schemas.topics import BY_NAME
from streams.kafka import check_broker
from streams.log import configure, printable
from streams.settings import ConfigurationError, Settings, load_settings

UNLIMITED_WIDTH = 10_000
"""Characters of a line that goes into a file or a pipe: nothing is folded or cut there."""

FOLDED_WIDTH = 20
"""A column of text is folded down to this many characters; below that a table's rows are stacked."""

STYLES = {
    "ok": "green",
    "created": "green",
    "notice": "yellow",
    "warning": "yellow",
    "failed": "bold red",
    "refused": "bold red",
}
STYLES["error"] = STYLES["failed"]
"""Colours of the states that a table or a line of `flashsale check` names."""


def configured(level: str = "WARNING") -> Settings:
    """Settings, with logs of at least `level` on standard error. Raises ConfigurationError."""
    configure(level)
    return load_settings()


def connected() -> Settings:
    """Settings, once a broker has answered. Raises ConfigurationError when none does."""
    settings = configured()
    check_broker(settings)
    return settings


def known_topic(name: str) -> str:
    """A topic's logical name. Raises ConfigurationError for one that is none of ours."""
    if name not in BY_NAME:
        raise ConfigurationError(f"{name} is not a topic of ours; these are: {', '.join(BY_NAME)}.")
    return name


class ReaderLeft(BrokenPipeError):
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
    """One line on standard output, what is not printable escaped. Raises ReaderLeft."""
    write(f"{printable(line)}\n".encode())


def say_json(text: str) -> None:
    r"""One line of JSON on standard output, what is not printable as `\uXXXX`. Raises ReaderLeft."""
    write(f"{printable_json(text)}\n".encode())


def say_state(state: str, text: str, width: int = 7) -> None:
    """One line that begins with a state, in its colour on a terminal. Raises ReaderLeft."""
    from rich.text import Text

    line = Text(f"{state:<{width}}", STYLES.get(state, "")) + Text(f" {printable(text)}")
    write(_rendered(line, UNLIMITED_WIDTH).encode())


def complain(line: str) -> None:
    """One line on standard error, what is not printable escaped."""
    sys.stderr.write(f"{printable(line)}\n")
    sys.stderr.flush()


def printable_json(text: str) -> str:
    r"""JSON whose strings hold only printable characters; the others as `\uXXXX`."""
    if text.isprintable():
        return text
    return re.sub(r"[^\n -~]", lambda found: _escaped(found[0]), text)


def _escaped(char: str) -> str:
    if char.isprintable():
        return char
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i] << 8 | units[i + 1]:04x}" for i in range(0, len(units), 2))


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numbers: Sequence[str] = (),
    totals: Sequence[str] | None = None,
) -> None:
    """A table for people; the columns named in `numbers` are right-aligned, `totals` stand below a line.

    The first column and numbers are never folded or cut: where a terminal is too narrow for that, the rows
    are stacked. Columns without any content are left out. Raises ReaderLeft.
    """
    lines = [[printable(cell) for cell in row] for row in rows]
    kept = [place for place in range(len(columns)) if not place or any(line[place] for line in lines)]
    columns = [columns[place] for place in kept]
    lines = [[line[place] for place in kept] for line in lines]
    footers = None if totals is None else [totals[place] for place in kept]
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else UNLIMITED_WIDTH
    if _least_width(columns, [*lines, *([footers] if footers else [])], numbers) > width:
        _print_stacked(columns, [*lines, *([footers] if footers else [])])
    else:
        write(_table(columns, lines, numbers, footers, width).encode())


def _least_width(columns: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[str]) -> int:
    from rich.cells import cell_len

    least = 0
    for place, column in enumerate(columns):
        widest = max([cell_len(column), *(cell_len(row[place]) for row in rows)])
        least += widest if not place or column in numbers else min(widest, FOLDED_WIDTH)
    return least + 3 * (len(columns) - 1)


def _print_stacked(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    margin = max(map(len, columns[1:]), default=0) + 2
    for row in rows:
        say(row[0])
        for column, cell in list(zip(columns, row, strict=True))[1:]:
            if cell:
                say(f"  {column:<{margin}}{cell}")


def _table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    numbers: Sequence[str],
    footers: Sequence[str] | None,
    width: int,
) -> str:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, show_footer=footers is not None)
    for place, column in enumerate(columns):
        footer = "" if footers is None else footers[place]
        whole, right = not place or column in numbers, column in numbers
        table.add_column(column, footer, justify="right" if right else "left", no_wrap=whole, overflow="fold")
    state = columns.index("state") if "state" in columns else None
    for row in rows:
        styles = [STYLES.get(cell, "") if place == state else "" for place, cell in enumerate(row)]
        table.add_row(*map(Text, row, styles))
    lines = _rendered(table, width).strip("\n").splitlines()
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _rendered(shown: object, width: int) -> str:
    """As rich draws it: data is data, without markup, emoji or guessed highlights; colours on a terminal."""
    from rich.console import Console

    text = io.StringIO()
    terminal = sys.stdout.isatty()
    console = Console(
        file=text, width=width, markup=False, emoji=False, highlight=False, force_terminal=terminal
    )
    console.print(shown)
    return text.getvalue()
