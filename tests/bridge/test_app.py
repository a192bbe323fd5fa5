"""The way past FastAPI: same answers, and nothing but events takes it."""

from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from bridge.app import Direct
from bridge.problems import Problem


async def taken(request: Request) -> Response:
    return PlainTextResponse(f"taken {(await request.body()).decode()}")


async def refused(request: Request) -> Response:
    raise Problem(422, "It is no event", "Send one.")


async def broken(request: Request) -> Response:
    raise RuntimeError("nobody thought of this")


def client(*, raises: bool = False) -> httpx.AsyncClient:
    app = Direct(FastAPI(), {"/taken": taken, "/refused": refused, "/broken": broken})
    transport = httpx.ASGITransport(app, raise_app_exceptions=raises)
    return httpx.AsyncClient(transport=transport, base_url="http://bridge")


async def test_an_event_goes_to_its_handler_and_all_else_to_the_app() -> None:
    async with client() as http:
        answered = await http.post("/taken", content="E-1")
        assert (answered.status_code, answered.text) == (200, "taken E-1")
        assert (await http.get("/taken")).status_code == 404
        assert (await http.post("/taken/more")).status_code == 404


async def test_a_problem_is_answered_with_its_details() -> None:
    async with client() as http:
        answered = await http.post("/refused")
    assert answered.status_code == 422 and answered.json()["recommendation"] == "Send one."
    assert answered.headers["content-type"] == "application/problem+json"


async def test_what_nobody_foresaw_is_a_500_that_says_to_repeat_and_reaches_the_log() -> None:
    async with client() as http:
        answered = await http.post("/broken")
    assert answered.status_code == 500 and "a repeat changes nothing" in answered.json()["recommendation"]
    async with client(raises=True) as http:
        with pytest.raises(RuntimeError, match="nobody thought of this"):
            await http.post("/broken")
