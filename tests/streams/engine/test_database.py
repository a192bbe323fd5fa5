"""A task's database: when its rows are reused, and who may restore it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schemas.topics import DAY_MS
from streams.engine.changelog import RestoreCancelled, Restored
from streams.engine.database import Database
from streams.engine.store import Mark, RocksStore
from streams.ledger.rows import Changes
from streams.system import now_ms


class Changelog:
    """A changelog of `rows`, which remembers where it was read from."""

    def __init__(self, *rows: tuple[bytes, bytes], markers: int = 0) -> None:
        self.rows = rows
        self.markers = markers
        """Behind the last row."""
        self.starts: list[int] = []

    def topic_id(self, topic: str) -> str:
        return "the topic"

    def end_offset(self, topic: str, partition: int) -> int:
        return len(self.rows) + self.markers

    def read(
        self, topic: str, partition: int, start: int, apply: Callable[[Changes, int], None], *_: Any
    ) -> Restored:
        self.starts.append(start)
        apply(dict(self.rows[start:]), len(self.rows))
        return Restored(len(self.rows) - start, 0.0, len(self.rows) + self.markers)


def database(changelog: Changelog, path: Path) -> Database:
    reader: Any = changelog
    return Database(reader, "changelog", 0, path, 1)


def test_a_restore_that_was_cancelled_while_it_waited_leaves_the_database_alone(tmp_path: Path) -> None:
    """Seen with a script: a rebalance, and another: of the two restores that waited for one whose broker was
    silent, the older came last. It emptied the database that the task was using."""
    made = database(Changelog(), tmp_path / "task-0")
    made.restore(threading.Event())
    in_use = made.store
    in_use.write({b"k": b"v"})
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(RestoreCancelled):
        made.restore(cancelled)
    assert made.store is in_use
    assert in_use.get(b"k") == b"v"


@pytest.mark.parametrize(
    ("written_ms_ago", "start"), [(0, 1), (DAY_MS // 2 - 60_000, 1), (DAY_MS, 0), (-30_000, 1), (-DAY_MS, 0)]
)
def test_rows_are_reused_only_where_no_tombstone_can_be_gone(
    tmp_path: Path, written_ms_ago: int, start: int
) -> None:
    """Rows "from tomorrow" are of a worker whose clock was set since: they may be days old."""
    changelog = Changelog((b"a", b"1"), (b"b", b"2"))
    made = database(changelog, tmp_path / "task-0")
    made.restore(threading.Event())
    made.store.write_marked({b"deleted": b"x"}, Mark("the topic", 1, now_ms() - written_ms_ago))
    made.restore(threading.Event())
    assert changelog.starts == [0, start]
    assert (made.store.get(b"deleted") is None) == (start == 0)
    assert made.store.get(b"b") == b"2"


@pytest.mark.parametrize(("following", "start"), [(0, 0), (1, 1), (3, 3), (4, 0)])
def test_rows_are_reused_only_where_they_are_a_prefix_of_the_changelog(
    tmp_path: Path, following: int, start: int
) -> None:
    """A changelog that ends sooner has lost what this worker has, or is another one."""
    changelog = Changelog((b"a", b"1"), (b"b", b"2"), markers=1)
    made = database(changelog, tmp_path / "task-0")
    made.restore(threading.Event())
    made.store.write_marked({b"a": b"1", b"theirs": b"x"}, Mark("the topic", following, now_ms()))
    made.restore(threading.Event())
    assert changelog.starts == [0, start]
    assert (made.store.get(b"theirs") is None) == (start == 0)
    assert made.store.get(b"a") == b"1"


def test_a_database_says_up_to_where_it_holds_the_changelog_markers_included(tmp_path: Path) -> None:
    made = database(Changelog((b"a", b"1"), markers=4), tmp_path / "task-0")
    assert made.changelog_id == ""
    with pytest.raises(RuntimeError, match="was never restored"):
        made.store.mark()
    made.restore(threading.Event())
    mark = made.store.mark()
    assert mark is not None and (mark.topic_id, mark.next_offset) == ("the topic", 5)
    assert made.changelog_id == "the topic"


def test_files_that_turn_out_to_be_damaged_are_read_back_at_once(tmp_path: Path) -> None:
    made = database(Changelog((b"a", b"1")), tmp_path / "task-0")
    made.restore(threading.Event())
    made.store.write({b"\x00mark": b"\xc1"})
    made.restore(threading.Event())
    assert made.store.get(b"a") == b"1"


def test_files_are_let_go_of_unless_the_task_came_back(tmp_path: Path) -> None:
    made = database(Changelog((b"a", b"1")), tmp_path / "task-0")
    made.wanted = False
    made.close()  # never restored
    made.wanted = True
    made.restore(threading.Event())
    made.close()
    assert made.store.get(b"a") == b"1"
    made.wanted = False
    made.close()
    another = RocksStore(tmp_path / "task-0")
    assert another.get(b"a") == b"1"
    another.close()
