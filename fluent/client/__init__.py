"""GraphQL over HTTP with Fluent: login, limits, batches and errors, nothing about stock."""

from __future__ import annotations

from fluent.client.client import FluentClient
from fluent.client.documents import DocumentError, Operation

__all__ = ["DocumentError", "FluentClient", "Operation"]
