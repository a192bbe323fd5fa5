"""The promotions stage on a desk: its rows in memory, its own log, and what it sent."""

from __future__ import annotations

import json
from typing import Any

from schemas.topics import (
    DEAD_LETTERS,
    PROMOTION_COMMANDS,
    PROMOTION_RESULTS,
    RECONCILIATION_REPORTS,
    RESERVATION_RESULTS,
    SKU_COMMANDS,
)
from streams.ledger.commands import (
    Continue,
    End,
    Figures,
    LineFigures,
    LineReserved,
    Lines,
    PromotionCommand,
    Reserve,
    Tick,
    decode_promotion_command,
    decode_sku_command,
)
from streams.ledger.effects import MAX_EFFECTS, Effects, Notice, Send
from streams.ledger.inputs import EndPromotion, StartPromotion
from streams.ledger.promotions import decide, earliest_deadline_ms, next_watermark_deadline_ms
from streams.ledger.rows import MemoryStore, R, Rows, Table
from streams.ledger.terms import Source, Terms

PROMOTION = "FLASH-1"
NOON_MS = 1_800_000_000_000
TERMS = Terms(
    default_duration_ms=7_200_000, claim_grace_ms=5_000, close_timeout_ms=90_000, report_interval_ms=60_000
)

Command = PromotionCommand | StartPromotion | EndPromotion


def start_of(
    lines: Lines = (("SKU-1", 10), ("SKU-2", 5)),
    *,
    promotion: str = PROMOTION,
    offset: int = 0,
    duration_ms: int = 0,
    expires_at_ms: int = 0,
    attributes: bytes = b"",
    terms: Terms = TERMS,
    placed_at_ms: int = NOON_MS,
) -> StartPromotion:
    """A start at `offset` of its topic; its original bytes name that offset."""
    return StartPromotion(
        source=Source("promotion-start", 3, offset, b"a shop's key"),
        terms=terms,
        placed_at_ms=placed_at_ms,
        promotion_id=promotion,
        lines=lines,
        duration_ms=duration_ms,
        expires_at_ms=expires_at_ms,
        attributes=attributes,
        original=b"start %d" % offset,
    )


def end_of(
    *, promotion: str = PROMOTION, offset: int = 0, reason: str = "", placed_at_ms: int = NOON_MS
) -> EndPromotion:
    """An end at `offset` of its topic; its original bytes name that offset."""
    source = Source("promotion-end", 1, offset, b"a shop's key")
    return EndPromotion(source, TERMS, placed_at_ms, promotion, reason, b"end %d" % offset)


def end_before_the_start() -> EndPromotion:
    """An end that was placed before the start, too."""
    return end_of(placed_at_ms=NOON_MS - 1)


def held(sku: str, quantity: int = 10, *, promotion: str = PROMOTION) -> LineReserved:
    """The ledger's answer: the units are held."""
    return LineReserved(promotion, sku, quantity, f"FS-{promotion}-{sku}", NOON_MS + 7_200_000)


def refused(
    sku: str, reason: str = "INSUFFICIENT_INVENTORY", error: str = "", *, promotion: str = PROMOTION
) -> LineReserved:
    """The ledger's answer: nothing is held."""
    return LineReserved(promotion, sku, 0, f"FS-{promotion}-{sku}", 0, reason, error)


def figures(sku: str, version: int, state: str = "ACTIVE", **columns: Any) -> LineFigures:
    """Figures of a line; what is not named is 0."""
    return LineFigures(PROMOTION, sku, Figures(version, state, **columns))


def closed(sku: str, version: int, consumed: int, released: int, **more: Any) -> LineFigures:
    """Figures of a line for which nothing is held any more, and which adds up."""
    columns = {"reserved": consumed + released, "consumed": consumed, "released": released}
    return figures(sku, version, "CLOSED", **columns, **more)


class CountedRows(Rows):
    """Rows that know which of them one command changed."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store)
        self.touched: set[bytes] = set()

    def put(self, table: Table[R], key: bytes, row: R) -> None:
        """Write a row."""
        self.touched.add(table.prefix + key)
        super().put(table, key, row)

    def delete(self, table: Table[R], key: bytes) -> None:
        """Delete a row."""
        self.touched.add(table.prefix + key)
        super().delete(table, key)


class Stage:
    """Decides commands one by one, with time going only where a test lets it."""

    def __init__(self, now_ms: int = NOON_MS) -> None:
        self.store = MemoryStore()
        self.rows = CountedRows(self.store)
        self.now_ms = now_ms
        self.sends: list[Send] = []
        self.notices: list[Notice] = []
        self.most_effects = 0

    def decide(self, command: Command) -> list[Send]:
        """Decide one command, without the continuations that it writes; what it sent."""
        self.rows.touched.clear()
        effects = Effects()
        decide(self.rows, command, self.now_ms, effects)
        cost = len(effects.sends) + len(effects.notices) + len(self.rows.touched)
        self.most_effects = max(self.most_effects, cost)
        self.sends += effects.sends
        self.notices += effects.notices
        return effects.sends

    def take(self, *commands: Command) -> list[Send]:
        """Decide commands and all their continuations, committing after each; what they sent."""
        first = len(self.sends)
        log = list(commands)
        while log:
            sent = self.decide(log.pop(0))
            log += [decode_promotion_command(send.value or b"") for send in sent if send.own]
            self.commit()
        return self.sends[first:]

    def commit(self) -> None:
        """Write what changed to the store: what comes next is decided from that alone."""
        self.store.write(self.rows.flush())
        self.rows.reset()

    def wait(self, after_ms: int) -> list[Send]:
        """Let time pass, then Tick; what that sent."""
        self.now_ms += after_ms
        return self.take(Tick(self.now_ms))

    def deadline_ms(self) -> int | None:
        """How long until the next Tick is needed."""
        at_ms = next_due_ms(self.rows)
        return None if at_ms is None else at_ms - self.now_ms


def next_due_ms(rows: Rows) -> int | None:
    """The earliest deadline by either clock, in Unix ms."""
    found = earliest_deadline_ms(rows), next_watermark_deadline_ms(rows)
    return min((at_ms for at_ms in found if at_ms is not None), default=None)


def of(sends: list[Send], topic: str) -> list[Send]:
    """Those to one topic."""
    return [send for send in sends if send.topic == topic]


def read(sends: list[Send], topic: str) -> list[dict[str, Any]]:
    """The JSON values sent to one topic."""
    return [json.loads(send.value or b"") for send in of(sends, topic)]


def sku_results(sends: list[Send]) -> list[dict[str, Any]]:
    """Values of reservation-results."""
    return read(sends, RESERVATION_RESULTS)


def results(sends: list[Send]) -> list[dict[str, Any]]:
    """Values of promotion-results."""
    return read(sends, PROMOTION_RESULTS)


def reports(sends: list[Send]) -> list[dict[str, Any]]:
    """Values of reconciliation-reports."""
    return read(sends, RECONCILIATION_REPORTS)


def dead_letters(sends: list[Send]) -> list[tuple[bytes | None, dict[str, str]]]:
    """(bytes, headers) of dead-letters."""
    found = of(sends, DEAD_LETTERS)
    return [(send.value, {name: raw.decode() for name, raw in send.headers or ()}) for send in found]


def sku_commands(sends: list[Send]) -> list[Reserve | End]:
    """Commands to the ledgers; each must be keyed by its SKU."""
    found = []
    for send in of(sends, SKU_COMMANDS):
        command = decode_sku_command(send.value or b"")
        assert isinstance(command, Reserve | End)
        assert send.key == command.sku.encode()
        found.append(command)
    return found


def continuations(sends: list[Send]) -> list[Continue]:
    """Commands to the stage itself; each must go to the partition that is being decided."""
    own = of(sends, PROMOTION_COMMANDS)
    assert all(send.own for send in own)
    return [
        command
        for send in own
        if isinstance(command := decode_promotion_command(send.value or b""), Continue)
    ]


def within_budget(stage: Stage) -> bool:
    """No command had more effects than one may have."""
    return stage.most_effects <= MAX_EFFECTS


def count_from_here(stage: Stage) -> None:
    """Leave out of the budget what was decided so far: a start or an end, which is decided in one piece."""
    stage.most_effects = 0


def active_stage() -> Stage:
    """SKU-1 and SKU-2 are held, and the report about that was made just now."""
    stage = Stage()
    stage.take(start_of(), held("SKU-1"), held("SKU-2", 5))
    stage.wait(TERMS.report_interval_ms)
    return stage
