"""`GET` of where an order or a promotion stands, from the newest of what the outcome topics said.

The figures of a promotion are those that its live page shows, and newer than its newest report.

The records are kept in RocksDB with FIFO compaction: when a store is full, its oldest file is dropped whole.
So disk is bounded by STORE_BYTES for each of the two stores, and memory by their buffers. The topics are the
truth and a store is a copy: it begins empty and is filled from them.
"""

from __future__ import annotations

import fcntl
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from bridge.problems import JSON, Problem, unavailable
from bridge.records import Arrival, Fields, read_outcome, read_page, read_report, results_of
from bridge.sale.sale import Sale
from bridge.sale.sales import Sales
from bridge.signing import Guard
from bridge.store import Store, StoreFailed
from schemas.structs import ReportHead
from schemas.topics import ORDER_OUTCOMES, PROMOTION_RESULTS, RECONCILIATION_REPORTS
from streams.log import get_logger
from streams.settings import ConfigurationError
from streams.system import no_room

MAX_SLOTS = 100
MAKE_ROOM = "free space there, or allow this user to write; the bridge remembers again by itself once it can"

NEEDED_BYTES = 64 << 20
"""Room that there must be before the topics' past is read again."""

RENEW_EVERY_S = 10.0
"""While the disk cannot be used, it is tried again so often."""

REPORT = "report"


log = get_logger("bridge")


class Status:
    """Newest outcome of each order, results and newest report of each promotion.

    Without a disk that can be used nothing is remembered and every question raises Problem; `renewed` says
    when that is over.
    """

    def __init__(self, data_dir: Path) -> None:
        self._lock, self._directory = _free_slot(data_dir / "bridge")
        self._failed_at: float | None = None
        try:
            self._open()
        except StoreFailed as failure:
            raise ConfigurationError(f"DATA_DIR cannot be used: {failure}.") from None

    def _open(self) -> None:
        """Both stores, or none: files of one that stayed open could not be opened anew."""
        orders = Store(self._directory / "orders")
        try:
            self._promotions = Store(self._directory / "promotions")
        except StoreFailed:
            orders.close()
            raise
        self._orders = orders

    def arrived(self, arrival: Arrival) -> None:
        """Remember a record. A topic's newest is the truth: outcomes of an order share a partition."""
        if self._failed_at is not None:
            return
        try:
            self._remember(arrival)
        except StoreFailed as failure:
            self._fail(failure)

    def renewed(self) -> bool:
        """Whether the stores were just made anew after a failure, so that the past must be read again."""
        if self._failed_at is None or time.monotonic() - self._failed_at < RENEW_EVERY_S:
            return False
        self._failed_at = time.monotonic()
        try:
            if no_room(self._directory, NEEDED_BYTES):
                return False
            _empty(self._directory)
            self._open()
        except (StoreFailed, OSError):
            return False
        self._failed_at = None
        log.info("status_renewed")
        return True

    def _fail(self, failure: StoreFailed) -> None:
        """A copy that cannot be kept is thrown away: callers still get their events taken and answered."""
        self._failed_at = time.monotonic()
        self._discard()
        log.error("status_unavailable", why=str(failure), path=str(self._directory), recommendation=MAKE_ROOM)

    def _remember(self, arrival: Arrival) -> None:
        value = arrival.value
        if arrival.topic == ORDER_OUTCOMES:
            outcome = read_outcome(value)
            self._orders.put(outcome.order_ref, outcome.promotion_id, value)
        elif arrival.topic == PROMOTION_RESULTS:
            page = read_page(value)
            self._promotions.put(page.promotion_id, f"results {page.page:06}", value)
        elif arrival.topic == RECONCILIATION_REPORTS:
            report = read_report(value)
            if report.is_last_page:
                self._promotions.put(report.promotion_id, REPORT, msgspec.json.encode(report))

    def order(self, ref: str) -> list[bytes]:
        """The newest outcome of an order for each of its promotions, as published; empty: never seen."""
        return [value for _, value in self._found(self._orders, ref)]

    def promotion(self, promotion_id: str) -> tuple[list[bytes], ReportHead | None]:
        """The pages of a promotion's results as published, and the head of its newest report."""
        rows = dict(self._found(self._promotions, promotion_id))
        report = rows.pop(REPORT, None)
        return list(rows.values()), read_report(report) if report is not None else None

    def _found(self, store: Store, subject: str) -> list[tuple[str, bytes]]:
        try:
            if self._failed_at is None:
                return list(store.of(subject))
        except StoreFailed as failure:
            self._fail(failure)
        raise unavailable(
            "The bridge's disk cannot be used, so it remembers nothing",
            "Send events as before; ask again later, or read the answer in order-outcomes.",
        )

    def _discard(self) -> None:
        with suppress(Exception):
            self._orders.close()
        with suppress(Exception):
            self._promotions.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def close(self) -> None:
        """Close and remove the stores."""
        self._discard()
        self._lock.close()


class Questions:
    """The routes `/orders/{ref}` and `/promotions/{id}`. `is_caught_up`: whether the topics' past is read."""

    def __init__(self, status: Status, sales: Sales, guard: Guard, is_caught_up: Callable[[], bool]) -> None:
        self._status = status
        self._sales = sales
        self._guard = guard
        self._is_caught_up = is_caught_up

    async def order(self, request: Request) -> Response:
        """A list of the order's newest outcomes, one for each promotion, as published. Raises Problem."""
        self._guard.require(request, b"")
        ref = request.path_params["ref"]
        found = self._status.order(ref)
        if not found:
            raise self._unknown(f"No outcome of an order {ref} is known", "order")
        return Response(b"[" + b",".join(found) + b"]", 200, media_type=JSON)

    async def promotion(self, request: Request) -> Response:
        """Results and newest report of a promotion. Raises Problem."""
        self._guard.require(request, b"")
        promotion_id = request.path_params["id"]
        # Before the past is read, figures are of some of its SKUs only.
        sale = self._sales.current(promotion_id) if self._is_caught_up() else Sale(promotion_id)
        fields = _standing(promotion_id, *self._status.promotion(promotion_id), sale)
        if not fields:
            raise self._unknown(f"No results of a promotion {promotion_id} are known", "promotion")
        return Response(msgspec.json.encode(fields), 200, media_type=JSON)

    def _unknown(self, error: str, subject: str) -> Problem:
        if not self._is_caught_up():
            return unavailable(
                f"{error} yet: the bridge still reads the topics' recent past",
                "Ask again after the seconds in Retry-After.",
            )
        return Problem(
            404,
            f"{error}: it is not decided yet, was never seen, or is too long ago",
            f"Check the {subject}'s reference; right after a 202 ask again a moment later.",
        )


def _standing(promotion_id: str, pages: list[bytes], report: ReportHead | None, sale: Sale) -> Fields:
    """Where a promotion stands; no fields when nothing is known of it."""
    results, figures = results_of(pages), sale.figures()
    if report is None and not results and figures is None:
        return {}
    fields: dict[str, object] = {"promotionId": promotion_id, **results}
    if figures is not None:
        fields |= {"status": sale.status, "figures": figures}
    elif report is not None:
        fields["status"] = report.status
    else:
        fields["status"] = _status_by_results(pages)
    return fields if report is None else fields | {"report": report}


def _status_by_results(pages: list[bytes]) -> str:
    """Before the first report: every SKU is decided, so the sale runs, unless nothing could be reserved."""
    return "ACTIVE" if read_page(pages[0]).summary.success else "REJECTED"


def _free_slot(parent: Path) -> tuple[IO[str], Path]:
    """A directory that no running bridge uses, emptied: a killed one's is taken over, so none pile up.

    Raises ConfigurationError when the data directory cannot be used.
    """
    try:
        parent.mkdir(parents=True, exist_ok=True)
        for number in range(MAX_SLOTS):
            lock = (parent / f"{number}.lock").open("w")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
                continue
            directory = parent / str(number)
            _empty(directory)
            return lock, directory
    except OSError as error:
        raise ConfigurationError(f"DATA_DIR cannot be used: {parent}: {error.strerror}.") from None
    raise ConfigurationError(f"{MAX_SLOTS} bridges use {parent} already; set another DATA_DIR.")


def _empty(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
