"""What a shop tells us about orders: `order-placed` and `order-cancelled`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from schemas.fields import MAX_LINES, Item, Lines, Message, Ref, summed

OrderLines = Annotated[tuple[Item, ...], Field(min_length=1, max_length=MAX_LINES, fail_fast=True)]


class PlacedOrder(Message):
    """An order's part that touches one promotion."""

    ref: Ref
    promotion_id: Ref
    items: OrderLines


class CancelledOrder(Message):
    """What to give back; without `items` the whole order. A null counts as absent."""

    ref: Ref
    promotion_id: Ref
    cancellation_ref: Ref | None = None
    items: OrderLines | None = None


class OrderPlaced(Message):
    """Value of `order-placed`: an order takes units of a promotion."""

    order: PlacedOrder

    @property
    def identity(self) -> tuple[str, str]:
        """(order ref, promotion id): a basket that touches two promotions is two events."""
        return self.order.ref, self.order.promotion_id

    def normalised_items(self) -> Lines:
        """(sku, units) with equal SKUs summed, in first-seen order."""
        return summed(self.order.items)


class OrderCancelled(Message):
    """Value of `order-cancelled`: an order, or part of it, gives units back."""

    order: CancelledOrder

    @property
    def identity(self) -> tuple[str, str]:
        """(order ref, promotion id) of the order that is meant."""
        return self.order.ref, self.order.promotion_id

    def normalised_items(self) -> Lines:
        """(sku, units) with equal SKUs summed, in first-seen order; empty for the whole order."""
        return summed(self.order.items) if self.order.items else ()
