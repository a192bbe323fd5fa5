"""How much of a fetch is decided at once: as many records as write a bounded number of rows and bytes.

Nothing else happens in a worker while it decides. Mostly a fetch is one portion; but a few records may be
thousands of rows each, as when the orders of a sale are forgotten together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import length_hint
from typing import overload

from streams.engine.stage import Record
from streams.ledger.effects import Effects
from streams.ledger.rows import Rows

MAX_ROWS = 10_000
"""What some 3,000 orders of one line write."""
MAX_BYTES = 4 << 20
LOOK_EVERY = 256
"""Rows and sends between two looks at how much there is: less would cost each order something."""


class Portion(Sequence[Record]):
    """Records for a stage, which gets no more of them once they have written enough.

    It is as long as what the stage got, or still may get.
    """

    def __init__(self, records: Sequence[Record], rows: Rows, effects: Effects) -> None:
        self._records = list(records)
        self._left = iter(self._records)
        self._length = len(records)
        self._rows, self._sends = rows.changed, effects.sends
        self._rows_before, self._seen = len(rows.changed), len(effects.sends)
        self._bytes = 0

    @property
    def offset(self) -> int:
        """The offset of the record that was taken last: what is left says which, so that nothing is noted."""
        return self._records[max(0, self._taken - 1)].offset

    @property
    def _taken(self) -> int:
        return len(self._records) - length_hint(self._left)

    def __iter__(self) -> Iterator[Record]:
        self._left = iter(self._records)
        rows, sends = self._rows, self._sends
        look_at = len(rows) + len(sends) + LOOK_EVERY
        for record in self._left:
            if len(rows) + len(sends) >= look_at:
                if self._is_enough():
                    self._length = self._taken - 1
                    return
                look_at = len(rows) + len(sends) + LOOK_EVERY
            yield record

    def _is_enough(self) -> bool:
        self._bytes += sum([len(send.value or b"") for send in self._sends[self._seen :]])
        self._seen = len(self._sends)
        return len(self._rows) - self._rows_before >= MAX_ROWS or self._bytes >= MAX_BYTES

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, at: int) -> Record: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Record]: ...
    def __getitem__(self, at: int | slice) -> Record | Sequence[Record]:
        return self._records[at]
