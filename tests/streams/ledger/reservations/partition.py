"""One partition of the ledger with its log: commits that lag behind, crashes that replay, records audited."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from schemas.topics import FLUENT_REQUESTS
from streams.ledger import commands as c
from streams.ledger import fluent_requests as f
from streams.ledger.effects import Effects, Send
from streams.ledger.reservations import LIFE, decide
from streams.ledger.reservations.state import (
    BY_CLOCK,
    BY_WATERMARK,
    CLAIMS,
    DETAILS,
    RESERVATIONS,
    WAITERS,
    State,
)
from streams.ledger.reservations.verifying import ROUNDS
from streams.ledger.rows import MemoryStore, Rows, Table
from tests.streams.ledger.reservations.auditor import Auditor

TABLES: dict[bytes, Table[Any]] = {
    table.prefix: table for table in (RESERVATIONS, DETAILS, CLAIMS, WAITERS, ROUNDS)
}


@dataclass
class Batch:
    """Commands that are committed together, and what came out of each."""

    log: list[tuple[c.SkuCommand, int, list[Send]]] = field(default_factory=list)


class Partition:
    """Decides commands; what is flushed lands later; a crash forgets what has not landed and replays it."""

    def __init__(self, settle_delay_ms: int) -> None:
        self.store = MemoryStore()
        self.rows = Rows(self.store)
        self.auditor = Auditor(settle_delay_ms)
        self.folded: dict[bytes, bytes] = {}
        self.now_ms = 1_800_000_000_000
        self.own: deque[c.SkuCommand] = deque()
        self.requests: list[f.AnyRequest] = []
        self.batches: list[Batch] = [Batch()]
        self.committed_ms = 0
        """The time of the newest record that is decided and committed."""
        self._flushed: list[dict[bytes, bytes | None]] = []

    def decide(self, command: c.SkuCommand) -> None:
        """One command at the partition's time: its records are audited and go where they belong."""
        self.auditor.asked(command, self.now_ms)
        before = self._states()
        sends = self._apply(command, self.now_ms)
        self._life_is_as_documented(command, before)
        self.batches[-1].log.append((command, self.now_ms, sends))
        for send in sends:
            self.auditor.read(send, self.now_ms)
            if send.own:
                self.own.append(c.decode_sku_command(send.value or b""))
            elif send.topic == FLUENT_REQUESTS:
                self.requests.append(f.decode_request(send.value or b""))

    def decide_own(self) -> None:
        """Decide what the ledger told itself, until there is no more."""
        while self.own:
            self.decide(self.own.popleft())

    def flush(self) -> None:
        """Close the batch; the next one is decided while this one commits."""
        self._flushed.append(self.rows.flush())
        self.batches.append(Batch())

    def land(self) -> None:
        """The oldest closed batch is committed."""
        if self._flushed:
            changes = self._flushed.pop(0)
            self.store.write(changes)
            self.rows.committed()
            log = self.batches.pop(0).log
            if log:
                self.committed_ms = log[-1][1]
                self.auditor.committed(self.committed_ms, self.now_ms)
            for key, value in changes.items():
                self.folded.pop(key, None) if value is None else self.folded.__setitem__(key, value)

    def crash(self) -> None:
        """Forget what is not committed, and decide it again: the same records must come out."""
        self.rows.reset()
        self._flushed.clear()
        again = [entry for batch in self.batches for entry in batch.log]
        self.batches = [Batch(again)]
        for command, now_ms, sends in again:
            assert self._apply(command, now_ms) == sends, f"{command} was decided differently in the replay"

    def tick(self, watermark_ms: int) -> None:
        """A Tick, as its sender has it: it says what is committed."""
        self.decide(c.Tick(watermark_ms, self.committed_ms))

    def commit(self) -> None:
        """Commit everything."""
        self.flush()
        while self._flushed:
            self.land()

    def settle_down(self) -> None:
        """Commit everything; the fold of the changelog is then the table."""
        self.commit()
        assert self.folded == self.store.rows
        for key in self.folded:
            table = TABLES.get(key[:2])
            if table is not None:
                row = self.rows.get(table, key[2:])
                assert row is not None
                assert c.encode(row) == self.folded[key]

    def deadlines(self) -> list[tuple[int, bytes, bytes]]:
        """All deadlines by the clock."""
        return BY_CLOCK.due(self.rows, 2**62, 1_000_000)

    def watermark_deadlines(self) -> list[tuple[int, bytes, bytes]]:
        """All deadlines by the watermark."""
        return BY_WATERMARK.due(self.rows, 2**62, 1_000_000)

    def _states(self) -> dict[bytes, State]:
        return {key: row.state for key, row in self.rows.scan(RESERVATIONS, b"", b"\xff", 100)}

    def _life_is_as_documented(self, command: c.SkuCommand, before: dict[bytes, State]) -> None:
        kind = c.Tick if isinstance(command, c.Continue) else type(command)
        for key, state in self._states().items():
            was = before.get(key, State.UNKNOWN)
            assert state is was or state in LIFE[was][kind].leads_to, f"{was} became {state} by {command}"

    def _apply(self, command: c.SkuCommand, now_ms: int) -> list[Send]:
        effects = Effects()
        decide(self.rows, command, now_ms, effects)
        return effects.sends
