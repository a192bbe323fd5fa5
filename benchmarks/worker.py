"""The worker of the product, without supervisor, with the stages that are named (all when none is)."""

from __future__ import annotations

import sys

from flashsale.worker.process import run
from schemas.topics import INPUTS, STAGES
from streams.settings import load_settings


def main() -> None:
    """`python -m benchmarks.worker PORT [STAGE…]`"""
    port, stages = int(sys.argv[1]), sys.argv[2:]
    run(load_settings(), port, tuple(stages) or (*INPUTS, *STAGES))


if __name__ == "__main__":
    main()
