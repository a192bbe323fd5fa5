"""References as they may stand in JSON, where every character may be escaped; some encoders escape many."""

from __future__ import annotations

import re

SHORT = '"\\/'
"""What JSON escapes by a backslash alone, of what a reference may have."""


def spelling(name: str) -> bytes:
    """A regular expression for each way to write a reference."""
    return b"".join(map(_ways, name))


def _ways(char: str) -> bytes:
    plain, units = char.encode(), char.encode("utf-16-be")
    pairs = (units[place : place + 2].hex().encode() for place in range(0, len(units), 2))
    ways = [re.escape(plain), b"".join(rb"\\u(?i:%b)" % pair for pair in pairs)]
    if char in SHORT:
        ways.append(re.escape(b"\\" + plain))
    return b"(?:%b)" % b"|".join(ways)
