"""What is generated: a JSON Schema per message, one AsyncAPI 3.0 document, and tables in docs/.

`python -m schemas` writes them from the models and tables of this package; a test fails when they are stale.
A table in docs/ stands between a line that names it and a blank line: `<!-- generated: topics -->`.
AsyncAPI: https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from schemas import drift
from schemas.catalogue import MESSAGES, PAYLOADS, MessageKind
from schemas.headers import DeadLetterHeaders
from schemas.reasons import MEANINGS, RECOMMENDATIONS, Reason
from schemas.status import StatusReport
from schemas.topics import BY_NAME, DAY_MS, TOPICS, Topic

CONTRACT_VERSION = "1.0.0"
"""Version of the wire contract: it changes when a producer or consumer may notice."""

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
DEFS = "#/$defs/{model}"
COMPONENTS = "#/components/schemas/{model}"

Document = dict[str, Any]
Row = tuple[str, ...]


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
    texts = {path: f"{json.dumps(document, indent=2)}\n" for path, document in written.items()}
    return texts | dict(_with_table(DOCS / page, name, rows) for page, name, rows in tables())


def tables() -> Iterator[tuple[str, str, Iterable[Row]]]:
    """Each generated table of docs/: its page, its name, and its rows, the head first."""
    reasons = ((f"`{each}`", MEANINGS[each], RECOMMENDATIONS[each]) for each in Reason)
    yield "outcomes.md", "reasons", (("reason", "means", "what to do"), *reasons)
    kinds = ((f"`{kind}`", drift.MEANINGS[kind], drift.REMEDIES[kind]) for kind in drift.DriftKind)
    yield "reports.md", "drift", (("kind", "what was found", "what to do"), *kinds)
    topics = ((f"`{each.name}`", each.role, each.purpose, each.key, *_kept(each)) for each in TOPICS)
    head = ("topic", "kind", "what it carries", "key", "stamped by", "kept")
    yield "operations.md", "topics", (head, *topics)


def _kept(topic: Topic) -> tuple[str, str]:
    """Who stamps a topic's records, and for how long they are kept."""
    days = f"{topic.retention_ms // DAY_MS} days"
    kept = {"compact": "compacted", "delete": days}
    return (
        "the broker" if topic.log_append_time else "the worker",
        ", ".join(kept[policy] for policy in topic.cleanup),
    )


def _with_table(page: Path, name: str, rows: Iterable[Row]) -> tuple[Path, str]:
    """The page with this table. Raises ValueError when it does not say where the table stands."""
    head, *body = (f"| {' | '.join(row)} |" for row in rows)
    rule = f"|{' --- |' * (head.count('|') - 1)}"
    mark = f"<!-- generated: {name} -->\n\n"
    before, found, after = page.read_text(encoding="utf-8").partition(mark)
    if not found:
        raise ValueError(f"{page} has no line {mark.strip()}")
    rest = after.partition("\n\n")[2]
    return page, "\n".join((f"{before}{mark}{head}", rule, *body, "")) + (f"\n{rest}" if rest else "")


def json_schemas() -> dict[str, Document]:
    """JSON Schema of each message's value, of a dead letter's headers and of `status --json`, by name."""
    models = PAYLOADS | {"dead-letter-headers": DeadLetterHeaders}
    schemas = {name: _schema(model) for name, model in models.items()} | {"status": _of_struct(StatusReport)}
    return {
        name: {"$schema": DIALECT, "$id": f"urn:flash-sale-reservations:{name}", **schema}
        for name, schema in schemas.items()
    }


def _of_struct(struct: type[msgspec.Struct]) -> Document:
    schema: Document = msgspec.json.schema(struct)
    return schema


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
                "summary": BY_NAME[kind.topic].purpose,
            }
            for kind in MESSAGES
        },
        "components": {"messages": messages, "schemas": dict(sorted(shared.items()))},
    }


def _channel(kind: MessageKind) -> Document:
    return {
        "address": kind.topic,
        "description": BY_NAME[kind.topic].purpose,
        "messages": {kind.topic: {"$ref": f"#/components/messages/{kind.topic}"}},
    }


def _message(kind: MessageKind, shared: Document) -> Document:
    topic = BY_NAME[kind.topic]
    message: Document = {
        "name": kind.topic,
        "summary": topic.purpose,
        "bindings": {
            "kafka": {"key": {"type": "string", "description": topic.key}, "bindingVersion": "0.5.0"}
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
