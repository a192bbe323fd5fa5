"""What matters of Kafka: transactions, markers that reach one log before the other, a group, its offsets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from streams.engine.ownership import Membership, Ownership

OFFSETS = "group offsets"
UNCHECKED = -1


class Refused(Exception):
    """The generation is not current."""


class Fenced(Exception):
    """Another producer was initialised with the same transactional id."""


class Unstable(Exception):
    """A transaction is about to change these offsets."""


@dataclass
class Rows:
    """What one transaction brings to one task: records decided, by id, and the positions after them."""

    ids: list[int]
    positions: dict[str, int]


@dataclass(eq=False)
class Transaction:
    """`outcome` is None while it is open. Its markers reach each log at their own time."""

    producer: str
    epoch: int
    outcome: bool | None = None
    unmarked: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Offset:
    """One record of the offsets topic."""

    source: str
    offset: int
    owner: Ownership
    transaction: Transaction | None


@dataclass
class Broker:
    """All logs of one cluster. `sources` hold ids of records; None is an offset without a record."""

    sources: dict[str, list[int | None]]
    changelogs: dict[str, list[tuple[Transaction, Rows]]] = field(default_factory=dict)
    offsets: list[Offset] = field(default_factory=list)
    epochs: dict[str, int] = field(default_factory=dict)
    transactions: list[Transaction] = field(default_factory=list)
    generation: int = 0
    members: set[str] = field(default_factory=set)

    # -- transactions

    def initialise(self, producer: str) -> int:
        """InitProducerId: what is open is aborted, older epochs are fenced."""
        self.epochs[producer] = self.epochs.get(producer, 0) + 1
        for transaction in self.transactions:
            if transaction.producer == producer and transaction.outcome is None:
                transaction.outcome = False
                transaction.unmarked.clear()
        return self.epochs[producer]

    def begin(self, producer: str, epoch: int) -> Transaction:
        transaction = Transaction(producer, epoch)
        self.check_epoch(transaction)
        self.transactions.append(transaction)
        return transaction

    def produce(self, transaction: Transaction, task: str, rows: Rows) -> None:
        self.check_epoch(transaction)
        transaction.unmarked.add(task)
        self.changelogs.setdefault(task, []).append((transaction, rows))

    def commit_offsets(
        self, transaction: Transaction, offsets: Mapping[str, int], owner: Ownership, member: Membership
    ) -> None:
        """TxnOffsetCommit: generation and member are checked, unless they say that there is none."""
        self.check_epoch(transaction)
        self.check_member(member)
        transaction.unmarked.add(OFFSETS)
        self.offsets += [Offset(source, at, owner, transaction) for source, at in offsets.items()]

    def end(self, transaction: Transaction, commit: bool) -> None:
        self.check_epoch(transaction)
        transaction.outcome = commit

    def check_epoch(self, transaction: Transaction) -> None:
        if self.epochs[transaction.producer] != transaction.epoch:
            raise Fenced

    # -- the group

    def check_member(self, member: Membership) -> None:
        if member.generation == UNCHECKED and member.member_id == "":
            return
        if member.generation != self.generation or member.member_id not in self.members:
            raise Refused

    def write_offsets(self, offsets: Mapping[str, int], owner: Ownership, member: Membership) -> None:
        self.check_member(member)
        self.offsets += [Offset(source, at, owner, None) for source, at in offsets.items()]

    def offset(self, source: str, *, stable: bool) -> Offset | None:
        """The newest offset whose transaction, if it has one, is known to the offsets topic as committed."""
        found = [each for each in self.offsets if each.source == source]
        if stable and any(_pending(each.transaction, OFFSETS) for each in found):
            raise Unstable
        seen = [each for each in found if _seen(each.transaction, OFFSETS)]
        return seen[-1] if seen else None

    # -- reading a changelog

    def stable_end(self, task: str) -> int:
        """The last stable offset: readers get no further while a transaction before it has no marker."""
        log = self.changelogs.get(task, [])
        return next((i for i, (transaction, _) in enumerate(log) if _pending(transaction, task)), len(log))

    def positions(self, task: str, end: int) -> dict[str, int]:
        """What the rows up to `end` fold to."""
        found: dict[str, int] = {}
        for transaction, rows in self.changelogs.get(task, [])[:end]:
            if transaction.outcome:
                found |= rows.positions
        return found

    def decided(self, task: str) -> list[int]:
        """The records that committed transactions decided, in the order of the changelog."""
        log = self.changelogs.get(task, [])
        return [each for transaction, rows in log if transaction.outcome for each in rows.ids]


def _pending(transaction: Transaction | None, log: str) -> bool:
    return transaction is not None and log in transaction.unmarked


def _seen(transaction: Transaction | None, log: str) -> bool:
    return transaction is None or bool(transaction.outcome and log not in transaction.unmarked)
