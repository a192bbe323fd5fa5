"""One example for each shape that a message can take; the documents carry them, the tests validate them."""

from __future__ import annotations

from pydantic import JsonValue

from schemas.reasons import MEANINGS, RECOMMENDATIONS, Reason

_PROMOTION = "FLASH-2025-11-28"
_STEM = "FS-FLASH-2025-11-28-SKU-001-3cd40c8f"

PROMOTION_STARTS: tuple[JsonValue, ...] = (
    {
        "promotion": {
            "id": _PROMOTION,
            "skus": [{"sku": "SKU-001", "quantity": 100}, {"sku": "SKU-002", "quantity": 50}],
            "durationMinutes": 120,
            "attributes": {"channel": "WEB", "discountPercent": 30},
        }
    },
    {
        "promotion": {
            "ref": _PROMOTION,
            "skus": [{"sku": "SKU-001", "quantity": 100}],
            "expiresAt": "2025-11-28T11:00:00+01:00",
        }
    },
)

PROMOTION_ENDS: tuple[JsonValue, ...] = ({"promotion": {"id": _PROMOTION, "reason": "wrong price"}},)

ORDERS_PLACED: tuple[JsonValue, ...] = (
    {
        "order": {
            "ref": "ORD-5001",
            "promotionId": _PROMOTION,
            "items": [{"sku": "SKU-001", "quantity": 2}, {"sku": "SKU-002", "quantity": 1}],
        }
    },
)

ORDERS_CANCELLED: tuple[JsonValue, ...] = (
    {"order": {"ref": "ORD-5001", "promotionId": _PROMOTION}},
    {
        "order": {
            "ref": "ORD-5001",
            "promotionId": _PROMOTION,
            "cancellationRef": "RMA-7",
            "items": [{"sku": "SKU-001", "quantity": 1}],
        }
    },
)

_RESERVED: JsonValue = {
    "promotionId": _PROMOTION,
    "sku": "SKU-001",
    "success": True,
    "reservationRef": _STEM,
    "quantity": 100,
    "expiresAt": "2025-11-28T11:00:00.000Z",
}
_NOT_RESERVED: JsonValue = {
    "promotionId": _PROMOTION,
    "sku": "SKU-002",
    "success": False,
    "error": MEANINGS[Reason.INSUFFICIENT_INVENTORY],
    "reason": "INSUFFICIENT_INVENTORY",
    "recommendation": RECOMMENDATIONS[Reason.INSUFFICIENT_INVENTORY],
}

RESERVATION_RESULTS: tuple[JsonValue, ...] = (_RESERVED, _NOT_RESERVED)

PROMOTION_RESULTS: tuple[JsonValue, ...] = (
    {
        "promotionId": _PROMOTION,
        "reservations": [_RESERVED, _NOT_RESERVED],
        "summary": {"success": 1, "errors": 1},
        "page": 1,
        "pages": 1,
    },
)

_CONSUMED: list[JsonValue] = [
    {"sku": "SKU-001", "quantity": 2, "consumed": True},
    {
        "sku": "SKU-002",
        "quantity": 1,
        "consumed": False,
        "reason": "NO_RESERVATION",
        "recommendation": RECOMMENDATIONS[Reason.NO_RESERVATION],
    },
]

ORDER_OUTCOMES: tuple[JsonValue, ...] = (
    {
        "orderRef": "ORD-5001",
        "promotionId": _PROMOTION,
        "outcome": "PARTIAL",
        "consumeResults": _CONSUMED,
        "decidedAt": "2025-11-28T09:00:04.217Z",
        "revision": 1,
    },
    {
        "orderRef": "ORD-5001",
        "promotionId": _PROMOTION,
        "outcome": "PARTIAL",
        "consumeResults": _CONSUMED,
        "decidedAt": "2025-11-28T09:12:31.006Z",
        "revision": 2,
        "cancelResults": [{"sku": "SKU-001", "quantity": 1, "cancelled": True}],
        "cancellationRef": "RMA-7",
    },
    {
        "orderRef": "ORD-404",
        "promotionId": _PROMOTION,
        "outcome": "REJECTED",
        "reason": "NO_ORDER",
        "consumeResults": [],
        "decidedAt": "2025-11-28T09:13:00.500Z",
        "revision": 1,
        "cancelResults": [{"sku": "SKU-001", "quantity": 1, "cancelled": False, "reason": "NO_ORDER"}],
    },
)

RESERVATION_RELEASES: tuple[JsonValue, ...] = (
    {
        "promotionId": _PROMOTION,
        "sku": "SKU-001",
        "reservationRef": _STEM,
        "reserved": 100,
        "consumed": 83,
        "released": 17,
        "cause": "EXPIRED",
        "releasedAt": "2025-11-28T11:00:02.431Z",
    },
)

SALE_FIGURES: tuple[JsonValue, ...] = (
    {
        "promotionId": _PROMOTION,
        "sku": "SKU-001",
        "status": "ACTIVE",
        "reserved": 100,
        "consumed": 41,
        "cancelled": 2,
        "released": 0,
        "rejectedUnits": 0,
        "rejectedOrders": 0,
        "expiresAt": "2025-11-28T11:00:00.000Z",
        "at": "2025-11-28T09:04:17.208Z",
    },
)

RECONCILIATION_REPORTS: tuple[JsonValue, ...] = (
    {
        "promotionId": _PROMOTION,
        "kind": "FINAL",
        "status": "CLOSED",
        "lines": [
            {
                "sku": "SKU-001",
                "reserved": 100,
                "consumed": 83,
                "cancelled": 4,
                "released": 17,
                "rejectedUnits": 0,
                "rejectedOrders": 0,
                "fluent": {
                    "ref": _STEM,
                    "status": "INACTIVE",
                    "held": 0,
                    "checkedAt": "2025-11-28T11:00:02.431Z",
                },
                "drift": 0,
            }
        ],
        "totals": {
            "reserved": 100,
            "consumed": 83,
            "cancelled": 4,
            "released": 17,
            "rejectedUnits": 0,
            "rejectedOrders": 0,
            "drift": 0,
        },
        "page": 1,
        "pages": 1,
        "revision": 1,
        "generatedAt": "2025-11-28T11:00:07.440Z",
    },
)
