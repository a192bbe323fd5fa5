"""RocksDB under a task: a cache of its changelog partition.

Settings and sizes are kept small on purpose: a worker opens one database per task, and may come to own all of
them. One block cache and one budget of write buffers are shared by all; ten bloom bits.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import cast

import msgspec
from rocksdict import BlockBasedOptions, Cache, DBCompressionType, Options, Rdict, ReadOptions, WriteBatch

from streams.ledger.rows import Changes

_MARK = b"\x00mark"
MEBI = 1 << 20


class Mark(msgspec.Struct, array_like=True):
    """Which prefix of which changelog the database holds: topic id, next offset, when it was written."""

    topic_id: str
    next_offset: int
    written_at_ms: int


class StoreInUse(Exception):
    """Another process has the database open."""


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


def _options(tasks: int) -> Options:
    buffer_bytes = min(16 * MEBI, max(MEBI, BUFFERS_BYTES // (2 * tasks)))
    table = BlockBasedOptions()
    table.set_block_cache(_shared_cache())
    table.set_bloom_filter(10, False)
    table.set_cache_index_and_filter_blocks(True)
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
    """One task's rows on disk. One WriteBatch per Kafka transaction; its mark travels in the same batch."""

    def __init__(self, path: Path, tasks: int = 1) -> None:
        """Open the database at `path`; up to `tasks` of them share the memory."""
        self.path = path
        self._tasks = tasks
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = Rdict(str(path), _options(tasks))
        except Exception as error:
            if "lock" in str(error).lower():
                raise StoreInUse(f"another process has {path} open") from error
            raise

    def get(self, key: bytes) -> bytes | None:
        """The row's bytes, or None."""
        value: bytes | None = self._db.get(key)
        return value

    def scan(self, start: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Up to `limit` rows with start <= key < end, in key order."""
        bounded = ReadOptions()
        # Without it a scan that finds too little goes on through rows of other tables that are deleted.
        bounded.set_iterate_upper_bound(end)
        rows = cast(Iterator[tuple[bytes, bytes]], self._db.items(from_key=start, read_opt=bounded))
        return list(islice(rows, limit))

    def write(self, changes: Changes) -> None:
        """Apply all changes at once."""
        self._db.write(self._batch(changes))

    def write_marked(self, changes: Changes, mark: Mark) -> None:
        """Apply all changes at once, with the changelog prefix that they complete."""
        batch = self._batch(changes)
        batch.put(_MARK, _encode(mark))
        self._db.write(batch)

    def mark(self) -> Mark | None:
        """The changelog prefix that this database holds, or None for a new one."""
        raw = self._db.get(_MARK)
        return None if raw is None else _decode_mark(raw)

    def close(self) -> None:
        """Close the database; it can be opened again."""
        self._db.close()

    def wiped(self) -> RocksStore:
        """Delete everything and start empty."""
        self.close()
        shutil.rmtree(self.path, ignore_errors=True)
        return RocksStore(self.path, self._tasks)

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
