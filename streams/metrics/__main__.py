"""`python -m streams.metrics` writes docs/metrics.md."""

from __future__ import annotations

from streams.metrics.page import PATH, page

PATH.write_text(page(), encoding="utf-8")
