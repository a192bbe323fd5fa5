"""A task's files are a cache: whatever is wrong with them is noticed, and ends in an empty database."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from streams.engine.store import Mark, RocksStore, StoreFailed, StoreInUse, _shared_cache
from streams.ledger.rows import Changes

ROWS: Changes = {b"a%05d" % number: b"%d" % number * 40 for number in range(20_000)}
MARK = Mark("topic", 7, 1)


def written(path: Path) -> None:
    """A closed database whose rows are in files, not in its log only."""
    store = RocksStore(path)
    store.write_marked(ROWS, MARK)
    store.close()
    RocksStore(path).close()


def files(path: Path, pattern: str) -> list[Path]:
    return sorted(path.glob(pattern))


def cut_short(path: Path) -> None:
    for file in files(path, "MANIFEST-*"):
        file.write_bytes(file.read_bytes()[:10])


def without_manifest(path: Path) -> None:
    for file in files(path, "MANIFEST-*"):
        file.unlink()


def without_current(path: Path) -> None:
    (path / "CURRENT").unlink()


def without_rows(path: Path) -> None:
    for file in files(path, "*.sst"):
        file.unlink()


def a_file_in_its_place(path: Path) -> None:
    path.rename(path.with_name("moved"))
    path.write_bytes(b"x")


DAMAGES = [cut_short, without_manifest, without_current, without_rows, a_file_in_its_place]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda each: each.__name__)
def test_files_that_cannot_be_opened_are_deleted_and_the_next_try_begins_empty(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    written(tmp_path / "db")
    damage(tmp_path / "db")
    with pytest.raises(StoreFailed, match="cannot be used"):
        RocksStore(tmp_path / "db")
    store = RocksStore(tmp_path / "db")
    assert store.mark() is None
    assert store.scan(b"a", b"b", 10) == []
    store.close()


def damaged_in_the_middle(path: Path) -> RocksStore:
    written(path)
    [rows] = files(path, "*.sst")
    found = bytearray(rows.read_bytes())
    found[len(found) // 3 : len(found) // 3 + 5_000] = bytes(5_000)
    rows.write_bytes(found)
    return RocksStore(path)


def read_each(store: RocksStore) -> None:
    for key, value in ROWS.items():
        assert store.get(key) == value


def scan_all(store: RocksStore) -> None:
    assert len(store.scan(b"a", b"b", 100_000)) == len(ROWS)


@pytest.mark.parametrize("read", [read_each, scan_all], ids=lambda each: each.__name__)
def test_rows_that_cannot_be_read_are_never_taken_for_missing(
    tmp_path: Path, read: Callable[[RocksStore], None]
) -> None:
    store = damaged_in_the_middle(tmp_path / "db")
    with pytest.raises(StoreFailed, match="Corruption"):
        read(store)
    with pytest.raises(StoreFailed):
        store.get(b"a00000")
    assert not (tmp_path / "db").exists()


@contextmanager
def full_disk(left_bytes: int = 16_384) -> Iterator[None]:
    """Files of this process may not grow beyond that, as on a disk without room."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (left_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_rows_that_cannot_be_written_are_deleted_with_all_others(tmp_path: Path) -> None:
    store = RocksStore(tmp_path / "db")
    with full_disk(), pytest.raises(StoreFailed, match="too large"):
        store.write_marked(ROWS, MARK)
    assert not (tmp_path / "db").exists()
    assert RocksStore(tmp_path / "db").mark() is None


def test_a_mark_that_is_none_is_a_damage_too(tmp_path: Path) -> None:
    store = RocksStore(tmp_path / "db")
    store.write({b"\x00mark": b"\xc1"})
    with pytest.raises(StoreFailed):
        store.mark()
    assert RocksStore(tmp_path / "db").mark() is None


def test_a_database_that_is_open_elsewhere_is_left_alone(tmp_path: Path) -> None:
    store = RocksStore(tmp_path / "db")
    store.write_marked(ROWS, MARK)
    with pytest.raises(StoreInUse):
        RocksStore(tmp_path / "db")
    assert store.mark() == MARK
    store.close()


def test_a_store_that_was_closed_deletes_nothing_of_the_one_that_came_after_it(tmp_path: Path) -> None:
    former = RocksStore(tmp_path / "db")
    former.close()
    store = RocksStore(tmp_path / "db")
    store.write_marked(ROWS, MARK)
    with pytest.raises(StoreFailed):
        former.get(b"a00001")
    assert store.mark() == MARK
    store.close()


def test_a_row_that_was_deleted_is_gone(tmp_path: Path) -> None:
    store = RocksStore(tmp_path / "a directory" / "that is not there" / "db")
    store.write({b"a": b"1", b"b": b"2"})
    store.write_marked({b"a": None, b"c": b"3"}, MARK)
    assert store.get(b"a") is None
    assert store.scan(b"a", b"z", 10) == store.scan(b"b", b"c0", 2) == [(b"b", b"2"), (b"c", b"3")]
    assert store.scan(b"a", b"z", 1) == store.scan(b"a", b"c", 10) == [(b"b", b"2")]
    store.close()


@pytest.mark.parametrize(("tasks", "buffer_mib", "open_files"), [(1, 16, 512), (16, 4, 32), (1_000, 1, 20)])
def test_databases_share_memory_and_files_however_many_there_are(
    tmp_path: Path, tasks: int, buffer_mib: int, open_files: int
) -> None:
    store = RocksStore(tmp_path / "db", tasks)
    assert store._db is not None
    assert store._db.property_int_value("rocksdb.block-cache-capacity") == 64 << 20
    store.close()
    options = options_of(tmp_path / "db")
    assert {name: options[name] for name in SMALL} == SMALL
    assert int(options["write_buffer_size"]) == buffer_mib << 20
    assert int(options["max_total_wal_size"]) == 2 * buffer_mib << 20
    assert int(options["max_open_files"]) == open_files
    assert _shared_cache() is _shared_cache()


SMALL = {
    "max_write_buffer_number": "2",
    "memtable_prefix_bloom_size_ratio": "0.050000",
    "memtable_whole_key_filtering": "true",
    "max_background_jobs": "1",
    "keep_log_file_num": "2",
    "compression": "kLZ4Compression",
    "cache_index_and_filter_blocks": "true",
    "index_type": "kTwoLevelIndexSearch",
    "partition_filters": "true",
    "metadata_block_size": "16384",
    "pin_top_level_index_and_filter": "true",
    "pin_l0_filter_and_index_blocks_in_cache": "true",
    "filter_policy": "bloomfilter",
}
"""What keeps a database small and quick, as RocksDB has noted it."""


def options_of(path: Path) -> dict[str, str]:
    """The newest options that RocksDB has written down."""
    lines = files(path, "OPTIONS-*")[-1].read_text().splitlines()
    return {name.strip(): value.strip() for name, _, value in (line.partition("=") for line in lines)}


@pytest.mark.slow
def test_a_lookup_among_a_million_rows_costs_about_what_it_costs_among_a_few(tmp_path: Path) -> None:
    """When a file's filter did not fit into the cache, each lookup read it anew: a hundred times as much."""
    few, many = (lookup_us(tmp_path / str(rows), rows) for rows in (10_000, 1_200_000))
    assert many < 20 * few, f"{few:.1f} µs became {many:.1f}"


def lookup_us(path: Path, rows: int) -> float:
    """CPU of a lookup of a row that there is not, as a claim's first lookup is."""
    store = RocksStore(path)
    try:
        for start in range(0, rows, 10_000):
            numbers = range(start, min(rows, start + 10_000))
            store.write({f"RC{spread(number):08x}".encode(): b"x" * 60 for number in numbers})
        assert store._db is not None
        store._db.compact_range(b"", b"\xff")  # into one file, as it will be in time
        absent = [f"RC{spread(rows + number):08x}".encode() for number in range(3_000)]
        assert store.get(f"RC{spread(rows - 1):08x}".encode()) is not None
        for key in absent[:1_000]:
            store.get(key)
        began = time.process_time()
        for key in absent[1_000:]:
            store.get(key)
        return (time.process_time() - began) / 2_000 * 1e6
    finally:
        store.close()


def spread(number: int) -> int:
    """Keys that follow each other lie anywhere (Knuth's multiplicative hash)."""
    return number * 2_654_435_761 & 0xFFFFFFFF
