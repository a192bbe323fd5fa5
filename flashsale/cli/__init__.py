"""The `flashsale` command: commands.py lists them all, each stands in a module of its own."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the `flashsale` command and end the process.

    Status 0: fine. 1: it ran, and the answer is bad. 2: bad usage, configuration, or no connection: one
    sentence on standard error. 130: interrupted.
    """
    try:
        # Imported here, so that Ctrl-C is no traceback while Typer is loaded either.
        from flashsale.cli.commands import run

        status = run(sys.argv[1:] if arguments is None else list(arguments))
    except KeyboardInterrupt:
        status = INTERRUPTED
    sys.exit(status)
