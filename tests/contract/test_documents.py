"""The generated documents are current, hang together, and every example in the docs holds."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from schemas.catalogue import MESSAGES, PAYLOADS
from schemas.documents import asyncapi, documents, is_current, json_schemas
from schemas.headers import DeadLetterHeaders
from schemas.parsing import EVENTS
from schemas.topics import BY_NAME, TOPICS, Role
from streams.settings.config import ReservationConfig
from streams.settings.mapping import compile_mappings

ROOT = Path(__file__).parents[2]
DOCUMENTS = [path for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))) if path.exists()]
BLOCK = re.compile(r"^```json *(?P<marker>[^\n]*)\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL)

EXAMPLES = [(kind.topic, example) for kind in MESSAGES for example in kind.examples]


def blocks() -> Iterator[Any]:
    """Every JSON block of README.md and docs/, with its place and its marker."""
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        for found in BLOCK.finditer(text):
            place = f"{path.relative_to(ROOT)}:{text[: found.start()].count(chr(10)) + 1}"
            yield pytest.param(found["marker"].strip(), found["text"], id=place)


def check_whole(model: type[BaseModel], text: str) -> None:
    """The example is valid, and has no field that the model does not know (`ref` stands for `id`)."""
    read = json.loads(model.model_validate_json(text).model_dump_json(by_alias=True, exclude_unset=True))
    assert read == json.loads(re.sub(r'("promotion": *\{\s*)"ref"', r'\1"id"', text))


def references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        yield from (value for key, value in node.items() if key == "$ref")
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


@pytest.mark.parametrize("path", sorted(documents()), ids=lambda path: path.name)
def test_the_generated_document_is_up_to_date(path: Path) -> None:
    assert is_current(path, documents()[path]), "stale: run `python -m schemas`"


def test_no_stale_document_is_left_over() -> None:
    folder = ROOT / "schemas" / "json"
    assert set(folder.iterdir()) == {path for path in documents() if path.parent == folder}


@pytest.mark.parametrize("name", sorted(json_schemas()))
def test_the_json_schema_is_one(name: str) -> None:
    Draft202012Validator.check_schema(json_schemas()[name])


def test_every_topic_that_others_see_is_in_the_catalogue() -> None:
    seen = {topic.name: topic.role for topic in TOPICS if topic.role in (Role.INPUT, Role.OUTPUT)}
    actions = {Role.INPUT: "receive", Role.OUTPUT: "send"}
    assert {kind.topic: kind.action for kind in MESSAGES} == {name: actions[seen[name]] for name in seen}
    assert set(EVENTS) == {name for name, role in seen.items() if role is Role.INPUT}


def test_every_reference_in_the_asyncapi_document_leads_somewhere() -> None:
    document = asyncapi()
    found = list(references(document))
    assert found
    for reference in found:
        node: Any = document
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]


def test_the_asyncapi_document_has_every_channel_with_its_key() -> None:
    document = asyncapi()
    for kind in MESSAGES:
        assert document["channels"][kind.topic]["address"] == kind.topic
        assert document["operations"][f"{kind.action}-{kind.topic}"]["action"] == kind.action
        message = document["components"]["messages"][kind.topic]
        assert message["bindings"]["kafka"]["key"]["description"] == BY_NAME[kind.topic].key
        assert ("headers" in message) == (kind.headers is not None)


@pytest.mark.parametrize(("topic", "example"), EXAMPLES)
def test_the_catalogues_examples_hold(topic: str, example: object) -> None:
    check_whole(PAYLOADS[topic], json.dumps(example))
    Draft202012Validator(json_schemas()[topic]).validate(example)


def test_every_message_with_a_payload_has_an_example() -> None:
    assert {topic for topic, _ in EXAMPLES} == set(PAYLOADS)


@pytest.mark.parametrize(("marker", "text"), list(blocks()))
def test_the_example_in_the_docs_holds(marker: str, text: str) -> None:
    """A marker behind ```json names the message; `other` is JSON that is not part of the contract."""
    if marker == "configuration":
        compile_mappings(ReservationConfig.model_validate_json(text).input_mapping)
    elif marker == "dead-letter-headers":
        check_whole(DeadLetterHeaders, text)
    elif marker in PAYLOADS:
        check_whole(PAYLOADS[marker], text)
    else:
        assert marker == "other", f"{marker!r} is no message: use its topic, `configuration` or `other`"
        json.loads(text)
