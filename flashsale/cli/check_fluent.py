"""Fluent's part of `flashsale check`: login, catalogue, fields used, a SKU's positions and availability."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from flashsale.cli.lines import Line, State
from fluent import Gateway, ProfileError
from fluent.check import CheckLine, check_fluent
from streams.settings import ConfigurationError, Settings


def fluent_lines(settings: Settings, sku: str | None) -> Iterator[Line]:
    """One line for everything that was tried; a SKU is looked at where one is given."""
    try:
        settings.require_fluent()
    except ConfigurationError as error:
        yield Line(State.FAILED, "Fluent login", str(error), not_configured=True)
        return
    try:
        found = asyncio.run(_asked(settings, sku))
    except ProfileError as error:
        yield Line(State.FAILED, "Fluent documents", str(error))
        return
    for line in found:
        yield Line(State.OK if line.ok else State.FAILED, line.name, line.detail, line.remedy)


async def _asked(settings: Settings, sku: str | None) -> list[CheckLine]:
    async with Gateway.from_settings(settings.fluent, settings.config) as gateway:
        return await check_fluent(gateway, sku)
