"""`GET` of where an order or a promotion stands, from the newest of what the outcome topics said.

The records are kept in RocksDB with FIFO compaction: when a store is full, its oldest file is dropped whole.
So disk is bounded by STORE_BYTES for each of the two stores, and memory by their buffers. The topics are the
truth and a store is a copy: it begins empty and is filled from them.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import msgspec
from rocksdict import (
    BlockBasedOptions,
    Cache,
    DBCompactionStyle,
    DBCompressionType,
    FifoCompactOptions,
    Options,
    Rdict,
    WriteOptions,
)
from starlette.requests import Request
from starlette.responses import Response

from bridge.problems import JSON, Problem, unavailable
from bridge.records import Arrival, Fields, read_outcome, read_page, read_report, results_of
from bridge.signing import Guard
from schemas.structs import ReportHead
from schemas.topics import ORDER_OUTCOMES, PROMOTION_RESULTS, RECONCILIATION_REPORTS
from streams.settings import ConfigurationError

MEBI = 1 << 20
STORE_BYTES = 1_024 * MEBI
BUFFER_BYTES = 8 * MEBI
MAX_SLOTS = 100

END = "\0"
"""Ends a ref inside a key: refs contain no control characters."""

REPORT = b"report"


class Store:
    """Rows in key order, of which the oldest are forgotten. Not durable: without a write-ahead log."""

    def __init__(self, path: Path) -> None:
        self._rows = Rdict(str(path), _options())
        unlogged = WriteOptions()
        unlogged.disable_wal = True  # type: ignore[method-assign, assignment]  # a property, not as declared
        self._rows.set_write_options(unlogged)

    def put(self, key: bytes, value: bytes) -> None:
        """Write a row; what was there under its key is no longer seen."""
        self._rows[key] = value

    def with_prefix(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The rows whose keys begin with `prefix`, as (rest of the key, value), in order."""
        rows = self._rows.iter()
        rows.seek(prefix)
        while rows.valid() and rows.key().startswith(prefix):
            yield rows.key()[len(prefix) :], rows.value()
            rows.next()

    def close(self) -> None:
        """Close the database."""
        self._rows.close()


class Status:
    """Newest outcome of each order, results and newest report of each promotion."""

    def __init__(self, data_dir: Path) -> None:
        self._lock, directory = _free_slot(data_dir / "bridge")
        self._directory = directory
        self._orders = Store(directory / "orders")
        self._promotions = Store(directory / "promotions")

    def arrived(self, arrival: Arrival) -> None:
        """Remember a record. A topic's newest is the truth: outcomes of an order share a partition."""
        value = arrival.value
        if arrival.topic == ORDER_OUTCOMES:
            outcome = read_outcome(value)
            self._orders.put(_key(outcome.order_ref, outcome.promotion_id), value)
        elif arrival.topic == PROMOTION_RESULTS:
            page = read_page(value)
            self._promotions.put(_key(page.promotion_id, f"results {page.page:06}"), value)
        elif arrival.topic == RECONCILIATION_REPORTS:
            report = read_report(value)
            if report.is_last_page:
                self._promotions.put(_key(report.promotion_id) + REPORT, msgspec.json.encode(report))

    def order(self, ref: str) -> list[bytes]:
        """The newest outcome of an order for each of its promotions, as published; empty: never seen."""
        return [value for _, value in self._orders.with_prefix(_key(ref))]

    def promotion(self, promotion_id: str) -> tuple[list[bytes], ReportHead | None]:
        """The pages of a promotion's results as published, and the head of its newest report."""
        rows = dict(self._promotions.with_prefix(_key(promotion_id)))
        report = rows.pop(REPORT, None)
        return list(rows.values()), read_report(report) if report is not None else None

    def close(self) -> None:
        """Close and remove the stores."""
        self._orders.close()
        self._promotions.close()
        shutil.rmtree(self._directory, ignore_errors=True)
        self._lock.close()


class Questions:
    """The routes `/orders/{ref}` and `/promotions/{id}`. `is_caught_up`: whether the topics' past is read."""

    def __init__(self, status: Status, guard: Guard, is_caught_up: Callable[[], bool]) -> None:
        self._status = status
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
        fields = _standing(promotion_id, *self._status.promotion(promotion_id))
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


def _standing(promotion_id: str, pages: list[bytes], report: ReportHead | None) -> Fields:
    """Where a promotion stands; no fields when nothing is known of it."""
    results = results_of(pages)
    if report is None and not results:
        return {}
    status = report.status if report is not None else _status_by_results(pages)
    fields: Fields = {"promotionId": promotion_id, "status": status, **results}
    return fields if report is None else {**fields, "report": report}


def _status_by_results(pages: list[bytes]) -> str:
    """Before the first report: every SKU is decided, so the sale runs, unless nothing could be reserved."""
    return "ACTIVE" if read_page(pages[0]).summary.success else "REJECTED"


def _key(ref: str, rest: str = "") -> bytes:
    return f"{ref}{END}{rest}".encode()


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
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir()
            return lock, directory
    except OSError as error:
        raise ConfigurationError(f"DATA_DIR cannot be used: {parent}: {error.strerror}.") from None
    raise ConfigurationError(f"{MAX_SLOTS} bridges use {parent} already; set another DATA_DIR.")


def _options() -> Options:
    table = BlockBasedOptions()
    table.set_block_cache(Cache(BUFFER_BYTES))
    table.set_bloom_filter(10, False)
    fifo = FifoCompactOptions()
    fifo.max_table_files_size = STORE_BYTES
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_block_based_table_factory(table)
    options.set_compaction_style(DBCompactionStyle.fifo())
    options.set_fifo_compaction_options(fifo)
    options.set_write_buffer_size(BUFFER_BYTES)
    options.set_max_write_buffer_number(2)
    options.set_max_background_jobs(1)
    options.set_keep_log_file_num(1)
    options.set_compression_type(DBCompressionType.lz4())
    return options
