"""The OpenAPI document describes what the bridge does: schemathesis asks, over real connections."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from bridge.app import EVENT_ROUTES
from schemas.parsing import EVENTS
from tests.bridge.process import BridgeProcess, signed

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]

BOUNDED = settings(
    max_examples=15,
    derandomize=True,
    database=None,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def document(bridge: BridgeProcess) -> dict[str, Any]:
    """The document as the running bridge serves it."""
    found: dict[str, Any] = httpx.get(f"{bridge.url}/openapi.json", trust_env=False).json()
    return found


def sign_request(request: Any) -> Any:
    """Sign what is about to be sent, so that it gets past the door; nobody waits long for a decision."""
    body = request.body or b""
    content = body if isinstance(body, bytes) else body.encode()
    request.headers.update(signed(request.method, request.path_url, content))
    if "Prefer" in request.headers:
        request.headers["Prefer"] = "wait=0"
    return request


ROUTES = [*(route for route, *_ in EVENT_ROUTES), "/fluent-events", "/orders/{ref}", "/promotions/{id}"]


WELCOME = {
    **{route: {202, 422} for route, *_ in EVENT_ROUTES},
    "/fluent-events": {401},
    "/orders/{ref}": {200, 404},
    "/promotions/{id}": {200, 404},
}
"""How requests that the document allows are answered: Fluent's key is not known, refs are made up."""


@pytest.mark.parametrize("route", [*ROUTES, "/healthz", "/readyz", "/openapi.json"])
def test_no_request_makes_it_fail_or_answer_what_the_document_does_not_say(
    bridge: BridgeProcess, document: dict[str, Any], route: str
) -> None:
    method = next(iter(document["paths"][route]))
    operation = schemathesis.openapi.from_dict(document)[route][method]

    @BOUNDED
    @given(case=operation.as_strategy())
    def ask(case: Any) -> None:
        answer = case.call_and_validate(base_url=bridge.url, checks=CHECKS, timeout=30, auth=sign_request)
        assert answer.status_code in WELCOME.get(route, {200})

    ask()


@pytest.mark.parametrize("route", ROUTES)
def test_nor_does_a_request_that_the_document_forbids(
    bridge: BridgeProcess, document: dict[str, Any], route: str
) -> None:
    method = next(iter(document["paths"][route]))
    operation = schemathesis.openapi.from_dict(document)[route][method]

    @BOUNDED
    @given(case=operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
    def ask(case: Any) -> None:
        case.call_and_validate(
            base_url=bridge.url, checks=[not_a_server_error], timeout=30, auth=sign_request
        )

    ask()


def test_every_event_route_documents_body_examples_signature_and_errors(document: dict[str, Any]) -> None:
    schemes = document["components"]["securitySchemes"]
    headers = {scheme["name"] for scheme in schemes.values() if scheme["in"] == "header"}
    webhook = {"webhook-id", "webhook-timestamp", "webhook-signature"}
    assert headers == {"X-Client-Id", "X-Timestamp", "X-Signature", *webhook, "fluent-signature"}
    for path, topic, *_ in EVENT_ROUTES:
        operation = document["paths"][path]["post"]
        content = operation["requestBody"]["content"]["application/json"]
        assert content["schema"]["$ref"].endswith(f"/{EVENTS[topic].__name__}")
        for example in content["examples"].values():
            EVENTS[topic].model_validate_json(httpx.Request("POST", "http://x", json=example["value"]).read())
        assert set(operation["responses"]) == {
            "200",
            "202",
            "400",
            "401",
            "403",
            "408",
            "409",
            "413",
            "415",
            "422",
            "500",
            "503",
        }
        assert set(operation["security"][0]) == {"ClientId", "Timestamp", "Signature"}
        problem = operation["responses"]["422"]["content"]["application/problem+json"]["schema"]
        assert problem["$ref"].endswith("/ProblemDetails")


def test_a_sales_page_and_its_events_are_documented_with_their_link(document: dict[str, Any]) -> None:
    for path, media_type in (("/sale/{id}", "text/html"), ("/sale/{id}/events", "text/event-stream")):
        operation = document["paths"][path]["get"]
        assert set(operation["responses"]["200"]["content"]) == {media_type}
        names = [document["components"]["securitySchemes"][each] for each in operation["security"][0]]
        assert [each["name"] for each in names] == ["client", "expires", "signature"]
        assert {"401", "500"} <= set(operation["responses"])


def test_every_operation_is_described_in_sentences_of_its_own(document: dict[str, Any]) -> None:
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    texts = [operation["description"] for operation in operations]
    texts += [answer["description"] for each in operations for answer in each["responses"].values()]
    assert [text for text in texts if not (text[0].isupper() and text.endswith("."))] == []
    assert not [text for text in texts if "partial" in text or "Raises" in text]
    assert len({operation["description"] for operation in operations}) == len(operations)


def test_the_document_has_the_version_of_the_package(document: dict[str, Any]) -> None:
    assert document["info"]["version"] == version("flash-sale-reservations")


def test_every_reference_in_the_document_leads_somewhere(document: dict[str, Any]) -> None:
    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if "$ref" in node else []
            return own + [found for value in node.values() for found in references(value)]
        return [found for value in node for found in references(value)] if isinstance(node, list) else []

    schemas = document["components"]["schemas"]
    missing = {
        ref for ref in references(document) if ref.removeprefix("#/components/schemas/") not in schemas
    }
    assert not missing
