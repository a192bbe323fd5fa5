"""`flashsale check`: tries everything that a sale will need and changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from confluent_kafka import KafkaException

from streams.admin import Finding, check_rights, check_topics
from streams.cli.output import complain, say
from streams.cli.start import configured
from streams.kafka import check_broker
from streams.settings import ConfigurationError, Settings
from streams.topology import TOPICS

BAD_ANSWER = 1
NO_CONNECTION = 2


class State(StrEnum):
    """How a check went. A notice is worth knowing and fails nothing."""

    OK = "ok"
    NOTICE = "notice"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that was tried. `remedy` says what to do where it failed."""

    state: State
    subject: str
    detail: str
    remedy: str = ""

    def __str__(self) -> str:
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"{self.state:<7} {self.subject:<14} {self.detail}{remedy}"


Check = Callable[[Settings], Iterable[Line]]


def check_everything(sku: str | None) -> int:
    """Print one line for everything that was tried. Raises ConfigurationError.

    Returns 1 when something failed, 2 when the broker cannot be reached at all.
    """
    settings = configured("ERROR")
    settings.require_kafka()
    status = _told(_configuration(settings))
    status = max(status, _broker(settings))
    if status < NO_CONNECTION:
        status = max(status, *(_told(_tried(name, check, settings)) for name, check in KAFKA_CHECKS.items()))
    return status


def _told(lines: Iterable[Line]) -> int:
    failed = False
    for line in lines:
        say(str(line))
        failed |= line.state is State.FAILED
    return BAD_ANSWER if failed else 0


def _tried(name: str, check: Check, settings: Settings) -> Iterator[Line]:
    try:
        yield from check(settings)
    except KafkaException as failure:
        yield Line(
            State.FAILED, name, f"Kafka refused: {failure.args[0].str()}", "ask the cluster's operators"
        )
    except ConfigurationError as error:
        yield Line(State.FAILED, name, str(error))


def _configuration(settings: Settings) -> Iterator[Line]:
    yield Line(
        State.OK, "configuration", f"{settings.config.partitions} partitions, prefix {_prefix(settings)}"
    )
    for notice in settings.notices:
        yield Line(State.NOTICE, "configuration", notice)


def _prefix(settings: Settings) -> str:
    return settings.topic_prefix or "(none)"


def _broker(settings: Settings) -> int:
    servers = settings.require_kafka()
    try:
        count = check_broker(settings)
    except ConfigurationError as error:
        say(
            str(
                Line(State.FAILED, "broker", f"none answers at {servers}", "start it, or correct the address")
            )
        )
        complain(str(error))
        return NO_CONNECTION
    say(str(Line(State.OK, "broker", f"{count} at {servers}")))
    return 0


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


KAFKA_CHECKS: dict[str, Check] = {"rights": _rights, "topics": _topics}
