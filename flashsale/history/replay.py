"""The ledger's log once more through the ledger: what was decided about some reservations, and what was left.

The ledger is a function of its log, so the decisions need not be collected from a dozen topics: the same
records give the same answers, with the units that were left after each. What a log has lost by retention
cannot be replayed: where a reservation's beginning is gone, its commands are told and nothing is concluded.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

from confluent_kafka import Message

from agents import reservations
from flashsale.dead_letters.letter import places_given_up
from flashsale.history import words
from flashsale.history.caused import Told, told_of
from flashsale.history.step import Searched, Step
from schemas.reasons import Reason
from schemas.topics import SKU_COMMANDS
from schemas.unreadable import UNREADABLE
from streams.engine.partitioner import partition_of
from streams.engine.unprocessable import RecordFailed, decide
from streams.ledger.commands import decode_sku_command, reservation_key
from streams.ledger.effects import Effects
from streams.ledger.reservations.state import ACTIVE, CLOSED, RELEASING, RESERVATIONS, Reservation
from streams.ledger.rows import MemoryStore, Rows
from streams.reader import headers_of, reading
from streams.settings import ConfigurationError, Settings

MAX_BEHIND = 2_000
"""Records of other SKUs that are decided together."""


class Standing(NamedTuple):
    """What a reservation was before a command: why it ended, and the number of its newest request."""

    cause: str
    number: int


@dataclass(slots=True)
class Taken:
    """A record as a stage takes it in (`streams.engine.stage.Record`)."""

    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


def histories(
    settings: Settings, promotion: str, skus: Iterable[str], order_ref: str | None = None
) -> tuple[list[Step], list[Searched]]:
    """The steps of these SKUs in log order, or of one order among them, and the partitions that were read.

    Raises ConfigurationError when the broker does not have the topic or falls silent, and KafkaException.
    """
    steps: list[Step] = []
    searched: list[Searched] = []
    given_up = places_given_up(settings, SKU_COMMANDS)
    with reading(settings, SKU_COMMANDS) as reader:
        by_partition: dict[int, list[str]] = {}
        partitions = len(reader.spans)
        for sku in skus:
            by_partition.setdefault(partition_of(sku.encode(), partitions), []).append(sku)
        for partition, here in sorted(by_partition.items()):
            span = reader.narrow(partition)
            looked = Searched.of(SKU_COMMANDS, span)
            searched.append(looked)
            replay = Replay(
                settings, promotion, here, looked, order_ref, given_up.get(partition, frozenset())
            )
            for message in reader.to_the_end():
                steps += replay.take(message)
            replay.catch_up()
    return steps, searched


@dataclass
class Replay:
    """One partition of the ledger's log, replayed for the sake of some SKUs of a promotion.

    With an `order_ref` only the steps of that order are wanted.
    """

    settings: Settings
    promotion: str
    skus: Collection[str]
    searched: Searched
    order_ref: str | None = None
    given_up: Collection[int] = frozenset()
    """Offsets of records that ended workers and were turned away undecided."""
    _rows: Rows = field(default_factory=lambda: Rows(MemoryStore()))
    _behind: list[Taken] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stage = reservations.stage(self.settings.prefixed)
        self._keys = {None, *(sku.encode() for sku in self.skus)}
        self._asked: dict[str, int] = {}

    def take(self, message: Message) -> Iterator[Step]:
        """The steps that a record brings for the SKUs that are watched."""
        self.searched.saw(message)
        record = _taken(message)
        if record.offset in self.given_up:
            self.catch_up()
            yield from self._turned_away(record)
            return
        command = self._command(record) if record.key in self._keys else None
        if command is None:
            self._behind.append(record)
            if len(self._behind) >= MAX_BEHIND:
                self.catch_up()
            return
        self.catch_up()
        for step in self._decide(record, command):
            if self.order_ref in (None, step.order_ref):
                yield step

    def _command(self, record: Taken) -> Any:
        """The command in a record that may be about what is watched, else None."""
        try:
            command: Any = decode_sku_command(record.value or b"")
        except UNREADABLE:
            return None
        about = getattr(command, "order_ref", None)
        return None if about is not None and self.order_ref not in (None, about) else command

    def catch_up(self) -> None:
        """Decide what came in between, together: time goes on with it, and it may take units of ours."""
        if self._behind:
            self._stage_decides(self._behind, Effects())
            self._behind.clear()

    def _stage_decides(self, records: Sequence[Taken], effects: Effects) -> None:
        try:
            decide(self._stage, f"{SKU_COMMANDS}/{self.searched.partition}", records, self._rows, effects)
        except RecordFailed as failed:
            raise ConfigurationError(
                f"History cannot be told beyond a record at which workers end, too: {failed}; see "
                "docs/operations.md, 'A record that ends workers'."
            ) from failed

    def _turned_away(self, record: Taken) -> Iterator[Step]:
        place = (SKU_COMMANDS, self.searched.partition, record.offset)
        text = (
            "a command is turned away, because it ended workers: `flashsale dead-letters show "
            f"{'/'.join(map(str, place))}`"
        )
        if self.order_ref is None and record.key in self._keys:
            yield Step(record.timestamp, *place, "dead-letter", text, reason=Reason.UNPROCESSABLE.value)

    def _decide(self, record: Taken, command: Any) -> Iterator[Step]:
        subject: str | None = getattr(command, "sku", None)
        ours = getattr(command, "promotion_id", None) == self.promotion and subject in self.skus
        concerned = self.skus if subject is None else [subject] if ours else []
        before = {sku: self._standing(sku) for sku in concerned}
        effects = Effects()
        self._stage_decides([record], effects)
        for sku in concerned:
            said = _said(command, before[sku]) if ours else []
            yield from self._steps(record, sku, said, effects, before[sku])

    def _steps(
        self, record: Taken, sku: str, said: list[Told], effects: Effects, before: Standing
    ) -> Iterator[Step]:
        row = self._row(sku)
        if row is None or not (self.searched.whole or row.expires_at_ms):
            # The reservation's beginning is not in the log: what is decided here was decided otherwise.
            yield from self._placed(record, sku, said, None)
            return
        caused = list(told_of(self.promotion, sku, effects, self._asked))
        if row.cause != before.cause:
            caused.insert(0, Told("close", f"the sale is over: {row.cause}", reason=row.cause))
        answered = {told.order_ref for told in caused}
        done = [told for told in said if told.order_ref is None or told.order_ref not in answered]
        yield from self._placed(record, sku, [*done, *caused], _left(row))

    def _placed(self, record: Taken, sku: str, done: list[Told], left: int | None) -> Iterator[Step]:
        """The steps with what was left after each: from the end, where the row says it, back to the first."""
        steps = []
        place = (record.timestamp, SKU_COMMANDS, self.searched.partition, record.offset)
        for told in reversed(done):
            reason = told.reason or None
            steps.append(Step(*place, told.kind, told.text, sku, told.order_ref, told.units, reason, left))
            left = None if left is None else left - told.gave_back
        yield from reversed(steps)

    def _row(self, sku: str) -> Reservation | None:
        return self._rows.get(RESERVATIONS, reservation_key(self.promotion, sku))

    def _standing(self, sku: str) -> Standing:
        row = self._row(sku)
        return Standing("", 0) if row is None else Standing(row.cause, row.number)


def _said(command: Any, before: Standing) -> list[Told]:
    """What the command itself says. An answer to any but the newest request changes nothing."""
    text = words.command(command)
    if text is None:
        return []
    number = getattr(command, "number", None)
    if number is None:
        order_ref = getattr(command, "order_ref", None)
        return [Told("command", text, order_ref, getattr(command, "quantity", None))]
    outdated = "" if number == before.number else ", which is outdated: it changes nothing"
    return [Told("answer", f"{text} (answer to request {number}{outdated})")]


def _left(row: Reservation) -> int | None:
    if row.state in (ACTIVE, RELEASING) and row.reserved:
        return row.reserved - row.claimed
    return 0 if row.state is CLOSED and row.reserved else None


def _taken(message: Message) -> Taken:
    kind, at_ms = message.timestamp()
    key, value, headers = cast(Any, message.key()), cast(Any, message.value()), cast(Any, headers_of(message))
    return Taken(cast(int, message.offset()), at_ms, kind - 1, key, value, headers)
