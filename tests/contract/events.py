"""Makes input events, as bytes, with one thing different from a good one."""

from __future__ import annotations

import json
from typing import Any

GOOD_LINE = {"sku": "SKU-001", "quantity": 2}


def order(**changes: Any) -> bytes:
    """An `order-placed` or `order-cancelled` value; a change to ... leaves the field out."""
    return _event("order", {"ref": "ORD-1", "promotionId": "FLASH-1", "items": [GOOD_LINE]}, changes)


def promotion(**changes: Any) -> bytes:
    """A `promotion-start` or `promotion-end` value; a change to ... leaves the field out."""
    return _event("promotion", {"id": "FLASH-1", "skus": [{"sku": "SKU-001", "quantity": 100}]}, changes)


def _event(name: str, good: dict[str, Any], changes: dict[str, Any]) -> bytes:
    fields = {field: value for field, value in (good | changes).items() if value is not ...}
    return json.dumps({name: fields}).encode()
