"""An auditor that trusts nobody: it reads the topics and Fluent, and adds up."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.support.system import Message, System

Key = tuple[str, str]


def key_of(outcome: Any) -> Key:
    """(order ref, promotion) of an outcome."""
    return outcome["orderRef"], outcome["promotionId"]


@dataclass
class Audit:
    """What the topics say about a sale. `taken` is units by (promotion, SKU), net of cancels."""

    outcomes: list[Message]
    decided: dict[Key, set[bytes]] = field(default_factory=lambda: defaultdict(set))
    answered: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    taken: Counter[Key] = field(default_factory=Counter)
    order_of: dict[Key, Message] = field(default_factory=dict)

    def decided_twice(self) -> list[Key]:
        """Orders with two different records of the same revision."""
        return [key for key, values in self.decided.items() if len(values) > 1]

    def answered_twice(self) -> list[tuple[str, str, str]]:
        """Input records that two outcome records answer."""
        return [source for source, count in self.answered.items() if count > 1]


def audit(system: System) -> Audit:
    """Read all outcomes of a system and fold them."""
    return fold(system.read("order-outcomes"))


def fold(outcomes: list[Message]) -> Audit:
    """What these outcomes say together."""
    found = Audit(outcomes)
    newest: dict[Key, Any] = {}
    for message in found.outcomes:
        outcome = message.json
        key, headers = key_of(outcome), message.headers
        found.answered[(headers["source-topic"], headers["source-partition"], headers["source-offset"])] += 1
        if outcome["revision"] == 1:
            found.decided[key].add(message.value)
            found.order_of.setdefault(key, message)
        known = newest.get(key)
        if known is None or outcome["revision"] >= known["revision"]:
            newest[key] = outcome
    for (_, promotion), outcome in newest.items():
        for line in outcome["consumeResults"]:
            if line["consumed"]:
                found.taken[(promotion, line["sku"])] += line["quantity"]
    _take_back(found)
    return found


def _take_back(found: Audit) -> None:
    seen: set[bytes] = set()
    for message in found.outcomes:
        outcome = message.json
        if message.value in seen or "cancelResults" not in outcome:
            continue
        seen.add(message.value)
        for line in outcome["cancelResults"]:
            if line["cancelled"]:
                found.taken[(outcome["promotionId"], line["sku"])] -= line["quantity"]


def final_report(system: System, promotion: str) -> dict[str, Any] | None:
    """The newest FINAL report of a promotion with the lines of all its pages, or None."""
    pages: dict[int, dict[int, Any]] = defaultdict(dict)
    for message in system.read("reconciliation-reports"):
        report = message.json
        if report["promotionId"] == promotion and report["kind"] == "FINAL":
            pages[report["revision"]][report["page"]] = report
    for revision in sorted(pages, reverse=True):
        found = pages[revision]
        first = next(iter(found.values()))
        if len(found) == first["pages"]:
            lines = [line for page in sorted(found) for line in found[page]["lines"]]
            return {**first, "lines": lines}
    return None


def newest_figures(system: System) -> dict[tuple[str, str], dict[str, Any]]:
    """The newest record of `sale-figures` for each SKU of each promotion."""
    return {(m.json["promotionId"], m.json["sku"]): m.json for m in system.read("sale-figures")}


def promotion_start(promotion: str, stock: dict[str, int], **more: Any) -> dict[str, Any]:
    """A promotion-start event."""
    skus = [{"sku": sku, "quantity": quantity} for sku, quantity in stock.items()]
    return {"promotion": {"id": promotion, "skus": skus, **more}}


def order(ref: str, promotion: str, *items: tuple[str, int]) -> dict[str, Any]:
    """An order-placed (or, with other content, order-cancelled) event."""
    lines = [{"sku": sku, "quantity": quantity} for sku, quantity in items]
    return {"order": {"ref": ref, "promotionId": promotion, "items": lines}}


def refs(messages: Iterable[Message]) -> list[str]:
    """The order refs of outcome messages."""
    return [message.json["orderRef"] for message in messages]
