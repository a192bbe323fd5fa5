"""A bare client of Fluent's API: what it gets is what came over the socket."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from typing import Any, Self

import httpx

CATALOGUE = {"ref": "DEFAULT:1"}
PASSWORD_GRANT = {
    "grant_type": "password",
    "username": "simulator",
    "password": "simulator",
    "client_id": "simulator",
    "client_secret": "simulator",
    "scope": "api",
}

# Made once: building it is what takes longest in making a client.
NO_TLS = ssl.create_default_context()

CREATE = """
mutation Hold($input: CreateInventoryQuantityInput) {
  createInventoryQuantity(input: $input) { id ref type status quantity createdOn position { ref } }
}
"""
UPDATE = """
mutation Change($input: UpdateInventoryQuantityInput) {
  updateInventoryQuantity(input: $input) { ref status quantity }
}
"""
READ = """
query Read($ref: String!, $catalogue: InventoryCatalogueKey!) {
  inventoryQuantity(ref: $ref, catalogue: $catalogue) {
    ref type status quantity attributes { name type value }
  }
}
"""
AVAILABLE = """
query Available($position: InventoryPositionKey!, $type: [String!]) {
  inventoryQuantityAggregate(position: $position, type: $type, status: ["CREATED", "ACTIVE"]) { sum count }
}
"""


def place(sku: str, location: str = "LOC-1") -> dict[str, Any]:
    return {"ref": f"{sku}:{location}:DEFAULT", "catalogue": CATALOGUE}


def hold(ref: str, sku: str, units: int, location: str = "LOC-1", **more: Any) -> dict[str, Any]:
    """The input of a hold of so many units."""
    return {
        "ref": ref,
        "catalogue": CATALOGUE,
        "position": place(sku, location),
        "type": "SOFT_RESERVE",
        "quantity": -units,
        **more,
    }


class Caller:
    def __init__(self, base_url: str) -> None:
        self.http = httpx.Client(base_url=base_url, timeout=10, trust_env=False, verify=NO_TLS)
        self._headers: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def token(self, form: dict[str, str] | None = None, account: str | None = "SIM") -> httpx.Response:
        headers = {"fluent.account": account} if account is not None else {}
        return self.http.post("/oauth/token", data=PASSWORD_GRANT if form is None else form, headers=headers)

    def login(self) -> None:
        self.use(self.token().raise_for_status().json()["access_token"])

    def use(self, token: str) -> None:
        self._headers = {"authorization": f"bearer {token}"}

    @property
    def authorization(self) -> str:
        return self._headers["authorization"]

    def post(self, query: str, timeout: float = 10, **variables: Any) -> httpx.Response:
        """The raw answer to a GraphQL request."""
        body = {"query": query, "variables": variables}
        return self.http.post("/graphql", json=body, headers=self._headers, timeout=timeout)

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The whole envelope of an answer with HTTP status 200."""
        response = self.post(query, **variables)
        assert response.status_code == 200, response.text
        envelope: dict[str, Any] = response.json()
        return envelope

    def data(self, query: str, **variables: Any) -> dict[str, Any]:
        """The data of an answer without errors."""
        envelope = self.ask(query, **variables)
        assert "errors" not in envelope, envelope
        data: dict[str, Any] = envelope["data"]
        return data

    def create(self, ref: str, sku: str, units: int, location: str = "LOC-1", **more: Any) -> dict[str, Any]:
        created: dict[str, Any] = self.data(CREATE, input=hold(ref, sku, units, location, **more))
        return dict(created["createInventoryQuantity"])

    def update(self, ref: str, **changes: Any) -> dict[str, Any]:
        change = {"ref": ref, "catalogue": CATALOGUE, **changes}
        return dict(self.data(UPDATE, input=change)["updateInventoryQuantity"])

    def read(self, ref: str) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self.data(READ, ref=ref, catalogue=CATALOGUE)["inventoryQuantity"]
        return found

    def available(self, sku: str, location: str = "LOC-1") -> int:
        types = ["LAST_ON_HAND", "RESERVED", "SALE", "SOFT_RESERVE", "CORRECTION", "DELTA"]
        answer = self.data(AVAILABLE, position=place(sku, location), type=types)
        return int(answer["inventoryQuantityAggregate"]["sum"])


def eventually(condition: Callable[[], bool], timeout_s: float = 10) -> None:
    """Waits for a condition; fails when it does not come true in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not so after {timeout_s} s"
        time.sleep(0.02)


def codes(envelope: dict[str, Any]) -> list[str]:
    """The error codes of an answer, in order."""
    return [error["extensions"]["code"] for error in envelope.get("errors", [])]
