"""What is going on, on standard error: a line per phase, and the rush while it lasts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

PLAIN_EVERY_S = 2.0
BAR_WIDTH = 30
REFRESH_PER_SECOND = 8


@dataclass
class Tally:
    """Figures for people who watch; the proof does not use them."""

    sent: int = 0
    decided: int = 0
    accepted: int = 0
    partly: int = 0
    refused: int = 0
    cancels: int = 0
    booked: int = 0

    @property
    def sentence(self) -> str:
        """The figures in words."""
        return (
            f"{self.decided:,} of {self.sent:,} orders decided: {self.accepted:,} whole, "
            f"{self.partly:,} in part, {self.refused:,} refused; {self.cancels:,} cancels; "
            f"{self.booked:,} booked in Fluent"
        )


class Progress:
    """Lines on standard error with the seconds since the demo began; a bar where somebody watches."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(
            stderr=True, markup=False, emoji=False, highlight=False, soft_wrap=True
        )
        self._began = time.monotonic()
        self._live: Live | None = None
        self._next_plain = 0.0

    @property
    def elapsed_s(self) -> float:
        """Seconds since the demo began."""
        return time.monotonic() - self._began

    def say(self, line: str) -> None:
        """One line."""
        self._console.print(f"{self.elapsed_s:5.1f} s  {line}")

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Say a phase's name and how long it took when it is over."""
        began = time.monotonic()
        yield
        self.say(f"{name} ({time.monotonic() - began:.1f} s)")

    @contextmanager
    def rush(self) -> Iterator[None]:
        """While this lasts, `show` draws a bar on a terminal."""
        if not self._console.is_terminal:
            yield
            return
        with Live(console=self._console, refresh_per_second=REFRESH_PER_SECOND, transient=True) as self._live:
            yield
        self._live = None

    def show(self, tally: Tally) -> None:
        """The figures now; without a terminal a line every `PLAIN_EVERY_S` seconds."""
        if self._live is not None:
            self._live.update(_bar(tally))
        elif time.monotonic() >= self._next_plain:
            self._next_plain = time.monotonic() + PLAIN_EVERY_S
            self.say(tally.sentence)


def _bar(tally: Tally) -> Table:
    grid = Table.grid(padding=(0, 1))
    grid.add_row(
        ProgressBar(total=max(1, tally.sent), completed=tally.decided, width=BAR_WIDTH), tally.sentence
    )
    return grid
