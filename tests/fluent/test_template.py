"""The template profile, and profiles of one's own: documents and a mapping file, no code."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from fluent import ProfileError, load_profile
from fluent.profile import BUILT_IN
from streams.ledger.commands import HoldConfirmed, HoldFailed, ReleaseConfirmed, SettleConfirmed, Verified
from tests.fluent.conftest import NewGateway
from tests.fluent.support import Requests, live
from tests.support.fluent import FluentSimulator


async def test_a_whole_sale_with_the_templates_operations(
    simulator: FluentSimulator, new_gateway: NewGateway, two: Requests
) -> None:
    gateway = new_gateway(profile="template")
    assert await gateway.handle(two.hold(100)) == HoldConfirmed(two.promotion, two.sku, 1, 100)
    assert live(simulator, two.sku) == {f"{two.ref}-1": 60, f"{two.ref}-2": 40}
    assert await gateway.handle(two.settle(30, 70)) == SettleConfirmed(two.promotion, two.sku, 2, 30)
    assert simulator.truth(two.sku)["held"] == 30
    verified = await gateway.handle(two.verify(30))
    assert isinstance(verified, Verified) and verified.drift_units == 0
    assert await gateway.handle(two.release(70)) == ReleaseConfirmed(two.promotion, two.sku, 4)
    assert live(simulator, two.sku) == {}
    again = await gateway.handle(two.hold(100))
    assert isinstance(again, HoldFailed), "what has ended stays ended"


async def test_template_holds_are_taken_off_what_is_available(
    simulator: FluentSimulator, new_gateway: NewGateway, one: Requests
) -> None:
    """In the template's world a hold does not lower AVAILABLE: the template sold the same units again."""
    gateway = new_gateway(profile="template")
    await gateway.handle(one.hold(70))
    refused = await gateway.handle(Requests(one.sku, "FLASH-2").hold(40))
    assert isinstance(refused, HoldFailed) and refused.error == "requested 40, available 30"


async def test_a_lost_race_is_noticed_with_the_template_too(
    simulator: FluentSimulator, new_gateway: NewGateway, one: Requests
) -> None:
    simulator.next(match="CreatePart", contains=one.ref, sell={"sku": one.sku, "quantity": 30})
    answer = await new_gateway(profile="template").handle(one.hold(100))
    assert isinstance(answer, HoldFailed) and answer.error.startswith("requested 100, available 70;")
    assert live(simulator, one.sku) == {}


async def test_template_duplicates_are_seen(
    simulator: FluentSimulator, new_gateway: NewGateway, one: Requests
) -> None:
    gateway = new_gateway(profile="template")
    await gateway.handle(one.hold(60))
    simulator.quantity(
        f"MORE-{one.sku}-1", sku=one.sku, location="LOC-1", type="SOFT_RESERVE", quantity=-7, status="ACTIVE",
        attributes=[{"name": "promotion_id", "type": "STRING", "value": one.promotion}],
    )  # fmt: skip
    verified = await gateway.handle(one.verify(60))
    assert isinstance(verified, Verified)
    assert (verified.drift_units, verified.drift_kind) == (7, "DUPLICATE")


async def test_a_profile_of_ones_own_needs_no_code(
    simulator: FluentSimulator, new_gateway: NewGateway, one: Requests, tmp_path: Path
) -> None:
    """An account that keeps its holds as another type: one word in the mapping is different."""
    folder = tmp_path / "mine"
    shutil.copytree(BUILT_IN / "inventory-quantity", folder)
    mapping = (folder / "profile.json").read_text()
    (folder / "profile.json").write_text(mapping.replace('"SOFT_RESERVE"', '"DELTA"'))
    gateway = new_gateway(profile_dir=folder)
    hold = one.hold(10)
    assert isinstance(await gateway.handle(hold), HoldConfirmed)
    assert isinstance(await gateway.handle(hold), HoldConfirmed)
    written = [entry for entry in simulator.journal(sku=one.sku)["entries"] if entry["action"] == "create"]
    assert [(entry["type"], entry["quantity"]) for entry in written[1:]] == [("DELTA", -10)]
    await gateway.handle(one.release())
    assert simulator.journal(sku=one.sku)["entries"][-1]["status"] == "INACTIVE"


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda spec: spec["operations"].pop("endPart"), "lacks the operations endPart"),
        (
            lambda spec: spec["operations"].update(findPart=spec["operations"]["findParts"]),
            "unknown operations",
        ),
        (
            lambda spec: spec["operations"]["endPart"].update(document="No.graphql"),
            "No.graphql cannot be read",
        ),
        (lambda spec: spec["operations"]["endPart"].update(result="part["), "endPart: "),
        (
            lambda spec: spec["operations"]["endPart"]["variables"].update(x=1),
            "endPart: variables x are not in both",
        ),
        (
            lambda spec: spec["operations"]["endPart"]["variables"].update(input={"ref": ["$reference"]}),
            "endPart: $reference is no value of ours; there are $catalogue, $retailerId, $sku, $ref",
        ),
        (
            lambda spec: spec["operations"]["holds"]["variables"].update(refs="$sku"),
            "holds: $sku is no value of ours",
        ),
        (lambda spec: spec.update(live=[]), "live and ended need statuses"),
        (lambda spec: spec.update(ended=[]), "live and ended need statuses"),
        (lambda spec: spec.update(ended=["ACTIVE"]), "none may be in both"),
        (lambda spec: spec.update(sign=2), "sign must be -1 or 1"),
        (lambda spec: spec.update(colour="red"), "colour"),
    ],
)
def test_a_profile_that_cannot_work_says_why(break_it: object, said: str, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(BUILT_IN / "inventory-quantity", folder)
    spec = json.loads((folder / "profile.json").read_text())
    break_it(spec)  # type: ignore[operator]
    (folder / "profile.json").write_text(json.dumps(spec))
    with pytest.raises(ProfileError, match=re.escape(said)):
        load_profile("inventory-quantity", folder)


def test_an_unknown_profile_names_the_known_ones() -> None:
    with pytest.raises(ProfileError, match="inventory-quantity, template"):
        load_profile("typo")
