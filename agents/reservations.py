"""The agent of `sku-commands`, the ledger's log: commands only, decided by the reservations core."""

from __future__ import annotations

import faust

from agents.shell import CommandStage, WireName, channel, decide
from schemas.topics import SKU_COMMANDS
from streams.engine.host.app import EngineApp
from streams.ledger import reservations as core
from streams.ledger.commands import SkuCommand, decode_sku_command


def register(app: EngineApp) -> None:
    """Let `app` decide what comes in on `sku-commands`."""

    @app.agent(channel(app, SKU_COMMANDS), name=SKU_COMMANDS)
    async def reservations(stream: faust.StreamT[bytes]) -> None:
        async for event in stream.events():
            await decide(app, event)


def stage(wire_name: WireName) -> CommandStage:
    """Decodes each record of `sku-commands` and lets the ledger decide."""
    return CommandStage(SKU_COMMANDS, wire_name(SKU_COMMANDS), decode, {}, core)


def decode(value: bytes, envelope: bytes | None) -> SkuCommand:
    """A command of `sku-commands`. Raises `msgspec.MsgspecError` for anything else."""
    command: SkuCommand = decode_sku_command(value)
    return command
