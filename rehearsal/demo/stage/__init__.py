"""The processes of the demo: Kafka, the Fluent simulator, the workers; all gone at the end."""

from __future__ import annotations

from rehearsal.demo.stage.processes import StageError
from rehearsal.demo.stage.stage import Stage

__all__ = ["Stage", "StageError"]
