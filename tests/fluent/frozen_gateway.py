"""A gateway process that freezes (SIGSTOP) between its decision to send a call and the send itself.

Arguments: base URL, the operation at which to freeze, and the request (hexadecimal). Started by
test_late_writes.py, which wakes it up with SIGCONT.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from fluent import FluentOptions, Gateway
from streams.ledger.fluent_requests import decode_request
from tests.fluent.support import Network


async def run(base_url: str, operation: str, encoded: str) -> None:
    """Handles the request; the lease is checked before the freeze, as it would be in a worker."""

    def freeze(_: int, body: bytes) -> None:
        if operation.encode() in body:
            os.kill(os.getpid(), signal.SIGSTOP)

    options = FluentOptions(
        base_url=base_url, account="SIM", client_id="simulator", client_secret="simulator",
        username="simulator", password="simulator", max_retries=0, read_back_pause_s=0.05,
    )  # fmt: skip
    async with Gateway(options, transport=Network(before_call=freeze)) as gateway:
        await gateway.handle(decode_request(bytes.fromhex(encoded)))


if __name__ == "__main__":
    asyncio.run(run(*sys.argv[1:]))
