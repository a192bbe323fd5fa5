"""docs/configuration.md lists every key and every variable, with the defaults and bounds of the code."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Literal, get_args, get_origin

import annotated_types
from pydantic.fields import FieldInfo

from streams.settings.config import DEFAULT_PATH, ReservationConfig
from streams.settings.environment import (
    BridgeEnvironment,
    Environment,
    FluentEnvironment,
    KafkaEnvironment,
    ProcessEnvironment,
)

TEXT = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
GROUPS: tuple[type[Environment], ...] = (
    KafkaEnvironment,
    FluentEnvironment,
    BridgeEnvironment,
    ProcessEnvironment,
)
KEYS = {str(field.alias): field for field in ReservationConfig.model_fields.values()}


def table(header: str) -> dict[str, list[str]]:
    """The rows of the table under `header`: name in the first column to the other columns."""
    body = TEXT[TEXT.index(header) :].split("\n\n", 1)[0].splitlines()[2:]
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in body]
    return {row[0].strip("`"): row[1:] for row in rows}


def bounds_of(field: FieldInfo) -> str:
    """The least and the most of a number as the document writes them, the choices of a text, or nothing."""
    if get_origin(field.annotation) is Literal:
        return ", ".join(f"`{json.dumps(choice)}`" for choice in get_args(field.annotation))
    least = next((m.ge for m in field.metadata if isinstance(m, annotated_types.Ge)), None)
    most = next((m.le for m in field.metadata if isinstance(m, annotated_types.Le)), None)
    if least is None:
        return ""
    return f"{least:,}\N{EN DASH}{most:,}" if most is not None else f"≥ {least:,}"


def test_every_key_is_documented_and_every_documented_key_exists() -> None:
    assert list(table("| key | type |")) == list(KEYS)


def test_the_documented_defaults_are_the_codes() -> None:
    for key, (_, default, _, meaning) in table("| key | type |").items():
        code = KEYS[key].get_default(call_default_factory=True, validated_data={})
        assert json.loads(default.strip("`")) == code, key
        assert len(meaning) > 20, key


def test_the_documented_bounds_are_the_codes() -> None:
    for key, (kind, _, bounds, _) in table("| key | type |").items():
        code = bounds_of(KEYS[key])
        assert bounds == code or (not code and kind in ("string", "object")), key


def test_every_variable_is_documented_and_every_documented_variable_exists() -> None:
    variables = [name for group in GROUPS for name in group.variables()]
    assert list(table("| variable | default |")) == variables


def test_the_default_path_is_documented() -> None:
    assert table("| variable | default |")["RESERVATION_CONFIG"][0] == f"`{DEFAULT_PATH}`"


def test_every_secret_is_documented_as_never_logged() -> None:
    for name, cells in table("| variable | default |").items():
        assert bool(re.search("SECRET|PASSWORD", name)) == ("never logged" in cells[-1]), name
