"""One task as the protocol sees it: where its sources stand, and whether it may take records in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from streams.engine.ownership import Membership
from streams.engine.protocol.actions import Action, Decide, Seek


class Phase(Enum):
    """Where a task is in its life."""

    TAKING_OVER = auto()
    REGISTERING = auto()
    RUNNING = auto()
    SUSPENDED = auto()


@dataclass(slots=True)
class TaskState:
    """One task that was granted. Positions are next offsets, by source."""

    name: str
    sources: tuple[str, ...]
    member: Membership
    """What we were when it was granted: all its transactions say so."""
    phase: Phase = Phase.TAKING_OVER
    intact: bool = False
    """What is in memory and on disk is what the changelog holds as of `member`'s generation."""
    registered: bool = False
    """The offsets of all sources name the ids that we use now."""
    expected: dict[str, int] = field(default_factory=dict)
    committed: dict[str, int] = field(default_factory=dict)
    told: dict[str, int] = field(default_factory=dict)
    """The group's offsets as we last wrote them."""
    stable: Mapping[str, int] = field(default_factory=dict)
    """The group's offsets as the takeover found them."""
    rowless: frozenset[str] = frozenset()
    """Sources of which no transaction has said a position yet. The next one does, for until then nobody can
    tell what retention deleted unread from what never was there."""
    fell_short: int = 0
    pending: int = 0
    """Records decided since the last transaction began."""
    moved: bool = False
    """Something was decided since the last transaction began."""
    strikes: int = 0
    """Transactions in a row that were aborted although they carried this task alone."""
    suspect: bool = False
    """Its transactions carry nothing else until one of them is committed."""
    retry_at: float = float("-inf")

    @property
    def running(self) -> bool:
        """Whether it takes records in."""
        return self.phase is Phase.RUNNING

    def granted_again(self, member: Membership) -> None:
        """It stayed ours, or came back: whole, unless somebody else may have owned it in between."""
        self.intact = self.intact and member.continues(self.member)
        self.member, self.registered = member, False
        self.phase = Phase.REGISTERING if self.intact else Phase.TAKING_OVER

    def is_registered(self) -> list[Action]:
        """The group's offsets name us, and say what is committed: take records in from there."""
        self.registered = True
        self.told = {source: at for source, at in self.committed.items() if source not in self.rowless}
        self.moved = self.moved or bool(self.rowless)
        if self.phase is not Phase.REGISTERING:
            return []
        self.phase = Phase.RUNNING
        return self.seeks()

    def received(self, source: str, start: int, following: int, *, empty: bool) -> list[Action]:
        """A fetch moved the consumer from `start` to `following`.

        An `empty` one holds no record (transaction markers, aborted records): only the position moves, and
        it is written down with the next transaction.
        """
        if not self.running or (self.suspect and self.moved):
            return []  # a suspect decides no more than its next transaction carries, so the others have room
        expected = self.expected[source]
        if start > expected:
            return [Seek(source, expected)]
        if following <= expected:
            return [Seek(source, expected)] if start < expected else []
        self.expected[source] = following
        return [] if empty else [Decide(self.name, source, expected)]

    def left_undecided(self, source: str, offset: int) -> None:
        """Of what was received, the records from `offset` on are decided later: they are received anew."""
        self.expected[source] = offset

    def drifted(self, on_its_way: Mapping[str, int]) -> bool:
        """Whether a position has moved without a decision, past what is committed or on its way to be."""
        known = {**self.committed, **on_its_way}
        return any(known[source] != at for source, at in self.expected.items())

    def seeks(self) -> list[Action]:
        """Continue where everything that was decided ends."""
        return [Seek(source, self.expected[source]) for source in self.sources]

    def take(self) -> dict[str, int]:
        """What the next transaction says about this task's sources: all that moved, and at least one."""
        offsets = {source: at for source, at in self.expected.items() if self.told.get(source) != at}
        if not offsets:
            offsets = dict([next(iter(self.expected.items()))])
        self.pending, self.moved = 0, False
        return offsets

    def settle(self, offsets: Mapping[str, int]) -> None:
        """A transaction with these offsets is durable, even if the task was told to forget it meanwhile."""
        self.committed.update(offsets)
        for source, at in offsets.items():
            self.expected[source] = max(at, self.expected.get(source, at))
        self.told.update(offsets)
        self.rowless -= offsets.keys()
        self.strikes, self.suspect, self.retry_at = 0, False, float("-inf")

    def forget(self) -> None:
        """Everything that was not committed is undecided again."""
        self.expected = dict(self.committed)
        self.pending, self.moved = 0, False

    @property
    def caught_up(self) -> bool:
        """Whether the restored positions have reached the stable offsets."""
        return all(self.committed.get(source, 0) >= offset for source, offset in self.stable.items())
