"""Records of the topics that a sale's page is made of, and their arrival at a bridge."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from bridge.records import Arrival
from bridge.sale.sales import Sales
from schemas.examples import RECONCILIATION_REPORTS, SALE_FIGURES

NOW_MS = 1_800_000_000_000
AT = "2027-01-15T08:00:{:06.3f}Z"
"""NOW_MS, with seconds to fill in."""

EXPIRES_AT = "2027-01-15T10:00:00.000Z"
Record = tuple[str, Mapping[str, Any]]
COUNTS = ("consumed", "cancelled", "released", "rejectedUnits", "rejectedOrders")


def at(seconds: float = 0) -> str:
    """So many seconds after NOW_MS."""
    return AT.format(seconds)


def figures(
    sku: str, promotion: str = "P", status: str = "ACTIVE", seconds: float = 0, **counts: int
) -> dict[str, Any]:
    """Value of `sale-figures`: 10 units, none of them sold."""
    identity = {"promotionId": promotion, "sku": sku, "status": status}
    units = {"reserved": 10, **dict.fromkeys(COUNTS, 0), **counts}
    value = {**identity, **units, "expiresAt": EXPIRES_AT, "at": at(seconds)}
    assert value.keys() == dict(SALE_FIGURES[0]).keys()  # type: ignore[arg-type]
    return value


def line(sku: str, held: int = 10, drift: int = 0, **more: Any) -> dict[str, Any]:
    """A line of a report: 10 units, none of them sold."""
    fluent = {"ref": f"FS-{sku}", "status": "ACTIVE", "held": held, "checkedAt": at(1)}
    return {"sku": sku, "reserved": 10, **dict.fromkeys(COUNTS, 0), "fluent": fluent, "drift": drift, **more}


def report(
    *lines: Mapping[str, Any],
    promotion: str = "P",
    kind: str = "INTERIM",
    status: str = "ACTIVE",
    seconds: float = 0,
    page: int = 1,
    pages: int = 1,
) -> dict[str, Any]:
    """Value of `reconciliation-reports`."""
    names = ("reserved", *COUNTS, "drift")
    value = {
        "promotionId": promotion,
        "kind": kind,
        "status": status,
        "lines": list(lines),
        "totals": {name: sum(each[name] for each in lines) for name in names},
        "page": page,
        "pages": pages,
        "revision": 1,
        "generatedAt": at(seconds),
    }
    assert value.keys() <= dict(RECONCILIATION_REPORTS[0]).keys()  # type: ignore[arg-type]
    return value


def results(*reserved: str, refused: Iterable[str] = (), promotion: str = "P") -> dict[str, Any]:
    """Value of `promotion-results`: 10 units of each SKU."""
    held = [
        {"promotionId": promotion, "sku": sku, "success": True, "reservationRef": f"FS-{sku}", "quantity": 10}
        | {"expiresAt": EXPIRES_AT}
        for sku in reserved
    ]
    not_held = [
        {"promotionId": promotion, "sku": sku, "success": False, "error": "4 are available"}
        | {"reason": "INSUFFICIENT_INVENTORY", "recommendation": "Ask for fewer."}
        for sku in refused
    ]
    summary = {"success": len(held), "errors": len(not_held)}
    pages = {"summary": summary, "page": 1, "pages": 1}
    return {"promotionId": promotion, "reservations": [*held, *not_held], **pages}


def outcome(ref: str, *reasons: str, promotion: str = "P", revision: int = 1) -> dict[str, Any]:
    """Value of `order-outcomes`: a line served, or one for each of these reasons."""
    refusal = {"consumed": False, "recommendation": "Buy less."}
    lines = [{"sku": "S", "quantity": 1, **refusal, "reason": reason} for reason in reasons]
    return {
        "orderRef": ref,
        "promotionId": promotion,
        "outcome": "REJECTED" if reasons else "ACCEPTED",
        "consumeResults": lines or [{"sku": "S", "quantity": 1, "consumed": True}],
        "decidedAt": at(),
        "revision": revision,
    }


def arrival(topic: str, value: Mapping[str, Any], at_ms: int = NOW_MS) -> Arrival:
    """A record of `topic` as it comes out of the broker."""
    return Arrival(topic, "", json.dumps(value).encode(), None, {}, at_ms)


def told(*records: Record, at_ms: int = NOW_MS, settled: bool = True) -> Sales:
    """Sales that were told these records, all of `at_ms`."""
    sales = Sales()
    for topic, value in records:
        sales.arrived(arrival(topic, value, at_ms))
    if settled:
        assert not sales.settle(at_ms, is_caught_up=True)
    return sales
