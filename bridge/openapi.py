"""What the OpenAPI document says about each route beside what FastAPI finds out by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from bridge.preferences import MAX_WAIT_S
from bridge.problems import MEDIA_TYPE
from bridge.shapes import ProblemDetails
from schemas.catalogue import MESSAGES
from schemas.documents import CONTRACT_VERSION
from schemas.parsing import EVENTS

Fields = dict[str, Any]
Responses = dict[int | str, Fields]

DESCRIPTION = (
    "Takes flash-sale events in by HTTP and sends them to Kafka. A 202 means that the broker has the event; "
    "with `Prefer: wait=N` the answer is the decision itself. Errors are problem details (RFC 9457) with "
    "`error` and `recommendation`. Every event may be repeated: it is decided once."
)

PROBLEMS = {
    400: "Not JSON, or what the seed requires is missing.",
    401: "Not signed, or not signed correctly.",
    403: "Not from this machine.",
    404: "Never seen, not decided yet, or too long ago.",
    408: "The body came too slowly.",
    409: "The same reference was used before with different content (callers that wait).",
    413: "The body is too large.",
    422: "A value is not valid.",
    500: "An error of the bridge.",
    503: "Not now: send the same again after the seconds in Retry-After.",
}

TAKING = (400, 401, 408, 409, 413, 422, 500, 503)
ASKING = (401, 404, 500, 503)

_PREFER = {
    "name": "Prefer",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": f"RFC 7240. `wait=N`: wait up to N (at most {MAX_WAIT_S}) seconds for the decision.",
    "example": "wait=5",
}

_HEADERS = {
    "ClientId": ("X-Client-Id", "Who signs."),
    "Timestamp": ("X-Timestamp", "Unix seconds, within 300 s of the bridge's clock."),
    "Signature": (
        "X-Signature",
        "`sha256=` and the hexadecimal HMAC-SHA256 of `timestamp.METHOD.path.body` with the client's secret.",
    ),
    "FluentSignature": ("fluent-signature", "SHA512withRSA over the raw body, in base64, by Fluent."),
}

SIGNED: list[Fields] = [{"ClientId": [], "Timestamp": [], "Signature": []}]
SIGNED_BY_FLUENT: list[Fields] = [{"FluentSignature": []}]


def problems(statuses: Sequence[int]) -> Responses:
    """The error responses of a route."""
    content = {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{ProblemDetails.__name__}"}}}
    found: Responses = {}
    for status in statuses:
        found[status] = {"description": PROBLEMS[status], "content": content}
        if status == 503:
            found[status]["headers"] = {"Retry-After": {"schema": {"type": "integer"}}}
    return found


def taking(topic: str, answer: type[BaseModel], acknowledged: type[BaseModel]) -> Fields:
    """Arguments of a route that takes events of `topic` in."""
    applied = {"Preference-Applied": {"schema": {"type": "string"}}}
    location = {"Location": {"schema": {"type": "string"}}}
    body = {"schema": _reference(EVENTS[topic]), "examples": _examples(topic)}
    return {
        "responses": {
            200: {"model": answer, "description": "The decision.", "headers": applied},
            202: {"model": acknowledged, "description": "The broker has it.", "headers": applied | location},
            **problems(TAKING),
        },
        "openapi_extra": {
            "parameters": [_PREFER],
            "requestBody": {"required": True, "content": {"application/json": body}},
            "security": SIGNED,
        },
    }


def taking_fluents(acknowledged: Any) -> Fields:
    """Arguments of the route that takes Fluent's own events in."""
    body = {
        "schema": {"type": "object"},
        "example": {"id": "5f0d…", "name": "ORDER_BOOKED", "entityRef": "ORD-1"},
    }
    return {
        "responses": {
            202: {"model": acknowledged, "description": "The broker has it."},
            **problems((400, 401, 408, 413, 422, 500, 503)),
        },
        "openapi_extra": {
            "requestBody": {"required": True, "content": {"application/json": body}},
            "security": SIGNED_BY_FLUENT,
        },
    }


def asking(answer: Any) -> Fields:
    """Arguments of a route that answers where something stands."""
    return {
        "responses": {200: {"model": answer, "description": "Where it stands."}, **problems(ASKING)},
        "openapi_extra": {"security": SIGNED},
    }


def document(app: FastAPI) -> Fields:
    """The whole document."""
    found = get_openapi(
        title="Flash-sale reservations: HTTP bridge",
        version=CONTRACT_VERSION,
        description=DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        routes=app.routes,
    )
    components = found.setdefault("components", {})
    components["schemas"] = dict(sorted((components.get("schemas", {}) | _request_schemas()).items()))
    components["securitySchemes"] = {
        scheme: {"type": "apiKey", "in": "header", "name": header, "description": text}
        for scheme, (header, text) in _HEADERS.items()
    }
    return found


def _request_schemas() -> Fields:
    schemas: Fields = {}
    for model in (*EVENTS.values(), ProblemDetails):
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= schema.pop("$defs", {})
        schemas[model.__name__] = schema
    return schemas


def _reference(model: type[BaseModel]) -> Fields:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _examples(topic: str) -> Fields:
    kind = next(kind for kind in MESSAGES if kind.topic == topic)
    return {f"example {number}": {"value": value} for number, value in enumerate(kind.examples, 1)}
