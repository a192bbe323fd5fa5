"""Hold: all units or none, at deterministic places, under refs that make any repeat harmless."""

from __future__ import annotations

import httpx
import msgspec
import pytest

from fluent import Gateway
from fluent.parts import hold_attributes, left_by_part, shed, sold_by_part, spread
from streams.ledger.commands import HoldConfirmed, HoldFailed
from tests.fluent.conftest import NewGateway
from tests.fluent.support import EXPIRES_AT_MS, Network, Requests, live, written
from tests.support.fluent import FluentSimulator


async def test_a_hold_is_spread_over_positions_in_order_of_their_refs(
    simulator: FluentSimulator, gateway: Gateway, two: Requests
) -> None:
    assert await gateway.handle(two.hold(100)) == HoldConfirmed(two.promotion, two.sku, 1, 100)
    assert live(simulator, two.sku) == {f"{two.ref}-1": 60, f"{two.ref}-2": 40}


async def test_a_repeated_hold_changes_nothing(
    simulator: FluentSimulator, gateway: Gateway, two: Requests
) -> None:
    hold = two.hold(100)
    first = await gateway.handle(hold)
    changes = simulator.journal(sku=two.sku)["last"]
    assert await gateway.handle(hold) == first
    assert written(simulator, changes, two.sku) == []


async def test_too_little_stock_holds_nothing_and_says_how_much_there_is(
    simulator: FluentSimulator, gateway: Gateway, two: Requests
) -> None:
    answer = await gateway.handle(two.hold(121))
    assert isinstance(answer, HoldFailed)
    assert (answer.reason, answer.error) == ("INSUFFICIENT_INVENTORY", "requested 121, available 120")
    assert simulator.truth(two.sku)["holds"] == []


async def test_an_unknown_sku_is_named(gateway: Gateway) -> None:
    answer = await gateway.handle(Requests("NO-SUCH-SKU").hold(1))
    assert isinstance(answer, HoldFailed)
    assert answer.reason == "INSUFFICIENT_INVENTORY"
    assert "no ACTIVE position for SKU NO-SUCH-SKU" in answer.error


@pytest.mark.parametrize("count_soft_reserve", [False, True])
@pytest.mark.parametrize("recalculate_on_hand", [False, True])
async def test_on_hand_is_never_trusted(
    simulator: FluentSimulator,
    gateway: Gateway,
    one: Requests,
    recalculate_on_hand: bool,
    count_soft_reserve: bool,
) -> None:
    """Whatever the account's workflow does to onHand, two promotions get no more than there is."""
    simulator.control(recalculate_on_hand=recalculate_on_hand, count_soft_reserve=count_soft_reserve)
    other = Requests(one.sku, "FLASH-2")
    assert isinstance(await gateway.handle(one.hold(70)), HoldConfirmed)
    refused = await gateway.handle(other.hold(40))
    assert isinstance(refused, HoldFailed) and refused.error == "requested 40, available 30"
    assert isinstance(await gateway.handle(Requests(one.sku, "FLASH-3").hold(30)), HoldConfirmed)


async def test_every_page_of_positions_counts_and_more_parts_than_a_window_are_found_again(
    simulator: FluentSimulator, gateway: Gateway
) -> None:
    """120 stores of 2 units: three pages of positions, and a hold of 100 parts in seven windows of refs."""
    many = Requests("MANY")
    hold = many.hold(199)
    assert await gateway.handle(hold) == HoldConfirmed(many.promotion, "MANY", 1, 199)
    assert len(live(simulator, "MANY")) == 100
    assert simulator.truth("MANY")["available"] == 41
    assert await gateway.handle(hold) == HoldConfirmed(many.promotion, "MANY", 1, 199)
    await gateway.handle(many.release())
    assert live(simulator, "MANY") == {}


async def test_a_ref_of_another_promotion_is_a_conflict_and_left_alone(
    simulator: FluentSimulator, gateway: Gateway, one: Requests
) -> None:
    theirs = {"name": "promotion_id", "type": "STRING", "value": "OTHER"}
    simulator.quantity(
        f"{one.ref}-1", sku=one.sku, location="LOC-1", type="SOFT_RESERVE", quantity=-5, attributes=[theirs]
    )
    answer = await gateway.handle(one.hold(10))
    assert isinstance(answer, HoldFailed)
    assert answer.reason == "CONFLICT" and "belongs to promotion OTHER" in answer.error
    await gateway.handle(one.release())
    assert live(simulator, one.sku) == {f"{one.ref}-1": 5}


async def test_what_was_made_beside_another_promotions_ref_ends_with_the_conflict(
    simulator: FluentSimulator, gateway: Gateway, two: Requests
) -> None:
    theirs = {"name": "promotion_id", "type": "STRING", "value": "OTHER"}
    simulator.next("staleRead", match="FindParts", contains=two.ref)
    simulator.control(stale_ms=60_000)
    simulator.quantity(
        f"{two.ref}-2", sku=two.sku, location="LOC-2", type="SOFT_RESERVE", quantity=-5, attributes=[theirs]
    )
    answer = await gateway.handle(two.hold(100))
    assert isinstance(answer, HoldFailed) and answer.reason == "CONFLICT"
    assert live(simulator, two.sku) == {f"{two.ref}-2": 5}


@pytest.mark.parametrize("profile", ["inventory-quantity", "template"])
async def test_a_hold_of_another_quantity_is_a_conflict_that_names_both_figures(
    simulator: FluentSimulator, new_gateway: NewGateway, two: Requests, profile: str
) -> None:
    """A former run under the same promotion id held 115 units, which Fluent still has."""
    gateway = new_gateway(profile=profile)
    assert isinstance(await gateway.handle(two.hold(115)), HoldConfirmed)
    for asked in (100, 120):
        answer = await gateway.handle(two.hold(asked))
        assert isinstance(answer, HoldFailed) and answer.reason == "CONFLICT"
        assert "115 units" in answer.error and f"were {asked}" in answer.error
    assert sum(live(simulator, two.sku).values()) == 115, "it is left alone"


async def test_a_hold_of_the_same_quantity_but_of_another_time_is_another_runs(
    gateway: Gateway, one: Requests
) -> None:
    """Of its 100 units 60 are sold: it would confirm 100 where Fluent holds 40."""
    former = msgspec.structs.replace(one.hold(100), expires_at_ms=EXPIRES_AT_MS - 86_400_000)
    assert isinstance(await gateway.handle(former), HoldConfirmed)
    await gateway.handle(one.settle(40, 60))
    answer = await gateway.handle(one.hold(100))
    assert isinstance(answer, HoldFailed) and answer.reason == "CONFLICT"
    assert "2030-03-16T17:46:40.000Z" in answer.error and "2030-03-17T17:46:40.000Z" in answer.error


async def test_what_another_run_has_begun_is_not_made_into_this_ones_hold(
    simulator: FluentSimulator, gateway: Gateway, new_gateway: NewGateway, one: Requests
) -> None:
    former = msgspec.structs.replace(one.hold(60), expires_at_ms=EXPIRES_AT_MS - 86_400_000)
    dying = new_gateway(transport=Network(cut_at=4, deliver=True), max_retries=0)
    assert await dying.handle(former) is None
    assert live(simulator, one.sku) == {f"{one.ref}-1": 60}
    answer = await gateway.handle(one.hold(100))
    assert isinstance(answer, HoldFailed) and answer.reason == "CONFLICT"
    assert "60 units" in answer.error and "were 100" in answer.error


@pytest.mark.parametrize("profile", ["inventory-quantity", "template"])
@pytest.mark.parametrize("before", ["CheckPart", "ConfirmPart"])
async def test_a_part_that_was_ended_before_the_read_back_confirms_nothing(
    simulator: FluentSimulator, new_gateway: NewGateway, two: Requests, profile: str, before: str
) -> None:
    """A late write of a former owner ends what was just created: nothing is held, so nothing is confirmed."""
    ended: list[str] = []

    def end_one(_: int, body: bytes) -> None:
        create_is_over = b"CreatePart" not in body and bool(live(simulator, two.sku))
        if not ended and create_is_over and (before.encode() in body or profile == "template"):
            ended.append(f"{two.ref}-1")
            simulator.quantity(ended[0], status="INACTIVE")

    gateway = new_gateway(profile=profile, transport=Network(before_call=end_one))
    answer = await gateway.handle(two.hold(100))
    assert ended
    assert isinstance(answer, HoldFailed) and "given up" in answer.error
    assert live(simulator, two.sku) == {}


async def test_a_hold_that_was_ended_is_never_revived(
    simulator: FluentSimulator, gateway: Gateway, two: Requests
) -> None:
    """A late repeat of the hold finds INACTIVE parts: it confirms nothing, and holds nothing."""
    hold = two.hold(100)
    await gateway.handle(hold)
    await gateway.handle(two.release())
    answer = await gateway.handle(hold)
    assert isinstance(answer, HoldFailed) and "given up" in answer.error
    assert live(simulator, two.sku) == {}


async def test_a_late_repeat_of_a_confirmed_hold_gives_up_nothing(
    simulator: FluentSimulator, gateway: Gateway, one: Requests
) -> None:
    """Another channel oversells after the confirmation: that is no reason to give the hold back."""
    hold = one.hold(100)
    await gateway.handle(hold)
    await gateway.handle(one.settle(40, 60))
    simulator.sell(one.sku, 80)
    assert await gateway.handle(hold) == HoldConfirmed(one.promotion, one.sku, 1, 100)
    assert simulator.truth(one.sku)["held"] == 40


async def test_the_promotions_own_attributes_come_typed_beside_ours(
    new_gateway: NewGateway, one: Requests
) -> None:
    bodies: list[bytes] = []
    gateway = new_gateway(transport=Network(before_call=lambda _, body: bodies.append(body)))
    own = b'{"channel":"web","priority":3,"share":0.5,"vip":true,"tags":["a"],"none":null,"promotion_id":"X"}'
    await gateway.handle(one.hold(10, own))
    created = next(body for body in bodies if b"CreatePart" in body)
    for expected in (
        b'{"name":"promotion_id","type":"STRING","value":"FLASH-1"}',
        b'{"name":"expires_at","type":"STRING","value":"2030-03-17T17:46:40.000Z"}',
        b'{"name":"reservation_type","type":"STRING","value":"FLASH_SALE"}',
        b'{"name":"channel","type":"STRING","value":"web"}',
        b'{"name":"priority","type":"INTEGER","value":3}',
        b'{"name":"share","type":"FLOAT","value":0.5}',
        b'{"name":"vip","type":"BOOLEAN","value":true}',
        b'{"name":"tags","type":"JSON","value":["a"]}',
    ):
        assert expected in created
    assert b'"value":"X"' not in created and b'"none"' not in created


def test_attributes_that_are_no_object_are_one_attribute() -> None:
    assert hold_attributes("P", EXPIRES_AT_MS, 1, b"[1,2]")[-1] == {
        "name": "attributes",
        "type": "JSON",
        "value": [1, 2],
    }


def test_a_debt_at_one_position_lowers_what_the_others_give() -> None:
    free = {"B": 10, "A": 5, "C": -6}
    assert spread(free, 9) == [("A", 5), ("B", 4)]
    assert spread(free, 10) is None


def test_what_is_sold_comes_off_the_first_part_and_what_is_too_much_off_the_last() -> None:
    assert sold_by_part([60, 40], 70) == [60, 10]
    assert left_by_part([60, 40], 30) == [0, 30]
    assert left_by_part([60, 40], 110) == [70, 40]
    assert shed([60, 40], 50) == [50, 0]


async def test_the_trace_of_a_start_goes_with_the_calls_about_its_hold_and_with_no_others(
    new_gateway: NewGateway, one: Requests
) -> None:
    seen: list[str | None] = []

    def noted(request: httpx.Request) -> None:
        if request.url.path == "/graphql" and b"introspection" not in request.content:
            seen.append(request.headers.get("traceparent"))

    gateway = new_gateway(transport=Network(instead=noted))
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    for request in (one.hold(5), one.settle(3, 2), one.release(2)):
        request.trace = trace
        await gateway.handle(request)
        assert len(seen) > 1 and set(seen) == {trace}
        seen.clear()
    for untraced in (one.release(), one.verify(closed=True)):
        await gateway.handle(untraced)
        assert set(seen) == {None}
