"""What is asked of a cluster, or done to it, before a worker can run: topics and rights."""

from __future__ import annotations

from flashsale.admin.rules import Finding, Severity
from flashsale.admin.topics import Created, check_rights, check_topics, create_topics, require_topics

__all__ = [
    "Created",
    "Finding",
    "Severity",
    "check_rights",
    "check_topics",
    "create_topics",
    "require_topics",
]
