"""What decoding bytes raises that somebody else has written."""

from __future__ import annotations

UNREADABLE: tuple[type[Exception], ...] = (ValueError, RecursionError)
"""msgspec's own errors are ValueErrors, and so is the UnicodeDecodeError that it raises for a text that is
not UTF-8 (no MsgspecError). RecursionError comes from lists that lie thousands deep in one another."""
