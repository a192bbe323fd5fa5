"""Whole sales through the bridge: real workers, the Fluent simulator, curl."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.bridge.process import CLIENT, SECRET, BridgeProcess, placed
from tests.support.kafka import KafkaUnderTest, unique_prefix
from tests.support.system import System, system

HERE = Path(__file__).parent
TEMPLATE = (HERE / "template-testing.md").read_text(encoding="utf-8")
TEMPLATE_ADDRESS = "https://{workspace}.versori.run"
STOCK = {"SKU-001": {"LOC-1": 500}, "SKU-002": {"LOC-1": 500}}
TIMES = {"claimGraceSeconds": 0.3, "fluentVerifySeconds": 5}


@pytest.fixture(scope="module")
def sales(kafka: KafkaUnderTest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system with one worker."""
    with system(kafka.bootstrap, unique_prefix(), tmp_path_factory.mktemp("sales"), STOCK, **TIMES) as built:
        built.start_worker()
        yield built


@pytest.fixture(scope="module")
def unsigned(sales: System) -> Iterator[BridgeProcess]:
    """A bridge as the template's callers find it: no signature, and they wait for the answer."""
    arguments = ["--unsigned", "--default-wait", "5"]
    with BridgeProcess(sales.environment(), sales.directory / "unsigned", *arguments) as process:
        yield process.wait_ready()


def shell(script: str, **environment: str) -> str:
    """Run a script; only what it needs is in its environment."""
    done = subprocess.run(
        ["sh", "-eu", "-c", script],  # noqa: S607
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "no_proxy": "*", **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def template_command(heading: str) -> str:
    """The curl command under a heading of the template, and nothing else of it."""
    found = re.search(rf"### {heading}\n\n```bash\n(.*?)```", TEMPLATE, re.DOTALL)
    assert found is not None
    return found[1]


def like(example: Any) -> Any:
    """A JSON value's shape: field names and types, not the values."""
    if isinstance(example, dict):
        return {name: like(value) for name, value in example.items()}
    return [like(value) for value in example] if isinstance(example, list) else type(example)


@pytest.mark.slow
def test_the_templates_curl_commands_work_with_only_the_address_exchanged(unsigned: BridgeProcess) -> None:
    start = template_command("Start Flash Sale").replace(TEMPLATE_ADDRESS, unsigned.url)
    expected = json.loads(re.findall(r"```json\n(.*?)```", TEMPLATE, re.DOTALL)[0])
    answer = json.loads(shell(start))
    assert like(answer) | {"reservations": None} == like(expected) | {"reservations": None}
    for given, wanted in zip(answer["reservations"], expected["reservations"], strict=True):
        assert set(wanted) <= set(given)
        assert (given["sku"], given["success"], given["quantity"]) == (
            wanted["sku"],
            True,
            wanted["quantity"],
        )
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", given["expiresAt"])
    assert answer["summary"] == expected["summary"]

    consume = template_command("Consume Reservation").replace(TEMPLATE_ADDRESS, unsigned.url)
    consumed = json.loads(shell(consume))
    assert consumed["status"] == 200 and consumed["orderRef"] == "ORD-5001"
    assert consumed["consumeResults"] == [{"sku": "SKU-001", "quantity": 2, "consumed": True}]
    assert isinstance(consumed["duration"], int)


@pytest.mark.slow
def test_a_script_with_nothing_but_curl_runs_a_sale_from_start_to_report(sales: System) -> None:
    script = (HERE / "sale.sh").read_text()
    with BridgeProcess(sales.environment(), sales.directory / "signed") as process:
        process.wait_ready()
        lines = shell(script, URL=process.url, CLIENT=CLIENT, SECRET=SECRET).splitlines()
    start, first, second, cancel, order, end, promotion = map(json.loads, lines)
    assert start["summary"] == {"success": 1, "errors": 0}
    assert first["outcome"] == "ACCEPTED"
    assert second["outcome"] == "REJECTED" and second["consumeResults"][0]["reason"] == "EXHAUSTED"
    assert cancel["outcome"] == "CANCELLED" and cancel["cancelResults"][0]["cancelled"] is True
    assert [entry["outcome"] for entry in order] == ["CANCELLED"]
    assert end["report"]["kind"] == "FINAL"
    totals = promotion["report"]["totals"]
    assert promotion["status"] == "CLOSED"
    assert (totals["reserved"], totals["consumed"], totals["cancelled"], totals["released"]) == (3, 0, 2, 3)


def test_a_decision_that_another_one_contradicts_is_a_409_from_the_worker(unsigned: BridgeProcess) -> None:
    def claim(quantity: int) -> str:
        body = json.dumps(placed("TWICE", "NONE", quantity=quantity))
        return shell(f"curl -sS -w ' %{{http_code}}' {unsigned.url}/consume-reservation -d '{body}'")

    first = claim(1)
    assert first.endswith(" 200") and "NO_RESERVATION" in first
    assert claim(1).endswith(" 200")
    second = claim(2)
    assert second.endswith(" 409") and '"reason":"CONFLICT"' in second


def test_the_end_of_a_promotion_that_nobody_started_is_a_404(unsigned: BridgeProcess) -> None:
    answer = shell(f"""curl -sS {unsigned.url}/end-flash-sale -d '{{"promotion":{{"id":"NOBODYS"}}}}'""")
    assert '"status":404' in answer and '"reason":"NO_PROMOTION"' in answer
