"""Orders that wait long for one of their SKUs: what they have taken must be neither settled nor forgotten.

The ledger settles units some time after it has decided their claim, because by then the shop has booked them,
and forgets the claim a retention and an hour after. But the shop learns of an order with its outcome, from
which on the order is remembered, and that waits for the last line: for Fluent, or a backlog. So while it
waits, and once more when it is decided late, the ledger hears `Keep` about what was taken.
"""

from __future__ import annotations

import msgspec

from schemas.topics import SKU_COMMANDS
from streams.ledger.commands import Keep, encode
from streams.ledger.orders.pages import Shelf, page_key
from streams.ledger.orders.state import BY_CLOCK, DECIDING, UNDECIDED, UNIT_EFFECTS
from streams.ledger.orders.turn import OrderTurn, take
from streams.ledger.rows import Table
from streams.ledger.terms import HOUR_MS, Terms
from streams.ledger.turn import Turn

KEEPS_PER_DELAY = 3
"""So often within the settle delay an undecided order renews it for what it has taken."""

LEAST_MS = 1_000

MOST_MS = HOUR_MS // KEEPS_PER_DELAY
"""Soon enough for the memory: a claim has an hour more than its order (`Terms.claims_kept_ms`)."""

_SHELF = Shelf(b"OL", b"OK", BY_CLOCK, UNDECIDED, LEAST_MS)


class Concluded(msgspec.Struct, array_like=True, gc=False):
    """How many orders of a page are no longer undecided, so that a page of which all are need not be read."""

    orders: int = 0


_CONCLUDED: Table[Concluded] = Table(b"OU", Concluded, hot=True)


def begin(turn: OrderTurn, terms: Terms) -> None:
    """Look after an order from now on: often where the shop books what was sold."""
    order, every_ms = turn.row, MOST_MS
    if terms.settle_delay_ms and not terms.book_sale:
        every_ms = min(max(terms.settle_delay_ms // KEEPS_PER_DELAY, LEAST_MS), MOST_MS)
    order.keep_every_ms = every_ms
    order.changed_at_ms = turn.now_ms
    order.kept_page = _SHELF.put(turn, turn.key, turn.now_ms + every_ms)


def conclude(turn: OrderTurn) -> None:
    """Every line of the order is decided: it need not be looked after any more."""
    number = turn.row.kept_page
    if number < 0:
        return
    turn.row.kept_page = -1
    page = page_key(number)
    concluded = turn.rows.get(_CONCLUDED, page) or Concluded()
    concluded.orders += 1
    turn.rows.put(_CONCLUDED, page, concluded)


def end(turn: OrderTurn) -> None:
    """The order is decided: where that took long, shop and memory need their time from now on."""
    order = turn.row
    if order.keep_every_ms and turn.now_ms >= order.changed_at_ms + order.keep_every_ms:
        _keep(turn)


def look_after(turn: Turn, page: bytes, budget: int) -> tuple[int, bool]:
    """Renew the delay for the undecided orders of a page. Returns (effects used, whether it is finished)."""
    used, keys = 1, _SHELF.keys(turn.rows, page)
    concluded = turn.rows.get(_CONCLUDED, page)
    if concluded is not None:
        turn.rows.delete(_CONCLUDED, page)  # what is left of an unfinished page is counted anew
        used += 1
        if concluded.orders == len(keys):
            keys = []
    for done, key in enumerate(keys):
        if used > budget - UNIT_EFFECTS:
            _SHELF.leave(turn.rows, page, keys[done:])
            return used, False
        order = take(turn.rows, turn.effects, turn.now_ms, key)
        if order.row.state is DECIDING:
            used += _keep(order) + 2
            order.row.kept_page = _SHELF.put(order, key, turn.now_ms + order.row.keep_every_ms)
            order.finish()
    _SHELF.leave(turn.rows, page, [])
    return used, True


def _keep(turn: OrderTurn) -> int:
    """The shop has learned long ago of lines that were known before: those are only remembered."""
    ref, promotion_id = turn.ids
    taken = [(sku, line) for sku, line in turn.row.lines.items() if line.reason == "" and line.left]
    for sku, line in taken:
        turn.send(SKU_COMMANDS, sku.encode(), encode(Keep(promotion_id, sku, ref, not line.again)))
    return len(taken)
