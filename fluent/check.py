"""Everything that a sale will need of Fluent, tried one after the other. Changes nothing.

The profile's documents are compared with the schema that the server describes, so that what does not fit is
named before the sale.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from graphql import GraphQLError, GraphQLSchema, build_client_schema, get_introspection_query, parse, validate

from fluent import profile as names
from fluent.client import FluentClient, Operation
from fluent.errors import FluentError, NotPermitted, NotSettled, Refused, Unanswered, UnreadableAnswer
from fluent.gateway import Gateway
from fluent.parts import Part, part_ref, total_free
from fluent.profile import Profile
from streams.log import get_logger

log = get_logger("fluent")


@dataclass(frozen=True, slots=True)
class CheckLine:
    """One thing tried. `remedy` says what to do where it is not `ok`."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""


async def check_fluent(gateway: Gateway, sku: str | None = None) -> list[CheckLine]:
    """Login, catalogue, documents and, for a SKU, its positions and what is available. Raises nothing."""
    lines = [await _line("Fluent login", _login(gateway), _LOGIN_REMEDY)]
    if not lines[0].ok:
        return lines
    if gateway.profile.has(names.CATALOGUE):
        lines.append(await _line("Fluent catalogue", _catalogue(gateway), _CATALOGUE_REMEDY))
    lines.append(await _line("Fluent documents", _documents(gateway), _DOCUMENTS_REMEDY))
    lines.append(await _line("Fluent rights", _rights(gateway), _RIGHTS_REMEDY))
    if sku is not None:
        lines.append(await _line(f"Fluent SKU {sku}", _sku(gateway, sku), _SKU_REMEDY))
    return lines


_LOGIN_REMEDY = (
    "Check FLUENT_BASE_URL, FLUENT_ACCOUNT, FLUENT_CLIENT_ID, FLUENT_CLIENT_SECRET, FLUENT_USERNAME and "
    "FLUENT_PASSWORD, and that this machine reaches Fluent (HTTPS_PROXY, SSL_CERT_FILE)."
)
_CATALOGUE_REMEDY = "Set catalogueRef in the configuration to a catalogue of this account."
_DOCUMENTS_REMEDY = "Choose the fluentProfile that fits the account, or adapt a copy of one (docs/fluent.md)."
_RIGHTS_REMEDY = (
    "Give the role of this login the permission that Fluent names: a sale reads the inventory, and creates "
    "and updates inventory quantities."
)
_SKU_REMEDY = "Check the SKU (Fluent's productRef), the catalogue and the status of its positions."


class _Bad(Exception):
    """What was tried works, but its answer is not good enough."""


Attempt = Callable[[], Awaitable[str]]


async def _line(name: str, attempt: Attempt, remedy: str) -> CheckLine:
    try:
        return CheckLine(name, True, await attempt())
    except NotPermitted as error:
        return CheckLine(name, False, str(error), _RIGHTS_REMEDY)
    except (FluentError, _Bad) as error:
        return CheckLine(name, False, str(error), remedy)


def _login(gateway: Gateway) -> Attempt:
    async def attempt() -> str:
        await gateway.client.log_in()
        if not gateway.profile.has(names.WHO_AM_I):
            return f"{gateway.options.base_url}, account {gateway.options.account}"
        mapped = gateway.profile.operations[names.WHO_AM_I]
        user = mapped.read(await gateway.client.call(mapped.operation, mapped.bind({})))
        return f"{gateway.options.base_url}, account {gateway.options.account}, user {user or 'unnamed'}"

    return attempt


def _catalogue(gateway: Gateway) -> Attempt:
    async def attempt() -> str:
        ref = gateway.options.catalogue
        mapped = gateway.profile.operations[names.CATALOGUE]
        found = mapped.read(await gateway.client.call(mapped.operation, mapped.bind({"catalogue": ref})))
        if not found:
            raise _Bad(f"there is no catalogue {ref}")
        if not isinstance(found, Mapping):
            raise _Bad(f"what is said of catalogue {ref} is no catalogue: {found!r:.100}")
        return f"{ref}, status {found.get('status')}"

    return attempt


def _documents(gateway: Gateway) -> Attempt:
    async def attempt() -> str:
        profile = gateway.profile
        try:
            found = misfits(profile, await described_schema(gateway.client))
        except NotDescribed:
            return f"profile {profile.name}: not checked, Fluent does not describe its schema to this login"
        if found:
            raise _Bad(f"profile {profile.name} does not fit: {'; '.join(found[:3])}")
        return f"profile {profile.name}: all {len(profile.operations)} operations fit the schema"

    return attempt


def _rights(gateway: Gateway) -> Attempt:
    """Whether this login may write: an update under a ref that nobody has changes nothing."""

    async def attempt() -> str:
        stock = gateway.stock("", "", f"FS-check-{uuid.uuid4()}")
        nobodys = Part(part_ref(stock.stem, 1), "", "", gateway.profile.hold_type, 0, live=True)
        try:
            await stock.end(nobodys)
        except (NotSettled, UnreadableAnswer):  # the first says that it is not found
            return "may update inventory quantities"
        except (NotPermitted, Unanswered):
            raise
        except Refused as error:
            return f"not known: an update under a ref that nobody has is answered {error}"
        raise _Bad(f"{nobodys.ref}, which nobody has, was updated nevertheless")

    return attempt


def _sku(gateway: Gateway, sku: str) -> Attempt:
    async def attempt() -> str:
        free = await gateway.stock("", sku, "").free()
        if not free:
            raise _Bad("no ACTIVE position")
        owed = [f"{position} ({units})" for position, units in free.items() if units < 0]
        below = f"; below zero at {', '.join(owed)}" if owed else ""
        return f"{len(free)} positions, {total_free(free)} units available{below}"

    return attempt


class NotDescribed(FluentError):
    """The server does not let itself be described: nothing can be said, and nothing need be wrong."""


async def described_schema(client: FluentClient) -> GraphQLSchema:
    """The server's schema. Raises NotDescribed, or Unanswered when the server is away."""
    text = get_introspection_query(descriptions=False, specified_by_url=False, directive_is_repeatable=False)
    try:
        # One top-level field, so the answer can be taken for a whole introspection result.
        data = await client.call(Operation("introspection", text), {})
        # Whether the schema itself keeps all of GraphQL's rules is the server's business.
        return build_client_schema({"__schema": data["__schema"]}, assume_valid=True)
    except Unanswered:
        raise
    except (FluentError, GraphQLError, KeyError, TypeError) as error:
        raise NotDescribed(f"Fluent does not describe its schema: {error}") from None


def misfits(profile: Profile, schema: GraphQLSchema) -> list[str]:
    """A sentence for each thing in the profile's documents that the schema does not have."""
    return [
        f"{name}: {error.message}"
        for name, mapped in profile.operations.items()
        for error in validate(schema, parse(mapped.operation.text))
    ]


async def warn_of_misfits(client: FluentClient, profile: Profile) -> list[str]:
    """For the start: logs a warning for each misfit and returns them; never fails."""
    try:
        found = misfits(profile, await described_schema(client))
    except FluentError as error:
        log.info("fluent_documents_not_checked", profile=profile.name, because=str(error))
        return []
    for sentence in found:
        log.warning(
            "fluent_document_does_not_fit",
            profile=profile.name,
            misfit=sentence,
            recommendation="Choose another fluentProfile, or adapt a copy of the profile (docs/fluent.md).",
        )
    return found
