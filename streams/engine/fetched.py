"""One fetch of one partition: what a Faust event carries in this engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from streams.engine.stage import Record


@dataclass(slots=True)
class Fetched:
    """The consumer moved from offset `start` to `following` of a partition and found these records.

    The range says more than the records do: transaction markers and aborted records leave holes, and a
    fetch may hold no record at all.
    """

    topic: str
    partition: int
    start: int
    following: int
    records: Sequence[Record]
    heavy: bool = False
    """Much of it was unpacked: no other should wait beside it."""

    @property
    def source(self) -> str:
        """Name of the partition, as tasks know it: `topic/partition`."""
        return f"{self.topic}/{self.partition}"

    def rest(self, offset: int) -> Fetched:
        """The same from `offset` on."""
        return Fetched(self.topic, self.partition, offset, self.following, self.from_offset(offset))

    def from_offset(self, offset: int) -> Sequence[Record]:
        """The records at or after `offset`."""
        if not self.records or self.records[0].offset >= offset:
            return self.records
        return [record for record in self.records if record.offset >= offset]
