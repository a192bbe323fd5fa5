"""Everything that the demo will do, made before anything is started: a pure function of the orders' file."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rehearsal.demo.events import Cancel, Event, Identity, OwnOrders, Placed, read_lines, round_of
from rehearsal.demo.invoices import Book, NoOrdersError, read_book
from rehearsal.demo.selection import (
    Promotion,
    choose_products,
    deal,
    demand_of,
    promotions_for,
    stock_for,
)

MORNING = Path(__file__).parent.parent / "data" / "online_retail_2010-12-01.csv"
RUSH_ORDERS = 3_000
"""A real morning is replayed under new refs until there are this many orders."""

REPEAT_EVERY, REPEAT_AFTER = 100, 50
"""One order in 100 is sent a second time, 50 orders later, as by a producer that got no acknowledgement."""

CANCEL_ONE_IN = 50
"""Two in a hundred accepted orders are given back."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Promotions, their stock in Fluent, and the events of the sale by time (`at_s`, in the file's own time).

    `source` and `notes` are sentences about the input for people.
    """

    promotions: tuple[Promotion, ...]
    stock: dict[str, dict[str, int]]
    placed: tuple[Placed, ...]
    cancels: tuple[Cancel, ...]
    source: str
    notes: tuple[str, ...]

    @property
    def orders(self) -> int:
        """Different orders, repeats not counted."""
        return len({placed.identity for placed in self.placed})

    @property
    def span_s(self) -> float:
        """Time between the first and the last event, in the file's own time."""
        events: tuple[Event, ...] = (*self.placed, *self.cancels)
        return max(event.at_s for event in events)


def cancelled_by_customer(identity: Identity) -> bool:
    """Whether the customer changes their mind: the same ones in each run, evenly spread."""
    return zlib.crc32("\0".join(identity).encode()) % CANCEL_ONE_IN == 0


def plan_morning() -> Plan:
    """The rush that comes with this package: a real morning again and again, all at the same time."""
    book = read_book(MORNING.read_text(encoding="utf-8"))
    return plan_book(
        book, "a real morning of an online shop (UCI Online Retail, D. Chen, CC BY 4.0)", RUSH_ORDERS
    )


def plan_file(file: Path) -> Plan:
    """One's own orders, once. Raises NoOrdersError with a sentence that names the file."""
    try:
        text = _text(file)
        if text.lstrip().startswith("{"):
            return plan_lines(read_lines(text), str(file))
        return plan_book(read_book(text), str(file))
    except OSError as error:
        raise NoOrdersError(f"{file} cannot be read: {error.strerror}.") from None
    except NoOrdersError as error:
        raise NoOrdersError(f"{file} cannot be replayed. {error}") from None


def plan_book(book: Book, source: str, at_least: int = 0) -> Plan:
    """Promotions over the book's products; its invoices replayed until there are `at_least` orders."""
    dealt = deal(choose_products(book.invoices))
    promotion_of = {sku: name for name, hand in dealt.items() for sku in hand}
    once, _ = round_of(book.invoices, promotion_of)
    rounds = max(1, -(-at_least // len(once)))
    demand = demand_of(book.invoices)
    promotions = promotions_for(
        {name: {sku: demand[sku] * rounds for sku in hand} for name, hand in dealt.items()}
    )
    placed: list[Placed] = []
    cancels: list[Cancel] = []
    for number in range(rounds):
        more = round_of(book.invoices, promotion_of, f"-{number + 1:03}" if number else "")
        placed += more[0]
        cancels += more[1]
    return Plan(
        promotions,
        stock_for(promotions),
        tuple(with_repeats(sorted(placed, key=lambda event: event.at_s))),
        tuple(sorted(cancels, key=lambda event: event.at_s)),
        source,
        tuple(_notes(book, promotion_of, rounds, once)),
    )


def plan_lines(own: OwnOrders, source: str) -> Plan:
    """The promotions that the orders name, each with fewer units than they ask for."""
    promotions = promotions_for(own.demand)
    notes = [f"{own.lines:,} lines: {len(own.placed):,} order-placed events"]
    if own.skipped:
        notes.append(f"left out: {counted(own.skipped, 'line')}, no order-placed event")
    return Plan(promotions, stock_for(promotions), own.placed, (), source, tuple(notes))


def with_repeats(placed: Sequence[Placed]) -> list[Placed]:
    """The events, one in `REPEAT_EVERY` of them once more, `REPEAT_AFTER` events later."""
    sent: list[Placed] = []
    for place, event in enumerate(placed):
        sent.append(event)
        earlier = place - REPEAT_AFTER
        if earlier >= 0 and earlier % REPEAT_EVERY == 0:
            sent.append(Placed(event.at_s, placed[earlier].identity, placed[earlier].value))
    return sent


def _notes(book: Book, promotion_of: dict[str, str], rounds: int, once: Sequence[Placed]) -> list[str]:
    sold = [invoice for invoice in book.invoices if not invoice.cancels]
    touched = Counter(event.identity[0] for event in once)
    several = sum(count > 1 for count in touched.values())
    given_back = counted(len(book.invoices) - len(sold), "cancellation")
    notes = [
        f"{counted(book.lines, 'line')}: {counted(len(sold), 'invoice')} and {given_back} "
        f"over {counted(book.products, 'product')}; {book.repeating} of them list a product twice"
    ]
    notes += [f"left out: {counted(count, 'line')}, {reason}" for reason, count in book.skipped.items()]
    notes += [f"unreadable {line}" for line in book.unreadable]
    elsewhere = sum(
        line.sku not in promotion_of for each in book.invoices if each.cancels for line in each.lines
    )
    if elsewhere:
        notes.append(f"left out: {counted(elsewhere, 'line')}, given back of a product in no promotion")
    times = f", replayed {rounds} times under new refs" if rounds > 1 else ""
    notes.append(
        f"{counted(len(promotion_of), 'product')} in promotion; {counted(len(touched), 'basket')} with some "
        f"of them, {several} of these from several promotions: {counted(len(once), 'order')}{times}"
    )
    return notes


def counted(count: int, noun: str) -> str:
    """A number with its noun: 1 line, 2 lines."""
    return f"{count:,} {noun}{'s' if count != 1 else ''}"


def _text(file: Path) -> str:
    content = file.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")  # how spreadsheets save the data set
