"""A worker that freezes (SIGSTOP) once, in the middle of sending an operation to Fluent.

`python tests/support/freezing_worker.py CreatePart`: everything has been decided and checked by then, the
lease included; the headers of the request are out, its body is not. SIGCONT sends it, however late that is.
"""

from __future__ import annotations

import os
import signal
import sys
from asyncio.selector_events import _SelectorSocketTransport as SocketTransport  # type: ignore[attr-defined]
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from flashsale.worker.process import run
from streams.settings import load_settings


def freeze_before(operation: bytes) -> None:
    """Stop this process right before the first bytes that name the operation go to a socket."""
    write = SocketTransport.write
    waiting = [operation]

    def frozen(transport: Any, data: Any) -> None:
        if waiting and b'"operationName":"' + waiting[0] in bytes(data):
            waiting.clear()
            os.kill(os.getpid(), signal.SIGSTOP)
        write(transport, data)

    SocketTransport.write = frozen


if __name__ == "__main__":
    freeze_before(sys.argv[1].encode())
    run(load_settings(), None)
