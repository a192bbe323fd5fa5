"""RocksDB under the bridge's status questions: rows of which the oldest are forgotten.

FIFO compaction: when a store is full, its oldest file is dropped whole. So disk is bounded by STORE_BYTES for
each store, and memory by its buffers. A file is a buffer that was written down. Nothing is compressed, so a
store has at most STORE_BYTES / BUFFER_BYTES of them, which stay open.

The rows of a subject stand together, behind a digest of its name. It is what the files' bloom filters know:
a question looks into the one or two files that have an answer, not into each.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path

from rocksdict import (
    BlockBasedOptions,
    Cache,
    DBCompactionStyle,
    DBCompressionType,
    FifoCompactOptions,
    Options,
    Rdict,
    ReadOptions,
    SliceTransform,
    WriteOptions,
)

MEBI = 1 << 20
STORE_BYTES = 1_024 * MEBI
BUFFER_BYTES = 8 * MEBI
DIGEST_BYTES = 8

END = b"\0"
"""Ends a subject inside a key: refs contain no control characters."""


class StoreFailed(Exception):
    """The disk does not do what was asked of it."""


class Store:
    """Rows by subject and name, of which the oldest are forgotten. Not durable: without a write-ahead log.

    Everything raises StoreFailed where the files cannot be opened, read or written.
    """

    def __init__(self, path: Path) -> None:
        with _failing():
            self._rows = Rdict(str(path), _options())
        unlogged = WriteOptions()
        unlogged.disable_wal = True  # type: ignore[method-assign, assignment]  # a property, not as declared
        self._rows.set_write_options(unlogged)

    def put(self, subject: str, name: str, value: bytes) -> None:
        """Write a row; what was there under its name is no longer seen."""
        with _failing():
            self._rows[_prefix(subject) + name.encode()] = value

    def of(self, subject: str) -> Iterator[tuple[str, bytes]]:
        """The rows of a subject as (name, value), in order of their names."""
        prefix, of_prefix = _prefix(subject), ReadOptions()
        of_prefix.set_prefix_same_as_start(True)
        with _failing():
            rows = self._rows.iter(of_prefix)
            rows.seek(prefix)
            while rows.valid() and rows.key().startswith(prefix):
                yield rows.key()[len(prefix) :].decode(), rows.value()
                rows.next()
            rows.status()  # an iterator simply ends at a damaged block

    def close(self) -> None:
        """Close the database."""
        self._rows.close()


@contextmanager
def _failing() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise StoreFailed(str(error)) from error


def _prefix(subject: str) -> bytes:
    encoded = subject.encode()
    return blake2b(encoded, digest_size=DIGEST_BYTES).digest() + encoded + END


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
    options.set_compression_type(DBCompressionType.none())
    options.set_prefix_extractor(SliceTransform.create_fixed_prefix(DIGEST_BYTES))
    return options
