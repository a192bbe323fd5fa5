"""Help, bad usage and missing brokers: exit statuses and sentences."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path

import pytest

from flashsale.cli.commands import COMMANDS
from tests.flashsale.command import ROOT, TIMEOUT_S, Command, InProcess, finished

LATER = ("verify", "export", "what-if", "rehearse")

NEEDS_KAFKA = (
    ("topics",),
    ("topics", "--check"),
    ("check",),
    ("worker",),
    ("publish", "order-placed", "-"),
    ("tail", "order-outcomes"),
    ("report", "FLASH-1"),
    ("status",),
    ("inspect", "FLASH-1", "SKU-001"),
    ("dead-letters", "list"),
)


@pytest.mark.kafka
@pytest.mark.parametrize(
    "arguments",
    [("inspect", "P", "--order", "O\udcff"), ("report", "P\udcff"), ("status", "P\udcff")],
    ids=lambda arguments: str(arguments[0]),
)
def test_a_reference_that_is_no_text_is_one_sentence(
    with_topics: Command, arguments: tuple[str, ...]
) -> None:
    done = with_topics(*arguments)
    assert "Traceback" not in done.err and done.status in (1, 2), done
    assert len(done.err.splitlines()) == 1, done.err


def test_help_lists_the_commands_and_none_that_come_later(bare_environment: dict[str, str]) -> None:
    done = Command(bare_environment)("--help")
    listed = " ".join(done.out.split("Commands:\n")[1].split())
    assert (done.status, done.err) == (0, "")
    assert listed == " ".join(f"{name} {command.help}" for name, command in COMMANDS.items())
    assert not set(COMMANDS) & set(LATER)


def test_without_arguments_it_shows_its_help(nowhere: InProcess) -> None:
    assert nowhere() == nowhere("--help")


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself(nowhere: InProcess, command: str) -> None:
    done = nowhere(command, "--help")
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith(f"Usage: flashsale {command}")
    assert COMMANDS[command].help in " ".join(done.out.split())
    assert nowhere(command, "-h") == done


def test_the_version_names_the_clients_too(nowhere: InProcess) -> None:
    done = nowhere("--version")
    own, kafka, faust = (
        version(name) for name in ("flash-sale-reservations", "confluent-kafka", "faust-streaming")
    )
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith(f"flashsale {own} (confluent-kafka {kafka}, ")
    assert f"faust-streaming {faust}" in done.out


def test_a_shell_completes_the_commands(bare_environment: dict[str, str]) -> None:
    flashsale = Command(bare_environment | {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"})
    script = flashsale("--show-completion", "bash")
    assert (script.status, script.err) == (0, "")
    assert "_FLASHSALE_COMPLETE=complete_bash" in script.out
    asked = {"_FLASHSALE_COMPLETE": "complete_bash", "COMP_WORDS": "flashsale re", "COMP_CWORD": "1"}
    assert flashsale(**asked).lines == ["report", "reconcile"]


def test_a_hint_names_the_help_of_the_command(nowhere: InProcess) -> None:
    assert nowhere("report").refused("See `flashsale report --help`.")
    assert nowhere("repot").refused("Did you mean 'report'? See `flashsale --help`.")


@pytest.mark.parametrize("module", ["typer", "pydantic", "confluent_kafka"])
def test_an_interrupt_while_it_still_loads_is_130_without_a_trace(
    bare_environment: dict[str, str], module: str
) -> None:
    code = (
        "import builtins, os, signal\n"
        "loads = builtins.__import__\n"
        "def interrupted(name, *rest):\n"
        f"    if name.split('.')[0] == {module!r}: os.kill(os.getpid(), signal.SIGINT)\n"
        "    return loads(name, *rest)\n"
        "builtins.__import__ = interrupted\n"
        "from flashsale.cli import main\n"
        "main(['report', 'FLASH-1'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=bare_environment,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "sys.argv = ['flashsale', '--help']\n"
        "from flashsale.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'faust', 'aiokafka', 'confluent_kafka', 'pydantic', 'structlog', 'rich', 'fastapi'}\n"
        "sys.stderr.write(' '.join(sorted(heavy & sys.modules.keys())))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=TIMEOUT_S, check=True
    )
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nonsense",), ("No such command 'nonsense'",)),
        (("verify",), ("No such command 'verify'",)),
        (("report",), ("Missing argument",)),
        (("topics", "--nonsense"), ("No such option", "--nonsense")),
        (("worker", "--health-port", "70000"), ("--health-port", "65535")),
        (("report", "P", "--json", "--csv"), ("--json", "--csv")),
        (("tail", "nonsense"), ("nonsense is not a topic", "order-outcomes")),
        (("publish", "order-outcomes", "-"), ("order-outcomes is not an input topic", "order-placed")),
    ],
    ids=" ".join,
)
def test_bad_usage_is_one_sentence_and_status_2(
    nowhere: InProcess, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    assert nowhere(*arguments).refused(*words)


@pytest.mark.parametrize("arguments", NEEDS_KAFKA, ids=" ".join)
def test_without_an_address_a_command_says_which_variable_to_set(
    nowhere: InProcess, arguments: tuple[str, ...]
) -> None:
    assert nowhere(*arguments).refused("KAFKA_BOOTSTRAP_SERVERS is not set", "flashsale kafka")


@pytest.mark.slow
def test_a_broker_that_does_not_answer_is_one_sentence_for_every_command(
    bare_environment: dict[str, str], tmp_path: Path
) -> None:
    nowhere = Command(bare_environment | {"FLUENT_BASE_URL": "http://127.0.0.1:9"})
    events = tmp_path / "orders.jsonl"
    events.write_text(
        json.dumps({"order": {"ref": "O", "promotionId": "P", "items": [{"sku": "A", "quantity": 1}]}})
    )
    with socket.socket() as unanswered, ExitStack() as stack:
        unanswered.bind(("127.0.0.1", 0))  # bound, not listening: whoever connects is refused
        address = f"127.0.0.1:{unanswered.getsockname()[1]}"
        started = {
            arguments: stack.enter_context(
                nowhere.running(
                    *[str(events) if argument == "-" else argument for argument in arguments],
                    KAFKA_BOOTSTRAP_SERVERS=address,
                )
            )
            for arguments in NEEDS_KAFKA
            if arguments not in (("topics", "--check"), ("report", "FLASH-1"))
        }
        done = {arguments: finished(process) for arguments, process in started.items()}
    for arguments, end in done.items():
        if arguments == ("check",):
            assert end.status == 2
            assert [line.split()[:2] for line in end.lines[1:]] == [
                ["failed", "broker"],
                ["failed", "Fluent"],
            ]
        else:
            assert end.refused("No Kafka broker answers at", address)


def test_a_wrong_configuration_names_the_field(nowhere: InProcess, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"partitions": "four"}')
    assert nowhere("topics", RESERVATION_CONFIG=str(config)).refused("partitions must be a whole number")


def test_a_reader_that_leaves_early_is_no_error(with_topics: Command, tmp_path: Path) -> None:
    lines = "".join(
        json.dumps(
            {"order": {"ref": f"O{i}", "promotionId": "P", "items": [{"sku": "A" * 200, "quantity": 1}]}}
        )
        + "\n"
        for i in range(2_000)
    )
    assert with_topics("publish", "order-placed", "-", given=lines).out == "published 2000\n"
    with with_topics.running("tail", "order-placed", "--from-beginning", "--timeout", "30") as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.wait(TIMEOUT_S) == 0
        assert process.stderr is not None
        assert process.stderr.read().count("\n") == 1
