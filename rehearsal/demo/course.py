"""`flashsale demo`: plan, stage, sale, table, proof, exit status."""

from __future__ import annotations

import os
import signal
import time
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import httpx
from confluent_kafka import KafkaException

from rehearsal.demo.display import Progress, show
from rehearsal.demo.invoices import NoOrdersError
from rehearsal.demo.plan import Plan, counted, plan_file, plan_morning
from rehearsal.demo.processes import StageError
from rehearsal.demo.proof import Line, prove, worker_died_busy
from rehearsal.demo.sale import Sale
from rehearsal.demo.stage import Stage
from rehearsal.kafka import EmbeddedKafkaError
from streams.log import configure
from streams.settings import ConfigurationError, NoBrokerError

EXIT_PROVEN = 0
EXIT_NOT_PROVEN = 1
EXIT_NOT_STARTED = 2
EXIT_TERMINATED = 143
STAY_S = 60.0


def main(orders: Path | None, speed: float | None, *, open_page: bool = False, stay: bool = False) -> int:
    """Run the demo and return the exit status. Call it from the main thread.

    `orders` are one's own, as a CSV file or JSON lines, instead of a real morning's; `speed` says how many
    times faster than they were placed they are sent, None: as fast as possible. `open_page` opens the sale's
    live page in a browser, `stay` keeps it there for a minute after the end. 0: every promise holds. 1: one
    does not, or the sale did not get to its end; the logs are kept. 2: it could not be started.
    """
    configure("WARNING")
    progress = Progress()
    try:
        plan = plan_morning() if orders is None else plan_file(orders)
        _introduce(plan, progress)
        stage = Stage(plan.stock, progress)
        stage.announce_broker()
        with _terminable():
            page = LivePage(progress, open_page=open_page, stay=stay)
            return _perform(stage, plan, speed, progress, page, rush=orders is None and speed is None)
    except (NoOrdersError, EmbeddedKafkaError, ConfigurationError) as error:
        progress.say(str(error))
        return EXIT_NOT_STARTED


class LivePage:
    """What is said and done about the sale's live page."""

    def __init__(self, progress: Progress, *, open_page: bool, stay: bool) -> None:
        self._progress = progress
        self._open_page = open_page
        self._stay = stay

    def show(self, url: str) -> None:
        """Say where it is, and open it where that was asked for."""
        self._progress.say(f"The sale's live page is at {url}")
        if self._open_page and not webbrowser.open(url):
            self._progress.say("No browser could be opened; open the page yourself")

    def keep(self) -> None:
        """Where that was asked for, wait for a minute or Ctrl-C."""
        if self._stay:
            self._progress.say(f"The live page stays for {STAY_S:.0f} s; Ctrl-C ends it now")
            with suppress(KeyboardInterrupt):
                time.sleep(STAY_S)


def _perform(
    stage: Stage, plan: Plan, speed: float | None, progress: Progress, page: LivePage, *, rush: bool
) -> int:
    try:
        with stage:
            progress.say(f"Fluent's simulator is at {stage.fluent_url}")
            page.show(stage.page_url)
            sale = Sale(stage, plan, speed, progress)
            evidence = sale.run()
            lines = prove(evidence)
            if rush or (sale.killed_at_ms and speed is None):
                lines.append(worker_died_busy(evidence, sale.killed_at_ms))
            show(evidence, lines)
            stage.failed = not _all_hold(lines)
            page.keep()
    except (StageError, ConnectionError, NoBrokerError, KafkaException, httpx.HTTPError) as error:
        progress.say(f"The demo did not get to its end. {error}")
        return EXIT_NOT_PROVEN
    progress.say("done, everything is cleared away")
    return EXIT_PROVEN if _all_hold(lines) else EXIT_NOT_PROVEN


def _all_hold(lines: list[Line]) -> bool:
    return all(line.holds for line in lines)


def _introduce(plan: Plan, progress: Progress) -> None:
    progress.say(f"Orders of {plan.source}")
    for note in plan.notes:
        progress.say(f"  {note}")
    for promotion in plan.promotions:
        end = "until it expires" if promotion.expires else "until it is ended"
        products = counted(len(promotion.units), "product")
        progress.say(
            f"  {promotion.id}: {counted(sum(promotion.units.values()), 'unit')} of {products}, {end}"
        )
    if "FLUENT_BASE_URL" in os.environ:
        progress.say("  FLUENT_BASE_URL is not used: the demo works on the simulator only")


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM clears the stage as Ctrl-C does."""

    def leave(signum: int, frame: FrameType | None) -> None:
        raise SystemExit(EXIT_TERMINATED)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
