"""What is asked of a cluster, or done to it, before a worker can run: topics and rights."""

from __future__ import annotations

from flashsale.admin.findings import Finding, Severity
from flashsale.admin.rights import check_rights
from flashsale.admin.topics import Created, check_topics, create_topics, require_topics

__all__ = [
    "Created",
    "Finding",
    "Severity",
    "check_rights",
    "check_topics",
    "create_topics",
    "require_topics",
]
