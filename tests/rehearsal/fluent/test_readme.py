"""The simulator's README names everything that it has."""

from __future__ import annotations

from pathlib import Path

import pytest

from rehearsal.fluent import server
from rehearsal.fluent.control import Control
from rehearsal.fluent.switches import Controls, Fault
from rehearsal.fluent.world import World

README = Path(server.__file__).with_name("README.md").read_text()


@pytest.mark.parametrize("fault", list(Fault))
def test_every_fault_is_documented(fault: Fault) -> None:
    assert f"`{fault.value}`" in README


@pytest.mark.parametrize("switch", list(Controls().model_dump(by_alias=True)))
def test_every_switch_is_documented(switch: str) -> None:
    assert f"`{switch}`" in README


@pytest.mark.parametrize("path", sorted({route.path for route in Control(World({})).routes()}))
def test_every_route_is_documented(path: str) -> None:
    assert path in README
