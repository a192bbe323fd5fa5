"""Reconciliation on request: what a promotion holds in Fluent beside what it should hold, and the repair."""

from __future__ import annotations

from fluent.reconcile.expected import AskedBook, Expectation, expectations
from fluent.reconcile.findings import Finding, Seen
from fluent.reconcile.reconciler import Compared, Mutation, Reconciler, Repair

__all__ = [
    "AskedBook",
    "Compared",
    "Expectation",
    "Finding",
    "Mutation",
    "Reconciler",
    "Repair",
    "Seen",
    "expectations",
]
