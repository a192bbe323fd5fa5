"""`flashsale check`: tries everything that a sale will need and changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Annotated

import typer
from confluent_kafka import KafkaException

from flashsale.admin import Finding, check_rights, check_topics
from flashsale.cli.console import complain, configured, say_state
from fluent import Gateway, ProfileError
from fluent.check import CheckLine, check_fluent
from schemas.topics import TOPICS
from streams.kafka import check_broker
from streams.settings import ConfigurationError, NoBrokerError, Settings

BAD_ANSWER = 1
NOT_CONFIGURED = 2
"""Nothing to connect to, or nobody answers there."""


class State(StrEnum):
    """How a check went. A notice is worth knowing and fails nothing."""

    OK = "ok"
    NOTICE = "notice"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that was tried. `remedy` says what to do where it failed.

    `not_configured` tells a login that is missing from one that is wrong: exit status 2, not 1.
    """

    state: State
    subject: str
    detail: str
    remedy: str = ""
    not_configured: bool = False

    def __str__(self) -> str:
        told = f"{self.detail} -> {self.remedy}" if self.remedy else self.detail
        return f"{self.subject:<16} {' '.join(told.split())}"


Check = Callable[[Settings], Iterable[Line]]


def check(
    sku: Annotated[str | None, typer.Option(help="Also look at this SKU's stock in Fluent.")] = None,
) -> int:
    """Print one line for everything that was tried. Raises ConfigurationError.

    Returns 1 when something failed, 2 when the broker does not answer or Fluent's login is not configured.
    """
    settings = configured("ERROR")
    settings.require_kafka()
    kafka: dict[str, Check] = {"broker": _broker, "rights": _rights, "topics": _topics}
    status = _told(_configuration(settings))
    for name, check in kafka.items():
        status = max(status, _told(_tried(name, check, settings)))
        if status == NOT_CONFIGURED:
            break  # nobody answers there: rights and topics cannot be asked for
    return max(status, _told(_tried("Fluent", partial(_fluent, sku=sku), settings)))


def _told(lines: Iterable[Line]) -> int:
    """Print lines as they come; what keeps a check from being made at all also goes to standard error."""
    status = 0
    for line in lines:
        say_state(line.state, str(line))
        if line.not_configured:
            complain(line.detail)
        failed = NOT_CONFIGURED if line.not_configured else BAD_ANSWER
        status = max(status, failed if line.state is State.FAILED else 0)
    return status


def _tried(name: str, check: Check, settings: Settings) -> Iterator[Line]:
    try:
        yield from check(settings)
    except KafkaException as failure:
        refused = f"Kafka refused: {failure.args[0].str()}"
        yield Line(State.FAILED, name, refused, "ask the cluster's operators")
    except NoBrokerError as error:
        yield Line(State.FAILED, name, str(error), not_configured=True)
    except ConfigurationError as error:
        yield Line(State.FAILED, name, str(error))


def _configuration(settings: Settings) -> Iterator[Line]:
    prefix = settings.topic_prefix or "(none)"
    detail = f"{settings.config_source}; {settings.config.partitions} partitions, topic prefix {prefix}"
    yield Line(State.OK, "configuration", detail)
    for notice in settings.notices:
        yield Line(State.NOTICE, "configuration", notice)


def _broker(settings: Settings) -> Iterator[Line]:
    count = check_broker(settings)
    yield Line(State.OK, "broker", f"{count} at {settings.require_kafka()}")


def _rights(settings: Settings) -> Iterator[Line]:
    findings = check_rights(settings)
    yield from (_failed("rights", finding) for finding in findings)
    if not findings:
        yield Line(State.OK, "rights", "nothing that a worker needs is denied")


def _topics(settings: Settings) -> Iterator[Line]:
    wrong = [finding for finding in check_topics(settings) if not finding.ok]
    yield from (_failed("topics", finding) for finding in wrong)
    if not wrong:
        yield Line(State.OK, "topics", f"all {len(TOPICS)} are as they should be")


def _failed(subject: str, finding: Finding) -> Line:
    return Line(State.FAILED, subject, f"{finding.topic}: {finding.problem}", finding.remedy)


def _fluent(settings: Settings, sku: str | None) -> Iterator[Line]:
    """Login, catalogue, fields used, and a SKU's positions and availability where one is given."""
    try:
        settings.require_fluent()
    except ConfigurationError as error:
        yield Line(State.FAILED, "Fluent login", str(error), not_configured=True)
        return
    try:
        found = asyncio.run(_asked(settings, sku))
    except ProfileError as error:
        yield Line(State.FAILED, "Fluent documents", str(error))
        return
    for line in found:
        yield Line(State.OK if line.ok else State.FAILED, line.name, line.detail, line.remedy)


async def _asked(settings: Settings, sku: str | None) -> list[CheckLine]:
    async with Gateway.from_settings(settings.fluent, settings.config) as gateway:
        return await check_fluent(gateway, sku)
