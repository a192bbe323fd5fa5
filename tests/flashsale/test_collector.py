"""When the worker looks for garbage that refers to itself."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

from flashsale.worker.collector import clear_away


class Fetch:
    """As aiokafka's PartitionRecords: its iterator refers to it."""

    def __init__(self, records: list[int]) -> None:
        self.records = records
        self.iterator = self._unpacked()

    def _unpacked(self) -> Iterator[int]:
        yield from self.records


def test_what_nobody_read_of_a_fetch_is_freed_after_a_takeover() -> None:
    gc.disable()
    try:
        fetch = Fetch([1, 2, 3])
        assert next(fetch.iterator) == 1
        left = weakref.ref(fetch)
        del fetch
        assert left() is not None, "it would stay: its iterator refers to it"
        clear_away()
        assert left() is None
    finally:
        gc.enable()
