"""When the ledger heard of ends: read from its log."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from streams.ledger.commands import End, decode_sku_command
from tests.audit.evidence import Subject


def ends_known_ms(log: Iterable[tuple[int, bytes]]) -> dict[Subject, int]:
    """By reservation, when its last End was appended; `log` are times and values of `sku-commands`."""
    known: dict[Subject, int] = {}
    for at_ms, value in log:
        try:
            command = decode_sku_command(value)
        except msgspec.MsgspecError:
            continue  # somebody else's record, which is a dead letter
        if isinstance(command, End):
            subject = command.promotion_id, command.sku
            known[subject] = max(at_ms, known.get(subject, at_ms))
    return known
