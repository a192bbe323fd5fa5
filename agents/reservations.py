"""The shell of the ledger: sku-commands carry commands only, so decoding is all there is."""

from __future__ import annotations

from streams.ledger.commands import SkuCommand, decode_sku_command


def decode(value: bytes, envelope: bytes | None) -> SkuCommand:
    """A command of `sku-commands`. Raises msgspec's DecodeError or ValidationError for anything else."""
    command: SkuCommand = decode_sku_command(value)
    return command
