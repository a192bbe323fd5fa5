"""The contract for machines: a JSON Schema per message and one AsyncAPI 3.0 document.

Both are generated from the models: `python -m schemas` writes them, a test fails when they are stale.
AsyncAPI: https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from schemas.catalogue import MESSAGES, PAYLOADS, MessageKind
from schemas.headers import DeadLetterHeaders

CONTRACT_VERSION = "1.0.0"
"""Version of the wire contract: it changes when a producer or consumer may notice."""

HERE = Path(__file__).parent
DIALECT = "https://json-schema.org/draft/2020-12/schema"
DEFS = "#/$defs/{model}"
COMPONENTS = "#/components/schemas/{model}"

Document = dict[str, Any]


class _Plain(GenerateJsonSchema):
    """Without pydantic's title for each field, which only repeats its name."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def _schema(model: type[BaseModel], references: str = DEFS) -> Document:
    return model.model_json_schema(ref_template=references, schema_generator=_Plain)


def documents() -> dict[Path, str]:
    """Every generated file and its text."""
    written = {HERE / "json" / f"{name}.json": schema for name, schema in json_schemas().items()}
    written[HERE / "asyncapi.json"] = asyncapi()
    return {path: f"{json.dumps(document, indent=2)}\n" for path, document in written.items()}


def json_schemas() -> dict[str, Document]:
    """JSON Schema of each message's value, and of the headers of a dead letter, by name."""
    models = PAYLOADS | {"dead-letter-headers": DeadLetterHeaders}
    return {
        name: {"$schema": DIALECT, "$id": f"urn:flash-sale-reservations:{name}", **_schema(model)}
        for name, model in models.items()
    }


def asyncapi() -> Document:
    """The AsyncAPI document: channels, operations from this software's side, messages, shared schemas."""
    shared: Document = {}
    messages = {kind.topic: _message(kind, shared) for kind in MESSAGES}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Flash-sale reservations",
            "version": CONTRACT_VERSION,
            "description": (
                "Reserves flash-sale stock in Fluent Commerce. Messages are JSON in UTF-8; unknown fields "
                "are ignored. Every topic name takes the optional prefix TOPIC_PREFIX. "
                "Read with read_committed."
            ),
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {kind.topic: _channel(kind) for kind in MESSAGES},
        "operations": {
            f"{kind.action}-{kind.topic}": {
                "action": kind.action,
                "channel": {"$ref": f"#/channels/{kind.topic}"},
                "summary": kind.summary,
            }
            for kind in MESSAGES
        },
        "components": {"messages": messages, "schemas": dict(sorted(shared.items()))},
    }


def _channel(kind: MessageKind) -> Document:
    return {
        "address": kind.topic,
        "description": kind.summary,
        "messages": {kind.topic: {"$ref": f"#/components/messages/{kind.topic}"}},
    }


def _message(kind: MessageKind, shared: Document) -> Document:
    message: Document = {
        "name": kind.topic,
        "summary": kind.summary,
        "bindings": {
            "kafka": {"key": {"type": "string", "description": kind.key}, "bindingVersion": "0.5.0"}
        },
    }
    if kind.headers is not None:
        message["headers"] = _shared(kind.headers, shared)
    if kind.payload is None:
        return message | {"contentType": "application/octet-stream"}
    message["payload"] = _shared(kind.payload, shared)
    return message | {"examples": [{"payload": example} for example in kind.examples]}


def _shared(model: type[BaseModel], shared: Document) -> Document:
    """The model's schema goes to the document's components; what is left here is a reference to it."""
    schema = _schema(model, COMPONENTS)
    shared |= schema.pop("$defs", {})
    shared[model.__name__] = schema
    return {"$ref": COMPONENTS.format(model=model.__name__)}


def write() -> list[Path]:
    """Write what has changed; returns the files that did."""
    stale = [(path, text) for path, text in documents().items() if not is_current(path, text)]
    for path, text in stale:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return [path for path, _ in stale]


def is_current(path: Path, text: str) -> bool:
    """Whether the file says what it should."""
    return path.exists() and path.read_text(encoding="utf-8") == text
