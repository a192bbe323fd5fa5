"""Runbooks of docs/operations.md, carried out as they are written."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from flashsale.status.report import status_report
from streams.settings import load_settings
from streams.system import now_ms
from tests.flashsale.command import FLASHSALE, ROOT
from tests.support.audit import final_report, order, promotion_start
from tests.support.kafka import KafkaUnderTest
from tests.support.system import System, system, wait_until

GUIDE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
COMMAND = f'flashsale() {{ "{sys.executable}" {" ".join(FLASHSALE[1:])} "$@"; }}'


def written(runbook: str) -> list[str]:
    """The commands of a runbook, in its order."""
    section = GUIDE.split(f"\n## {runbook}\n")[1].split("\n## ")[0]
    return [text for text in re.findall(r"`([^`]+)`", section) if "flashsale " in text]


@pytest.fixture
def sale(kafka: KafkaUnderTest, topic_prefix: str, tmp_path: Path) -> Iterator[System]:
    with system(kafka.bootstrap, topic_prefix, tmp_path, {"A": {"LOC-1": 10}}) as built:
        built.start_worker()
        yield built


def run(sale: System, command: str) -> subprocess.CompletedProcess[str]:
    """One command of the guide, by a shell, as somebody would paste it."""
    return subprocess.run(
        ["bash", "-c", f"{COMMAND}\n{command}"],  # noqa: S607
        env={**os.environ, **sale.environment(), "DATA_DIR": str(sale.directory / "command")},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def start(sale: System, promotion: str, units: int) -> None:
    before = len(sale.read("promotion-results"))
    sale.publish("promotion-start", [promotion_start(promotion, {"A": units})])
    wanted = {"success": 1, "errors": 0}
    assert sale.wait_for("promotion-results", before + 1)[-1].json["summary"] == wanted


def test_a_promotion_that_was_wrong_is_ended_and_the_right_one_started(sale: System) -> None:
    end, report = written("A promotion was wrong")
    start(sale, "FLASH-1", 9)
    sale.publish("order-placed", [order("O-1", "FLASH-1", ("A", 2))])
    assert sale.wait_for("order-outcomes", 1)[0].json["outcome"] == "ACCEPTED"
    assert run(sale, end).returncode == 0
    wait_until(lambda: final_report(sale, "FLASH-1"), "the FINAL report", 60)
    shown = run(sale, report)
    assert shown.returncode == 0 and "FINAL" in shown.stdout
    sale.publish("order-placed", [order("O-2", "FLASH-1", ("A", 1))])
    [late] = [each.json for each in sale.wait_for("order-outcomes", 2) if each.key == b"O-2"]
    assert late["consumeResults"][0]["reason"] == "ENDED"
    start(sale, "FLASH-2", 5)


def test_while_fluent_is_down_check_says_so_and_afterwards_everything_is_released(sale: System) -> None:
    check, reconcile = written("Fluent is down")
    start(sale, "FLASH-1", 9)
    sale.fluent.control(failing=503)
    sale.publish("order-placed", [order("O-1", "FLASH-1", ("A", 2))])
    assert sale.wait_for("order-outcomes", 1)[0].json["outcome"] == "ACCEPTED", (
        "confirmed holds go on selling"
    )
    down = run(sale, check)
    assert down.returncode == 1 and "Fluent" in down.stdout
    sale.publish("promotion-end", [{"promotion": {"id": "FLASH-1", "reason": "over"}}])
    sale.publish("order-placed", [order("O-2", "FLASH-1", ("A", 1))])
    sale.wait_for("order-outcomes", 2)
    assert final_report(sale, "FLASH-1") is None
    settings = load_settings(sale.environment())
    wait_until(
        lambda: status_report(settings, now_ms).fluent.breaker == "open", "status shows the breaker", 60
    )
    sale.fluent.control(failing=0)
    wait_until(lambda: final_report(sale, "FLASH-1"), "the FINAL report", 90)
    agreed = run(sale, reconcile.replace("PROMOTION", "FLASH-1"))
    assert agreed.returncode == 0, agreed.stdout + agreed.stderr


def token_of(sale: System) -> str:
    """A token of the worker's login."""
    given = sale.environment()
    names = ("CLIENT_ID", "CLIENT_SECRET", "USERNAME", "PASSWORD")
    login = {name.lower(): given[f"FLUENT_{name}"] for name in names} | {"grant_type": "password"}
    headers = {"fluent.account": given["FLUENT_ACCOUNT"]}
    answer = httpx.post(
        f"{given['FLUENT_BASE_URL']}/oauth/token", data=login, headers=headers, trust_env=False
    )
    return str(answer.json()["access_token"])


@pytest.mark.skipif(shutil.which("curl") is None, reason="the runbook's command needs curl")
def test_a_hold_that_no_worker_can_end_is_ended_by_hand(sale: System) -> None:
    section = GUIDE.split("\n## Ending holds by hand\n")[1].split("\n## ")[0]
    command = section.split("```sh\n")[1].split("```")[0]
    start(sale, "FLASH-1", 9)
    wait_until(lambda: sale.read("reconciliation-reports"), "a report of it", 60)
    assert sale.workers[-1].terminate() == 0
    [line] = json.loads(run(sale, "flashsale reconcile FLASH-1 --json").stdout)["lines"]
    assert line["held"] == 9
    token = f"export TOKEN={token_of(sale)}"
    ended = run(sale, f"{token}\n{command.replace('FS-FLASH-1-SKU-001-42e22d9e', line['ref'])}")
    assert '"status":"INACTIVE"' in ended.stdout, ended.stderr
    [after] = json.loads(run(sale, "flashsale reconcile FLASH-1 --json").stdout)["lines"]
    assert (after["held"], after["shouldHold"]) == (0, 9)
