"""RocksDB under a task: a cache of its changelog partition.

Settings and sizes are kept small on purpose: a worker opens one database per task, and may come to own all of
them. One block cache and one budget of write buffers are shared by all; ten bloom bits.
"""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import msgspec
from rocksdict import (
    BlockBasedIndexType,
    BlockBasedOptions,
    Cache,
    DBCompressionType,
    Options,
    Rdict,
    ReadOptions,
    WriteBatch,
)

from schemas.unreadable import UNREADABLE
from streams.ledger.rows import Changes
from streams.log import get_logger

log = get_logger("engine.store")

IN_USE = ("Resource temporarily unavailable", "lock hold by current process")
"""What RocksDB says when the database is open elsewhere."""

READ_BACK = (
    "none, once: the rows are read back from the changelog; when it repeats, look at the disk of DATA_DIR"
)

_MARK = b"\x00mark"
MEBI = 1 << 20


class Mark(msgspec.Struct, array_like=True):
    """Which prefix of which changelog the database holds: topic id, next offset, when it was written."""

    topic_id: str
    next_offset: int
    written_at_ms: int


class StoreInUse(Exception):
    """Another process has the database open."""


class StoreFailed(Exception):
    """The files could not be opened, read or written (damaged, disk full, no rights): they are deleted."""


_encode = msgspec.msgpack.Encoder().encode
_decode_mark = msgspec.msgpack.Decoder(Mark).decode
_cache: Cache | None = None


def _shared_cache() -> Cache:
    global _cache
    if _cache is None:
        _cache = Cache(64 * MEBI)
    return _cache


BUFFERS_BYTES = 128 * MEBI
"""For the write buffers of all tasks together, two each."""


METADATA_BYTES = 16 * 1024
"""Of a piece of a file's index or filter."""


def _options(tasks: int) -> Options:
    buffer_bytes = min(16 * MEBI, max(MEBI, BUFFERS_BYTES // (2 * tasks)))
    table = BlockBasedOptions()
    table.set_block_cache(_shared_cache())
    table.set_bloom_filter(10, False)
    table.set_cache_index_and_filter_blocks(True)
    # In pieces: the filter of a file with a million rows is larger than a shard of the cache (1 MiB), and
    # what cannot be kept is read anew for every lookup. (RocksDB's wiki: Partitioned Index Filters.)
    table.set_index_type(BlockBasedIndexType.two_level_index_search())
    table.set_partition_filters(True)
    table.set_metadata_block_size(METADATA_BYTES)
    table.set_pin_top_level_index_and_filter(True)
    table.set_pin_l0_filter_and_index_blocks_in_cache(True)
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_block_based_table_factory(table)
    options.set_write_buffer_size(buffer_bytes)
    # Most keys that are asked for are new: bloom bits for the write buffer, too, halve what a miss costs.
    options.set_memtable_prefix_bloom_ratio(0.05)
    options.set_memtable_whole_key_filtering(True)
    options.set_max_write_buffer_number(2)
    options.set_max_open_files(max(16, 512 // tasks))
    options.set_max_background_jobs(1)
    options.set_max_total_wal_size(2 * buffer_bytes)
    options.set_keep_log_file_num(2)
    options.set_compression_type(DBCompressionType.lz4())
    return options


class RocksStore:
    """One task's rows on disk. One WriteBatch per Kafka transaction; its mark travels in the same batch.

    It is a cache: what cannot be opened, read or written is deleted, and everything raises StoreFailed then.
    """

    def __init__(self, path: Path, tasks: int = 1) -> None:
        """Open the database at `path`; up to `tasks` of them share the memory.

        Raises StoreInUse, and StoreFailed: then the next try begins with an empty one.
        """
        self.path = path
        self._tasks = tasks
        self._db: Rdict | None = None
        self._closed = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = Rdict(str(path), _options(tasks))
        except Exception as error:
            if any(words in str(error) for words in IN_USE):
                raise StoreInUse(f"another process has {path} open") from error
            raise self._thrown_away(error) from error
        self._get, self._scan, self._write = self._db.get, self._db.iter, self._db.write

    def get(self, key: bytes) -> bytes | None:
        """The row's bytes, or None."""
        try:
            value: bytes | None = self._get(key)
        except Exception as error:
            raise self._thrown_away(error) from error
        return value

    def scan(self, start: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Up to `limit` rows with start <= key < end, in key order."""
        bounded = ReadOptions()
        # Without it a scan that finds too little goes on through rows of other tables that are deleted.
        bounded.set_iterate_upper_bound(end)
        found: list[tuple[bytes, bytes]] = []
        try:
            rows = self._scan(bounded)
            rows.seek(start)
            while len(found) < limit and rows.valid():
                found.append((rows.key(), rows.value()))
                rows.next()
            rows.status()  # an iterator simply ends at a damaged block
        except Exception as error:
            raise self._thrown_away(error) from error
        return found

    def write(self, changes: Changes) -> None:
        """Apply all changes at once."""
        self._apply(self._batch(changes))

    def write_marked(self, changes: Changes, mark: Mark) -> None:
        """Apply all changes at once, with the changelog prefix that they complete."""
        batch = self._batch(changes)
        batch.put(_MARK, _encode(mark))
        self._apply(batch)

    def mark(self) -> Mark | None:
        """The changelog prefix that this database holds, or None for a new one."""
        raw = self.get(_MARK)
        try:
            return None if raw is None else _decode_mark(raw)
        except UNREADABLE as error:
            raise self._thrown_away(error) from error

    def close(self) -> None:
        """Close the database; it can be opened again."""
        self._closed = True
        if self._db is not None:
            self._db.close()

    def wiped(self) -> RocksStore:
        """Delete everything and start empty."""
        self.close()
        _delete(self.path)
        return RocksStore(self.path, self._tasks)

    def _apply(self, batch: WriteBatch) -> None:
        try:
            self._write(batch)
        except Exception as error:
            raise self._thrown_away(error) from error

    def _thrown_away(self, error: Exception) -> StoreFailed:
        """Delete the files at once: whatever ends this process, the next one does not meet them again."""
        failed = StoreFailed(f"{self.path} cannot be used: {error}")
        if self._closed:
            return failed  # the files may be in use again
        with contextlib.suppress(Exception):
            self.close()
        _delete(self.path)
        log.warning("rows_thrown_away", path=str(self.path), why=str(error), recommendation=READ_BACK)
        return failed

    @staticmethod
    def _batch(changes: Changes) -> WriteBatch:
        batch = WriteBatch(raw_mode=True)
        put = batch.put
        for key, value in changes.items():
            if value is None:
                batch.delete(key)
            else:
                put(key, value)
        return batch


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
