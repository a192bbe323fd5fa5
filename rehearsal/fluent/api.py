"""What a client of Fluent sees: ``POST /oauth/token`` and ``POST /graphql``."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request

from rehearsal.fluent.delivery import (
    Answer,
    Apply,
    Exchange,
    deliver,
    failed,
    json_answer,
    too_many_requests,
)
from rehearsal.fluent.execution import GraphQLRequest, refusal
from rehearsal.fluent.faults import Fate
from rehearsal.fluent.oauth import OAuthRefused
from rehearsal.fluent.records import Code
from rehearsal.fluent.switches import Fault
from rehearsal.fluent.world import World

MAX_BODY_BYTES = 2 * 1024 * 1024
TOKEN = "token"  # noqa: S105 - the name by which a one-shot fault means the token call

_TOO_LARGE = json_answer(413, {"error": f"the body is larger than {MAX_BODY_BYTES} bytes"})
_UNAUTHORIZED = json_answer(
    401, {"error": "unauthorized", "error_description": "the bearer token is missing, unknown or expired"}
)
_RATE_LIMITED = json_answer(200, refusal(Code.RATE_LIMIT, "rate limit exceeded"))


async def limited_body(request: Request) -> bytes | None:
    """The body, None when it is too large."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > MAX_BODY_BYTES:
        return None
    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size > MAX_BODY_BYTES:
            return None
        pieces.append(piece)
    return b"".join(pieces)


class Api:
    """The two endpoints; every answer that was not refused early goes through ``deliver``."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def token(self, request: Request, exchange: Exchange) -> None:
        world = self._world
        world.requests[TOKEN] += 1
        body = await limited_body(request)
        if body is None or world.controls.failing:
            await exchange.answer(_TOO_LARGE if body is None else failed(world.controls.failing))
            return
        fate = world.plan.fate({TOKEN}, body, reads_only=False)
        account, form = request.headers.get("fluent.account"), dict(parse_qsl(body.decode(errors="replace")))
        await deliver(exchange, fate, lambda _: self._issue(account, form), world.controls)

    def _issue(self, account: str | None, form: Mapping[str, str]) -> Answer:
        try:
            return json_answer(200, self._world.tokens.issue(account, form))
        except OAuthRefused as refused:
            return json_answer(refused.status, refused.body)

    async def graphql(self, request: Request, exchange: Exchange) -> None:
        world = self._world
        body = await limited_body(request)
        early = self._refused_early(request, body)
        if early is not None or body is None:
            await exchange.answer(early or _TOO_LARGE)
            return
        try:
            prepared = world.executor.prepare(msgspec.json.decode(body))
        except (msgspec.DecodeError, ValueError) as error:
            await exchange.answer(json_answer(400, {"error": f"not a GraphQL request: {error}"}))
            return
        world.requests.update(prepared.names)
        reads_only = prepared.operation is not None and not prepared.operation.mutation
        fate = world.plan.fate(prepared.names, body, reads_only=reads_only)
        await deliver(exchange, fate, self._applying(prepared, fate), world.controls)

    def _refused_early(self, request: Request, body: bytes | None) -> Answer | None:
        world = self._world
        if world.controls.failing:
            return failed(world.controls.failing)
        if not world.tokens.valid(request.headers.get("authorization")):
            return _UNAUTHORIZED
        if body is None:
            return _TOO_LARGE
        if not world.rate_limit.take():
            return (
                _RATE_LIMITED
                if world.controls.rate_limit_answer == "C0011"
                else too_many_requests(world.controls)
            )
        return None

    def _applying(self, prepared: GraphQLRequest, fate: Fate) -> Apply:
        def apply(stale: bool) -> Answer:
            world = self._world
            if fate.fault is Fault.REFUSED:
                return json_answer(200, refusal(fate.code, "refused on demand"))
            for sale in fate.sales:
                world.channels.sell(sale)
            world.workflow.run_due()
            view = world.history.as_of(world.clock() - world.controls.stale_ms) if stale else None
            answer = world.executor.execute(prepared, view, introspection=world.controls.introspection)
            return json_answer(200, answer)

        return apply
