"""Verifying open reservations by rounds: what Fluent holds, compared with what it was asked to hold.

A round is a deadline of the whole partition. It names every reservation that holds something, many to a page,
and a page is one request. Only of those that differ an answer comes back, so that one of which nothing has
changed costs no row. A verify by rounds is not the reservation's outstanding request: nothing waits for it.
Its answer counts while nothing newer was asked for the reservation.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from schemas.topics import FLUENT_REQUESTS
from streams.ledger.commands import PageVerified
from streams.ledger.fluent_requests import (
    ALONE,
    VerifyPage,
    VerifyRequest,
    encode_request,
    reservation_ref,
)
from streams.ledger.reservations.state import (
    ACTIVE,
    BY_CLOCK,
    RESERVATIONS,
    ROUND_DUE,
    Reservation,
    check_every_ms,
)
from streams.ledger.reservations.turn import ReservationTurn, Work
from streams.ledger.rows import Rows, Table
from streams.ledger.turn import Turn

PAGE_LINES = 200
MAX_LISTED = 1_000
"""Reservations that one command looks at; each has at most one effect."""

_WIDTH = 8
_END = b"\xff"


class Open(msgspec.Struct, array_like=True, gc=False):
    """A reservation that may hold something: everything is in its key."""


class Round(msgspec.Struct, array_like=True, gc=False):
    """The newest round of this partition, and when the next one is due. Times are Unix milliseconds."""

    number: int = 0
    began_at_ms: int = 0
    pages: int = 0
    unanswered: list[int] = []
    listed: bool = True
    """Every reservation was looked at."""
    verified_at_ms: int = 0
    """When the newest round began of which every page was answered."""
    every_ms: int = 0
    """The shortest interval that one of its reservations asks for."""
    due_at_ms: int = 0


OPEN: Table[Open] = Table(b"RO", Open, ordered=True)
"""A row is deleted by the first round that finds its reservation no longer ACTIVE."""
ROUNDS: Table[Round] = Table(b"RV", Round, hot=True)


def enrol(turn: ReservationTurn) -> None:
    """Verify a reservation by rounds from now on, as long as it is ACTIVE."""
    turn.rows.put(OPEN, turn.key, Open())
    newest = _newest(turn.rows)
    _due(turn, newest, turn.now_ms + check_every_ms(turn.row.terms))


def begin_round(turn: Turn) -> None:
    """A round is due."""
    newest = _newest(turn.rows)
    newest.number += 1
    newest.began_at_ms = turn.now_ms
    newest.pages = newest.every_ms = newest.due_at_ms = 0
    newest.unanswered = []
    newest.listed = False
    turn.rows.put(ROUNDS, b"", newest)
    _go_on(turn, newest, b"")


def on_round(turn: Turn, subject: bytes) -> None:
    """Ask for the next reservations of a round, from the key in `subject` on."""
    newest = _newest(turn.rows)
    number, cursor = int.from_bytes(subject[:_WIDTH], "big"), subject[_WIDTH:]
    if newest.listed or number != newest.number:
        return
    found = turn.rows.scan(OPEN, cursor, _END, MAX_LISTED)
    lines = list(_lines(turn, newest, [key for key, _ in found]))
    for first in range(0, len(lines), PAGE_LINES):
        _ask(turn, newest.number, newest.pages, lines[first : first + PAGE_LINES])
        newest.unanswered.append(newest.pages)
        newest.pages += 1
    if len(found) == MAX_LISTED:
        _go_on(turn, newest, found[-1][0] + b"\0")
    else:
        newest.listed = True
        _note_answers(newest)
        if newest.every_ms:
            _due(turn, newest, newest.began_at_ms + newest.every_ms)
    turn.rows.put(ROUNDS, b"", newest)


def on_page_verified(turn: Turn, command: PageVerified) -> None:
    """A page was compared. Where one is never answered, the next round asks anew."""
    newest = _newest(turn.rows)
    if command.round == newest.number and command.page in newest.unanswered:
        newest.unanswered.remove(command.page)
        _note_answers(newest)
        turn.rows.put(ROUNDS, b"", newest)


def verify_alone(turn: ReservationTurn) -> None:
    """Verify one reservation between two rounds, if it holds something."""
    newest, line = _newest(turn.rows), _line(turn.row, turn.promotion_id, turn.sku)
    if line is not None:
        _ask(turn, newest.number, ALONE, [line])


def is_current(turn: ReservationTurn, number: int, round_number: int) -> bool:
    """Whether a line's answer tells of the hold as it was asked for last.

    In a page it must be of the newest round, too. What was asked about alone (round 0) counts whatever round
    has begun: while Fluent takes longer than a round to answer, nothing would ever be believed otherwise.
    """
    row = turn.row
    asked_since = row.state is not ACTIVE or row.request or number != row.number
    return not asked_since and round_number in (0, _newest(turn.rows).number)


def checked_at_ms(turn: ReservationTurn) -> int:
    """When the hold was last compared with Fluent: by an answer about it, or in a round without one."""
    row = turn.row
    by_rounds = row.state is ACTIVE and not row.request and row.reserved > row.settled
    return max(row.checked_at_ms, _newest(turn.rows).verified_at_ms if by_rounds else 0)


def _newest(rows: Rows) -> Round:
    return rows.get(ROUNDS, b"") or Round()


def _note_answers(newest: Round) -> None:
    if newest.listed and not newest.unanswered:
        newest.verified_at_ms = newest.began_at_ms


def _due(turn: Turn, newest: Round, at_ms: int) -> None:
    """Let the next round be due at `at_ms`, unless it is due sooner."""
    if not newest.due_at_ms or at_ms < newest.due_at_ms:
        BY_CLOCK.move(turn.rows, newest.due_at_ms, at_ms, ROUND_DUE, b"")
        newest.due_at_ms = at_ms
        turn.rows.put(ROUNDS, b"", newest)


def _go_on(turn: Turn, newest: Round, cursor: bytes) -> None:
    turn.go_on(Work.ROUND, newest.number.to_bytes(_WIDTH, "big") + cursor)


def _ask(turn: Turn, number: int, page: int, lines: list[VerifyRequest]) -> None:
    request = VerifyPage(number, page, lines)
    turn.send(FLUENT_REQUESTS, request.sku.encode(), encode_request(request))


def _lines(turn: Turn, newest: Round, keys: list[bytes]) -> Iterator[VerifyRequest]:
    """What is to be compared; one that waits for an answer of Fluent is verified after that."""
    for key in keys:
        row = turn.rows.get(RESERVATIONS, key)
        if row is None or row.state is not ACTIVE:
            turn.rows.delete(OPEN, key)
            continue
        every_ms = check_every_ms(row.terms)
        newest.every_ms = min(newest.every_ms or every_ms, every_ms)
        if row.request:
            row.verify_wanted = True
            turn.rows.put(RESERVATIONS, key, row)
            continue
        line = _line(row, *key.decode().split("\0"))
        if line is not None:
            yield line


def _line(row: Reservation, promotion_id: str, sku: str) -> VerifyRequest | None:
    held = row.reserved - row.settled
    if held <= 0:
        return None
    ref = reservation_ref(promotion_id, sku)
    return VerifyRequest(
        promotion_id, sku, row.number, ref, held, row.settled, row.terms.book_sale, False, row.drift_units > 0
    )
