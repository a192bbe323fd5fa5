"""The worker process that a supervisor starts: `python -m flashsale.worker`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from flashsale.supervisor.exits import CONFIGURATION, NO_BROKER, ORPHANED
from flashsale.worker.allocator import share_arenas
from streams.settings import ConfigurationError, NoBrokerError, load_settings
from streams.system import end_with


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one worker until SIGTERM, then end the process with the status that says how it went."""
    given = _parser().parse_args(arguments)
    share_arenas()
    end_with(given.pipe, ORPHANED)
    try:
        settings = load_settings(os.environ)
        # Faust takes a second to import: a wrong configuration is told before that.
        from flashsale.worker.process import run

        run(settings, given.health_port, health_host=given.health_host)
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(NO_BROKER if isinstance(error, NoBrokerError) else CONFIGURATION)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m flashsale.worker", description=__doc__)
    parser.add_argument("--pipe", type=int, required=True, help="closes when the supervisor ends")
    parser.add_argument("--health-port", type=int)
    parser.add_argument("--health-host", default="127.0.0.1")
    return parser


if __name__ == "__main__":
    main()
