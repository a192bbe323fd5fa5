"""The rehearsed sale: a real morning's orders, replayed to a rush on a real Kafka, and proven afterwards."""

from __future__ import annotations

from rehearsal.demo.course import main

__all__ = ["main"]
