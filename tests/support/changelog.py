"""What the changelog folds to, read as an outsider would: last record of each key."""

from __future__ import annotations

from schemas.topics import TASK_CHANGELOG
from streams.ledger.reservations.state import RESERVATIONS
from tests.support.system import System


def folded(system: System) -> dict[bytes, bytes]:
    """Rows by physical key, tombstones applied, partitions together."""
    rows: dict[bytes, bytes] = {}
    for message in system.read(TASK_CHANGELOG):
        key = message.key or b""
        if message.value:
            rows[key] = message.value
        else:
            rows.pop(key, None)
    return rows


def claimed_in_changelog(system: System) -> dict[tuple[str, str], int]:
    """Units claimed (net of cancels) by (promotion, SKU), as the ledger's own rows say."""
    claimed: dict[tuple[str, str], int] = {}
    prefix = RESERVATIONS.prefix
    for key, value in folded(system).items():
        if key.startswith(prefix):
            promotion, _, sku = key[len(prefix) :].decode().partition("\0")
            units = RESERVATIONS.decode(value).claimed
            if units:
                claimed[(promotion, sku)] = units
    return claimed
