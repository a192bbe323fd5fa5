"""`flashsale inspect`: everything that happened to one SKU or one order, in log order, in plain words."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import merge
from typing import Annotated, Any

import msgspec
import typer

from flashsale.cli.console import complain, connected, say, say_json
from flashsale.history.events import sale_events
from flashsale.history.orders import OrderHistory
from flashsale.history.replay import histories
from flashsale.history.step import Searched, Step
from schemas.times import iso_utc

LEFT_WIDTH = 9


def inspect(
    promotion: Annotated[str, typer.Argument(help="The promotion's id.")],
    sku: Annotated[str | None, typer.Argument(help="A SKU of it.")] = None,
    order: Annotated[
        str | None, typer.Option("--order", help="An order's ref, in place of a SKU or together with one.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Everything as one JSON object.")] = False,
) -> int:
    """Print the history; 1 when nothing is found. Raises ConfigurationError."""
    if sku is None and order is None:
        raise typer.BadParameter(
            "name a SKU, or an order with --order; `flashsale report` lists a promotion's SKUs.",
            param_hint="SKU",
        )
    settings = connected()
    if order is not None:
        history = OrderHistory(settings, promotion, order)
        history.find()
        steps, searched = history.steps, history.searched
        if sku is not None:
            steps = [step for step in steps if step.sku in (None, sku)]
    else:
        steps, searched = histories(settings, promotion, [str(sku)])
        if steps:
            events, looked = sale_events(settings, promotion)
            steps, searched = list(merge(events, steps, key=lambda step: step.at_ms)), searched + looked
    (_print_json if json else _print_text)(promotion, sku, order, steps, searched)
    return 0 if steps else 1


def _print_text(
    promotion: str, sku: str | None, order: str | None, steps: Sequence[Step], searched: Sequence[Searched]
) -> None:
    subject = f"order {order}" if order is not None else str(sku)
    if steps:
        say(f"{subject} of {promotion}")
        say(f"{'time':<24}  {'left':>{LEFT_WIDTH}}  what happened")
    for step in steps:
        left = "" if step.left is None else f"{step.left:,}"
        say(f"{iso_utc(step.at_ms)}  {left:>{LEFT_WIDTH}}  {_text(step, order)}")
    if not steps:
        complain(f"Nothing is known of {subject} of {promotion}: check the names.")
    complain(how_far(searched))


def _text(step: Step, order: str | None) -> str:
    """In an order's history the line names the SKU, as an order has several."""
    return step.text if order is None or step.sku is None else f"{step.sku}: {step.text}"


def how_far(searched: Sequence[Searched]) -> str:
    """How far back the logs went that were read."""
    whole = [each for each in searched if each.whole]
    cut = [each for each in searched if not each.whole]
    told = []
    if whole:
        oldest = [each.began_at_ms for each in whole if each.began_at_ms is not None]
        since = f", {iso_utc(min(oldest))}" if oldest else ""
        told.append(f"Read from the beginning{since}: {', '.join(_name(each) for each in whole)}.")
    for each in cut:
        since = "" if each.began_at_ms is None else f" of {iso_utc(each.began_at_ms)}"
        told.append(
            f"{_name(each)} begins with offset {each.begin:,}{since}: what came before was deleted by the "
            "topic's retention, and is not told."
        )
    return " ".join(told)


def _name(searched: Searched) -> str:
    return f"{searched.topic}/{searched.partition}"


def _print_json(
    promotion: str, sku: str | None, order: str | None, steps: Sequence[Step], searched: Sequence[Searched]
) -> None:
    answer: dict[str, Any] = {"promotionId": promotion}
    answer |= {} if sku is None else {"sku": sku}
    answer |= {} if order is None else {"orderRef": order}
    answer["steps"] = [_step(step) for step in steps]
    answer["searched"] = [
        {
            "topic": each.topic,
            "partition": each.partition,
            "fromOffset": each.begin,
            "from": None if each.began_at_ms is None else iso_utc(each.began_at_ms),
            "whole": each.whole,
        }
        for each in searched
    ]
    say_json(msgspec.json.encode(answer).decode())


def _step(step: Step) -> dict[str, Any]:
    fields = {
        "sku": step.sku,
        "orderRef": step.order_ref,
        "quantity": step.units,
        "reason": step.reason,
        "left": step.left,
    }
    place = {"topic": step.topic, "partition": step.partition, "offset": step.offset}
    told = {name: value for name, value in fields.items() if value is not None}
    return {"at": iso_utc(step.at_ms), **place, "kind": step.kind, **told, "text": step.text}
