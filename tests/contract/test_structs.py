"""The msgspec structs of the output messages are the contract's pydantic models, field by field."""

from __future__ import annotations

import json
from enum import Enum
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
import pytest
from pydantic import BaseModel, JsonValue

from schemas import outcomes, reports, results, structs
from schemas.catalogue import MESSAGES

Struct = type[msgspec.Struct]
Model = type[BaseModel]
Shape = dict[str, tuple[object, bool]]
"""Each field's name on the wire, what it holds, and whether it may be left out."""

PAIRS: dict[Struct, tuple[Model, ...]] = {
    structs.ConsumeResult: (outcomes.Consumed, outcomes.NotConsumed),
    structs.CancelResult: (outcomes.Cancelled, outcomes.NotCancelled),
    structs.OrderOutcome: (outcomes.OrderOutcome,),
    structs.Reserved: (results.Reserved,),
    structs.NotReserved: (results.NotReserved,),
    structs.ResultSummary: (results.ResultSummary,),
    structs.PromotionResults: (results.PromotionResults,),
    structs.ReservationRelease: (results.ReservationRelease,),
    structs.SaleFigures: (reports.SaleFigures,),
    structs.FluentFigures: (reports.FluentFigures,),
    structs.ReportLine: (reports.ReportLine,),
    structs.ReportTotals: (reports.ReportTotals,),
    structs.ReportHead: (reports.ReportHead,),
    structs.ReconciliationReport: (reports.ReconciliationReport,),
}
"""Each struct with its model, or with both models of a line that can go two ways."""

STRUCTS = {model: struct for struct, models in PAIRS.items() for model in models}
MADE_BEFORE = ("array of", frozenset({structs.Reserved, structs.NotReserved}))
"""A promotion's results are put together from the bytes that were published for each SKU."""

VALUES: dict[str, tuple[Struct, ...]] = {
    "order-outcomes": (structs.OrderOutcome,),
    "reservation-results": (structs.NotReserved, structs.Reserved),
    "promotion-results": (structs.PromotionResults,),
    "reservation-releases": (structs.ReservationRelease,),
    "reconciliation-reports": (structs.ReconciliationReport,),
    "sale-figures": (structs.SaleFigures,),
}
EXAMPLES = [(kind.topic, example) for kind in MESSAGES if kind.action == "send" for example in kind.examples]


def held(annotation: Any) -> object:
    """What a field holds, without what the two sides say each in its own way: limits, and absence."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return held(parts[0])
    if origin is Literal:
        return type(parts[0])
    if origin in (Union, UnionType):
        kinds = frozenset(held(part) for part in parts if part not in (type(None), msgspec.UnsetType))
        return next(iter(kinds)) if len(kinds) == 1 else kinds
    if origin in (list, tuple):
        return "array of", held(parts[0])
    if issubclass(annotation, Enum):
        return str
    return STRUCTS.get(annotation, annotation)


def shape_of_struct(struct: Struct) -> Shape:
    return {
        field.encode_name: (held(field.type), not field.required) for field in msgspec.structs.fields(struct)
    }


def shape_of_models(models: tuple[Model, ...]) -> Shape:
    """The fields of all models; one that a model does not have may be left out."""
    fields = [{field.alias or "": field for field in model.model_fields.values()} for model in models]
    return {
        name: (held(field.annotation), not all(name in each and each[name].is_required() for each in fields))
        for model in fields
        for name, field in model.items()
    }


@pytest.mark.parametrize("struct", PAIRS, ids=lambda struct: struct.__name__)
def test_a_struct_has_the_fields_types_and_optionality_of_its_models(struct: Struct) -> None:
    expected = shape_of_models(PAIRS[struct])
    if struct is structs.PromotionResults:
        assert expected["reservations"] == (MADE_BEFORE, False)
        expected["reservations"] = (("array of", msgspec.Raw), False)
    assert shape_of_struct(struct) == expected


def test_every_struct_is_compared() -> None:
    found = {value for value in vars(structs).values() if isinstance(value, type)}
    assert {value for value in found if issubclass(value, msgspec.Struct)} == set(PAIRS)


@pytest.mark.parametrize(
    ("topic", "example"), EXAMPLES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_struct_writes_the_json_that_the_contract_shows(topic: str, example: JsonValue) -> None:
    assert isinstance(example, dict)
    struct = VALUES[topic][-1 if example.get("success") else 0]
    read = msgspec.json.decode(json.dumps(example), type=struct)
    assert json.loads(msgspec.json.encode(read)) == example


def test_the_head_of_a_report_is_read_without_its_lines() -> None:
    report = next(example for topic, example in EXAMPLES if topic == "reconciliation-reports")
    assert isinstance(report, dict)
    head = msgspec.json.decode(json.dumps(report), type=structs.ReportHead)
    expected = {name: value for name, value in report.items() if name != "lines"}
    assert json.loads(msgspec.json.encode(head)) == expected
