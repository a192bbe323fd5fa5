"""The profile's documents against the schema that the server describes: what does not fit is named early."""

from __future__ import annotations

import structlog
from graphql import GraphQLError, GraphQLSchema, build_client_schema, get_introspection_query, parse, validate

from fluent.client import FluentClient, Operation
from fluent.errors import FluentError, Unanswered
from fluent.profile import Profile

log = structlog.get_logger("fluent")


class NotDescribed(FluentError):
    """The server does not let itself be described: nothing can be said, and nothing need be wrong."""


async def described_schema(client: FluentClient) -> GraphQLSchema:
    """The server's schema. Raises NotDescribed, or Unanswered when the server is away."""
    text = get_introspection_query(descriptions=False, specified_by_url=False, directive_is_repeatable=False)
    try:
        # One top-level field, so the answer can be taken for a whole introspection result.
        data = await client.call(Operation("introspection", text), {})
        return build_client_schema({"__schema": data["__schema"]})
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
