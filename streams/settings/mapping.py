"""Foreign JSON into our input shapes, by JMESPath expressions from the configuration.

A mapping is one expression that yields the whole event, or an object of our fields whose leaves are
expressions. JMESPath: https://jmespath.org/specification.html
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Any, cast, get_args

import jmespath
import jmespath.functions
from jmespath.exceptions import JMESPathError
from jmespath.parser import ParsedResult
from pydantic import AliasChoices, BaseModel, JsonValue
from pydantic_core import from_json

from schemas.fields import compact_json
from schemas.invalid import InvalidEvent
from schemas.parsing import EVENTS
from streams.settings.errors import ConfigurationError

InputMapping = ParsedResult | dict[str, Any]
"""A compiled mapping: an expression, or fields with a compiled mapping each."""

Node = dict[str, Any]
"""A node of an expression's syntax tree: `type`, `children`, `value`."""

Shape = type[BaseModel] | None
Signature = tuple[dict[str, Any], ...]

YIELDED: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "pipe": (1,),
        "subexpression": (-1,),
        "projection": (1,),
        "value_projection": (1,),
        "filter_projection": (1,),
        "and_expression": (1,),
        "or_expression": (0, 1),
    }
)
"""Kinds of nodes that yield what one of their children yields, and which."""


def compile_mappings(sources: Mapping[str, JsonValue]) -> dict[str, InputMapping]:
    """The configuration's `inputMapping`, compiled: input topic (logical name) to its mapping.

    Raises ConfigurationError that names the topic or field where something is wrong.
    """
    for topic in sources:
        if topic not in EVENTS:
            known = ", ".join(EVENTS)
            raise ConfigurationError(f"inputMapping.{topic} is not an input topic; these are: {known}.")
    return {
        topic: compile_mapping(source, f"inputMapping.{topic}", EVENTS[topic])
        for topic, source in sources.items()
    }


def compile_mapping(source: JsonValue, where: str, shape: Shape = None) -> InputMapping:
    """One mapping compiled; `where` names it in a ConfigurationError, `shape` is what it must yield.

    Raises ConfigurationError for what is no expression, a field that `shape` does not have, and a function
    that JMESPath does not have.
    """
    if isinstance(source, dict) and source:
        known = _fields(shape)
        _check_fields(source, known, where)
        return {
            field: compile_mapping(inner, f"{where}.{field}", known.get(field))
            for field, inner in source.items()
        }
    if not isinstance(source, str):
        raise ConfigurationError(f"{where} must be a JMESPath expression or an object of them.")
    try:
        compiled = jmespath.compile(source)
    except JMESPathError as error:
        cause = str(error).splitlines()[0].rstrip(":")
        raise ConfigurationError(f"{where} is not a JMESPath expression: {source!r} ({cause}).") from None
    tree = cast(Node, compiled.parsed)
    _check_functions(tree, where)
    _check_yield(tree, shape, where)
    return compiled


def _fields(shape: Shape) -> dict[str, Shape]:
    """The fields of a model as they are called on the wire, each with the model of what it holds."""
    found: dict[str, Shape] = {}
    for field in shape.model_fields.values() if shape else ():
        choices = field.validation_alias
        names = choices.choices if isinstance(choices, AliasChoices) else [field.alias]
        found |= {str(name): _model_in(field.annotation) for name in names}
    return found


def _model_in(annotation: object) -> Shape:
    """The model that a field holds, by itself, as an option or in a list; None for what is no object."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)


def _check_fields(names: Iterable[str], known: Collection[str], where: str) -> None:
    unknown = [name for name in names if known and name not in known]
    if unknown:
        raise ConfigurationError(
            f"{where}.{unknown[0]} is not a field of the event; these are: {', '.join(known)}."
        )


def _check_functions(node: Node, where: str) -> None:
    """JMESPath looks a function up when it is called, which would be at the first message."""
    if node["type"] == "function_expression":
        if node["value"] not in FUNCTIONS:
            raise ConfigurationError(
                f"{where} calls {node['value']}(), but JMESPath's functions are: {', '.join(FUNCTIONS)}."
            )
        _check_arity(node, where)
    for child in node.get("children", ()):
        if isinstance(child, dict):
            _check_functions(child, where)


def _check_arity(node: Node, where: str) -> None:
    signature = FUNCTIONS[node["value"]]
    given, needed = len(node["children"]), len(signature)
    variadic = bool(signature) and bool(signature[-1].get("variadic"))
    if given < needed or (given > needed and not variadic):
        least = "at least " if variadic else ""
        raise ConfigurationError(
            f"{where} calls {node['value']}() with {given} arguments, but it takes {least}{needed}."
        )


def _check_yield(node: Node, shape: Shape, where: str) -> None:
    """The fields of every object `{…}` that an expression may yield, as far as that can be seen."""
    if node["type"] == "multi_select_dict":
        known = _fields(shape)
        _check_fields([pair["value"] for pair in node["children"]], known, where)
        for pair in node["children"]:
            _check_yield(pair["children"][0], known.get(pair["value"]), f"{where}.{pair['value']}")
    for place in YIELDED.get(node["type"], ()):
        _check_yield(node["children"][place], shape, where)


def _functions() -> dict[str, Signature]:
    table = jmespath.functions.Functions.FUNCTION_TABLE
    return {name: entry["signature"] for name, entry in sorted(table.items())}


def apply(mapping: InputMapping, value: JsonValue) -> JsonValue:
    """What `mapping` makes of a decoded message. Fields for which it finds nothing are left out.

    Raises jmespath's JMESPathError where a function is given a value that it does not take.
    """
    if not isinstance(mapping, dict):
        found: JsonValue = mapping.search(value)
        return found
    fields = {field: apply(inner, value) for field, inner in mapping.items()}
    return {field: found for field, found in fields.items() if found is not None}


def map_message(mapping: InputMapping, value: bytes | None) -> bytes:
    """The message in our shape, as JSON. Raises InvalidEvent where it is not JSON or cannot be mapped."""
    if value is None:
        raise InvalidEvent("The message has no value, but its inputMapping requires JSON.")
    try:
        decoded = from_json(value, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidEvent(f"The message is not valid JSON: {error}.") from None
    try:
        return compact_json(apply(mapping, decoded))
    except Exception as error:
        # A comparison of a text with a number is a TypeError, floor(1e999) an OverflowError, and so on:
        # whatever an expression makes of a message, it is the message that does not fit.
        raise InvalidEvent(f"The message does not fit its inputMapping: {_one_line(error)}.") from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


FUNCTIONS = _functions()
"""JMESPath's functions with what they take."""
