"""`flashsale status --watch`: whoever watches goes on watching, whatever becomes of the brokers."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, KafkaException

import flashsale.cli.status
from flashsale.status.report import report_of
from schemas.status import StatusReport
from streams.settings import NoBrokerError
from tests.flashsale.test_attention import SETTINGS, facts


def test_watching_goes_on_while_no_broker_answers(
    monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    report = report_of(SETTINGS, facts(), with_lines=False)
    unknown = KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE, "no leader"))
    told: list[StatusReport | BaseException] = [
        KeyboardInterrupt(),
        report,
        unknown,
        NoBrokerError("No Kafka broker answers at nowhere."),
        report,
    ]

    def status_report(*_: object) -> StatusReport:
        found = told.pop()
        if isinstance(found, BaseException):
            raise found
        return found

    monkeypatch.setattr(flashsale.cli.status, "status_report", status_report)
    monkeypatch.setattr(flashsale.cli.status, "connected", lambda: SETTINGS)
    monkeypatch.setattr(flashsale.cli.status, "EVERY_S", 0)
    assert flashsale.cli.status.status(watch=True, json=True) == 0
    done = capsysbinary.readouterr()
    assert len(done.out.splitlines()) == 2
    assert done.err.splitlines() == [b"No Kafka broker answers at nowhere.", b"Kafka refused: no leader."]
