"""Tokens for aiokafka and Faust. A module of its own: aiokafka takes a while to import."""

from __future__ import annotations

import asyncio

from aiokafka.abc import AbstractTokenProvider

from streams.kafka.tokens import Tokens


class TokenProvider(AbstractTokenProvider):  # type: ignore[misc]
    """Gives aiokafka its token, without keeping the event loop waiting."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    async def token(self) -> str:
        """A token that is valid. Raises TokenRefused."""
        return (await asyncio.to_thread(self._tokens.current)).text
