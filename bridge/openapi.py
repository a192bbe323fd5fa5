"""What the OpenAPI document says about each route beside what FastAPI finds out by itself."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from starlette.responses import Response

from bridge.problems import PROBLEM_JSON
from bridge.shapes import ProblemDetails
from bridge.waiting import MAX_WAIT_S
from schemas.catalogue import MESSAGES
from schemas.parsing import EVENTS

Fields = dict[str, Any]
Responses = dict[int | str, Fields]

DESCRIPTION = (
    "Takes flash-sale events in by HTTP and sends them to Kafka. A 202 means that the broker has the event; "
    "with `Prefer: wait=N` the answer is the decision itself. Errors are problem details (RFC 9457) with "
    "`error` and `recommendation`. Every event may be repeated: it is decided once."
)

TEXTS = {
    "start-flash-sale": (
        "Start a sale",
        "Sets the units of each SKU aside. Callers that wait are told which SKUs could be reserved.",
    ),
    "consume-reservation": (
        "Place an order",
        "Takes the order's units from what was set aside. Callers that wait are told which lines got theirs.",
    ),
    "cancel-order": (
        "Cancel an order, or part of it",
        "Gives units of an order back. Callers that wait are told which, and what is left of the order.",
    ),
    "end-flash-sale": (
        "End a sale early",
        "Ends the sale and releases what is not sold. Callers that wait get the head of the FINAL report.",
    ),
    "fluent-events": (
        "Take one of Fluent's own webhooks",
        "Sends what `inputMapping` finds in Fluent's event to its input topic. Never waits for the decision.",
    ),
    "orders": (
        "Where an order stands",
        "Answers a list: the newest outcome of the order for each of its promotions, as it was published.",
    ),
    "promotions": (
        "Where a promotion stands",
        "Answers the results once every SKU is decided, the figures as they change, and the head of the "
        "newest reconciliation report.",
    ),
    "sale": (
        "The live page of a sale",
        "HTML. On the operations port it needs no link, and there /sale lists the sales.",
    ),
    "sale-events": (
        "What a sale's page shows, as it changes",
        "Server-sent events: `snapshot` with everything, then at most one `change` a second, and a `beat` "
        "where nothing changes. The content is the page's own and may change with it.",
    ),
    "healthz": (
        "Whether the process lives",
        "Answers as long as the process serves requests, whatever Kafka does.",
    ),
    "readyz": (
        "Whether the bridge should get requests",
        "Says yes when Kafka answers and the outcome topics' recent past is read.",
    ),
    "openapi.json": ("This document", "Describes every route, its bodies and its errors."),
}
"""Summary and description of each operation, by its id."""

PROBLEMS = {
    400: "The body is not JSON, or lacks what the route requires.",
    401: "The request is not signed, or not signed correctly.",
    403: "The caller may not use this route (BRIDGE_CLIENTS), or asks from a foreign page or account.",
    404: "It was never seen, is not decided yet, or is too long ago.",
    408: "The body came too slowly.",
    409: "The same reference was used before with different content (only callers that wait are told), or "
    "the same webhook-id with another body or on another route.",
    413: "The body is too large.",
    415: "The body is compressed, and the bridge reads it only as it is.",
    422: "A value is not valid; `error` names it.",
    500: "The bridge failed; a repeat changes nothing.",
    503: "The bridge cannot take it now: send the same again after the seconds in Retry-After.",
}

TAKING = (400, 401, 403, 408, 409, 413, 415, 422, 500, 503)
ASKING = (401, 403, 404, 500, 503)

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
    "WebhookId": ("webhook-id", "The event's identity, the same when it is sent again."),
    "WebhookTimestamp": ("webhook-timestamp", "Unix seconds, within 300 s of the bridge's clock."),
    "WebhookSignature": (
        "webhook-signature",
        "Standard Webhooks: `v1,` and the HMAC-SHA256 of `id.timestamp.body` in base64, with the key in the "
        "client's secret `whsec_…`.",
    ),
    "FluentSignature": ("fluent-signature", "SHA512withRSA over the raw body, in base64, by Fluent."),
}

_LINK = {
    "LinkClient": ("client", "Who signed the link: `flashsale sign --page PROMOTION` prints one."),
    "LinkExpires": ("expires", "Unix seconds until which the link is good."),
    "LinkSignature": ("signature", "The hexadecimal HMAC-SHA256 of promotion and end."),
}

SIGNED: list[Fields] = [{"ClientId": [], "Timestamp": [], "Signature": []}]
SIGNED_EVENTS: list[Fields] = [
    *SIGNED,
    {"WebhookId": [], "WebhookTimestamp": [], "WebhookSignature": []},
]
SIGNED_LINK: list[Fields] = [{"LinkClient": [], "LinkExpires": [], "LinkSignature": []}]
SIGNED_BY_FLUENT: list[Fields] = [{"FluentSignature": []}]


def problems(statuses: Sequence[int]) -> Responses:
    """The error responses of a route."""
    content = {PROBLEM_JSON: {"schema": {"$ref": f"#/components/schemas/{ProblemDetails.__name__}"}}}
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
            200: {"model": answer, "description": "The event is decided.", "headers": applied},
            202: {
                "model": acknowledged,
                "description": "The broker has the event.",
                "headers": applied | location,
            },
            **problems(TAKING),
        },
        "openapi_extra": {
            "parameters": [_PREFER],
            "requestBody": {"required": True, "content": {"application/json": body}},
            "security": SIGNED_EVENTS,
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
            202: {"model": acknowledged, "description": "The broker has the event."},
            **problems((400, 401, 403, 408, 413, 415, 422, 500, 503)),
        },
        "openapi_extra": {
            "requestBody": {"required": True, "content": {"application/json": body}},
            "security": SIGNED_BY_FLUENT,
        },
    }


def asking(answer: Any) -> Fields:
    """Arguments of a route that answers where something stands."""
    return {
        "responses": {200: {"model": answer, "description": "This is where it stands."}, **problems(ASKING)},
        "openapi_extra": {"security": SIGNED},
    }


def viewing() -> Fields:
    """Arguments of the route of a sale's page."""
    return _linked("text/html", "The page.", (401, 404, 500))


def watching() -> Fields:
    """Arguments of the route of a sale's events."""
    return _linked("text/event-stream", "The events, without end.", (401, 404, 500, 503))


def _linked(media_type: str, description: str, statuses: Sequence[int]) -> Fields:
    content = {media_type: {"schema": {"type": "string"}}}
    return {
        "responses": {200: {"description": description, "content": content}, **problems(statuses)},
        "response_class": Response,
        "openapi_extra": {"security": SIGNED_LINK},
    }


def document(app: FastAPI) -> Fields:
    """The whole document."""
    found = get_openapi(
        title="Flash-sale reservations: HTTP bridge",
        version=version("flash-sale-reservations"),
        description=DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        routes=app.routes,
    )
    components = found.setdefault("components", {})
    components["schemas"] = dict(sorted((components.get("schemas", {}) | _request_schemas()).items()))
    components["securitySchemes"] = {
        scheme: {"type": "apiKey", "in": "header", "name": header, "description": text}
        for scheme, (header, text) in _HEADERS.items()
    } | {
        scheme: {"type": "apiKey", "in": "query", "name": name, "description": text}
        for scheme, (name, text) in _LINK.items()
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
