"""`python -m flashsale.cli` is `flashsale`."""

from __future__ import annotations

from flashsale.cli import main

main()
