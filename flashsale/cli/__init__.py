"""The `flashsale` command. What a command needs is imported when it runs, so that `--help` is quick."""

from __future__ import annotations

from flashsale.cli.entrance import main

__all__ = ["main"]
