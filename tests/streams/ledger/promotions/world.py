"""What surrounds the promotions stage in the state machine: a log with transactions, ledgers, an auditor."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from schemas.topics import SKU_COMMANDS
from streams.ledger.commands import (
    End,
    Figures,
    LineFigures,
    LineReserved,
    Reserve,
    Tick,
    decode_promotion_command,
    decode_sku_command,
)
from streams.ledger.effects import Effects, Send
from streams.ledger.promotions import decide
from streams.ledger.rows import MemoryStore, Rows
from tests.streams.ledger.promotions.stage import Command, Stage, next_due_ms

OVER = ("CLOSED", "REJECTED")


class Log:
    """promotion-commands with transactions: what an aborted one wrote or decided is undone.

    `clock_ms` is the broker's: each record gets its timestamp when it is appended.
    """

    def __init__(self) -> None:
        self.stage = Stage()
        self.clock_ms = self.stage.now_ms
        self.records: list[tuple[Command, int]] = []
        self.position = 0
        self.committed_position = 0
        self.open: list[Send] = []
        self.published: list[Send] = []

    def append(self, *commands: Command) -> None:
        """Records that are committed."""
        self.records += [(command, self.clock_ms) for command in commands]

    def decide_next(self) -> None:
        """Decide the next record, if there is one."""
        if self.position < len(self.records):
            command, self.stage.now_ms = self.records[self.position]
            self.open += self.stage.decide(command)
            self.position += 1

    def commit(self) -> list[Send]:
        """End the transaction; what it published."""
        self.stage.commit()
        published, self.open = self.open, []
        self.append(*(decode_promotion_command(send.value or b"") for send in published if send.own))
        self.committed_position = self.position
        self.published += published
        return published

    def crash(self) -> None:
        """Lose everything that was not committed, and the overlay with it."""
        self.stage.rows.reset()
        self.position = self.committed_position
        self.open = []

    def replayed(self) -> dict[bytes, bytes]:
        """The rows that the committed log gives when it is decided again from its beginning, in one go."""
        rows = Rows(MemoryStore())
        for command, now_ms in self.records[: self.committed_position]:
            decide(rows, command, now_ms, Effects())
        return {key: value for key, value in rows.flush().items() if value is not None}


@dataclass
class Reservation:
    """The ledger's view of one SKU of a promotion."""

    promotion: str
    sku: str
    quantity: int
    expires_at_ms: int
    answered: bool = False
    refused: bool = False
    ended: bool = False
    consumed: int = 0
    cancelled: int = 0
    rejected: int = 0
    state: str = "PENDING"
    version: int = 0
    ended_at_ms: int = 0
    ended_first: bool = False
    sent: list[LineFigures] = field(default_factory=list)

    def decide(self, reason: str) -> LineReserved:
        """Answer the Reserve."""
        self.answered, self.refused = True, reason != ""
        ref = f"FS-{self.promotion}-{self.sku}"
        if self.refused:
            self.state = "RELEASING" if self.ended and not self.ended_first else "REJECTED"
            return LineReserved(self.promotion, self.sku, 0, ref, 0, reason, "no stock")
        self.state = "ACTIVE"
        return LineReserved(self.promotion, self.sku, self.quantity, ref, self.expires_at_ms)

    def figures(self) -> LineFigures:
        """The figures now, under the next version."""
        self.version += 1
        reserved = self.quantity if self.answered and not self.refused else 0
        released = reserved - self.consumed if self.state == "CLOSED" else 0
        figures = Figures(
            self.version, self.state, reserved, self.consumed, self.cancelled,
            released, self.rejected, self.rejected, 0 if self.state in OVER else reserved,
        )  # fmt: skip
        self.sent.append(LineFigures(self.promotion, self.sku, figures))
        return self.sent[-1]


class Ledgers:
    """All SKUs' ledgers: they answer what was committed, whenever the machine lets them."""

    def __init__(self) -> None:
        self.reservations: dict[tuple[str, str], Reservation] = {}

    def take(self, published: list[Send]) -> None:
        """Commands that were committed."""
        for send in published:
            if send.topic == SKU_COMMANDS:
                command = decode_sku_command(send.value or b"")
                if isinstance(command, Reserve):
                    self._reserve(command)
                else:
                    assert isinstance(command, End)
                    self._end(command)

    def _reserve(self, command: Reserve) -> None:
        key = (command.promotion_id, command.sku)
        assert key not in self.reservations, "a SKU is reserved once"
        self.reservations[key] = Reservation(
            *key,
            command.quantity,
            command.expires_at_ms,
            ended=command.ended_at_ms > 0,
            ended_at_ms=command.ended_at_ms,
            ended_first=command.ended_first,
        )

    def _end(self, command: End) -> None:
        reservation = self.reservations[command.promotion_id, command.sku]
        known_ms = reservation.ended_at_ms
        assert not known_ms or command.ended_at_ms < known_ms, "a SKU is ended again only for a sooner end"
        reservation.ended, reservation.ended_at_ms = True, command.ended_at_ms

    def act(self, reservation: Reservation, dice: random.Random) -> list[Command]:
        """One step in the life of a reservation; what it tells promotions."""
        if not reservation.answered:
            reasons = ["ENDED"] if reservation.ended else ["", "", "INSUFFICIENT_INVENTORY"]
            answer = reservation.decide(dice.choice(reasons))
            news: list[Command] = [answer]
            if dice.random() < 0.7 or reservation.state == "RELEASING":
                news.append(reservation.figures())
            return news
        self._move(reservation, dice)
        return [reservation.figures()]

    def _move(self, reservation: Reservation, dice: random.Random) -> None:
        if reservation.state == "ACTIVE":
            if reservation.ended:
                reservation.state = "RELEASING"
            else:
                reservation.consumed = dice.randint(reservation.consumed, reservation.quantity)
        elif reservation.state == "RELEASING":
            reservation.state = "CLOSED"
        if reservation.consumed and dice.random() < 0.5:
            reservation.consumed -= 1
            reservation.cancelled += 1
        reservation.rejected += dice.randint(0, 1)


class World:
    """Log, stage and ledgers together."""

    def __init__(self) -> None:
        self.log = Log()
        self.ledgers = Ledgers()

    def commit(self) -> None:
        """Commit, and let the ledgers see it."""
        self.ledgers.take(self.log.commit())

    def drain(self) -> None:
        """Decide and commit everything that is in the log, whatever it leads to."""
        self.commit()
        while self.log.position < len(self.log.records):
            while self.log.position < len(self.log.records):
                self.log.decide_next()
            self.commit()

    def tick(self) -> bool:
        """Time goes on to the next deadline and its Tick comes; False where there is no deadline."""
        at_ms = next_due_ms(self.log.stage.rows)
        if at_ms is None:
            return False
        self.log.clock_ms = max(self.log.clock_ms, at_ms)
        self.log.append(Tick(self.log.clock_ms))
        return True

    def finish(self, dice: random.Random) -> None:
        """Everything is answered, everything expires, every report is made."""
        self.drain()
        reservations = list(self.ledgers.reservations.values())
        while still_open := [one for one in reservations if one.state not in OVER]:
            for one in still_open:
                one.ended = True
                self.log.append(*self.ledgers.act(one, dice))
            self.drain()
        self.log.append(*(one.figures() for one in reservations))
        self.drain()
        for _ in range(200):
            if not self.tick():
                return
            self.drain()
        raise AssertionError("deadlines that never end")
