"""`python -m streams.cli` is `flashsale`."""

from __future__ import annotations

from streams.cli import main

main()
