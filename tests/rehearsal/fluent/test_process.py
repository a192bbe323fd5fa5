"""The simulator as a process: how it starts, says so, and ends."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from graphql import build_client_schema, build_schema, get_introspection_query, print_schema
from graphql.utilities import lexicographic_sort_schema

from rehearsal.fluent.execution import SDL, TEMPLATE_SDL
from rehearsal.fluent.server import StartRefused, read_stock
from tests.rehearsal.fluent.caller import CREATE, Caller, codes, eventually, hold
from tests.support.fluent import FluentSimulator


def start(tmp_path: Path, *arguments: str, stock: str = '{"A":{"L":1}}') -> subprocess.Popen[str]:
    stock_file = tmp_path / "stock.json"
    stock_file.write_text(stock)
    return subprocess.Popen(
        [sys.executable, "-m", "rehearsal.fluent", "--stock", str(stock_file), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_one_line_says_that_it_answers_and_sigterm_ends_it_cleanly(tmp_path: Path) -> None:
    process = start(tmp_path)
    assert process.stdout is not None
    name, _, url = process.stdout.readline().strip().partition("=")
    assert name == "FLUENT_BASE_URL"
    assert httpx.get(f"{url}/healthz", timeout=5).json() == {"status": "ok"}
    assert httpx.get(f"{url}/_truth", timeout=5).json()["A"]["available"] == 1
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=10)
    assert (process.returncode, output, errors) == (0, "", "")


def test_sigterm_does_not_wait_for_a_hanging_request(fluent: Caller) -> None:
    simulator = FluentSimulator({"A": {"L": 1}}, hang_ms=60_000).start()
    with Caller(simulator.base_url) as caller:
        caller.login()
        simulator.next("timeoutAfter")
        with pytest.raises(httpx.ReadTimeout):
            caller.post(CREATE, timeout=0.2, input=hold("H", "A", 1))
        assert simulator.truth("A")["held"] == 0
        assert simulator.stop() == 0


@pytest.mark.parametrize(
    ("arguments", "stock", "sentence"),
    [
        ([], '{"A":{"L":"1"}}', "the stock file"),
        (["--fault-rate", "2"], "{}", "a switch of the simulator is not valid"),
    ],
)
def test_what_keeps_it_from_starting_is_one_sentence_and_status_2(
    tmp_path: Path, arguments: list[str], stock: str, sentence: str
) -> None:
    process = start(tmp_path, *arguments, stock=stock)
    output, errors = process.communicate(timeout=20)
    assert (process.returncode, output) == (2, "")
    assert errors.startswith(sentence)
    assert "Traceback" not in errors


@pytest.mark.parametrize("stock", ["{", "[]", '{"A":1}', '{"A":{"L":1.5}}', '{"A":{"L":null}}'])
def test_a_stock_file_that_is_no_stock_is_refused_with_an_example(tmp_path: Path, stock: str) -> None:
    (tmp_path / "stock.json").write_text(stock)
    with pytest.raises(StartRefused, match=r'it must be JSON like \{"SKU-001":\{"LOC-1":100\}\}'):
        read_stock(tmp_path / "stock.json")


def test_a_stock_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartRefused, match="cannot be read"):
        read_stock(tmp_path / "none.json")


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = start(tmp_path, "--port", str(port))
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}" in errors


def command(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "flashsale.cli", "fluent-simulator", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_without_a_stock_file_the_command_has_what_the_examples_sell() -> None:
    process = command("--port", "0")
    assert process.stdout is not None
    url = process.stdout.readline().strip().partition("=")[2]
    assert httpx.get(f"{url}/_truth", timeout=5).json()["SKU-001"]["available"] >= 100
    process.terminate()
    assert process.communicate(timeout=10) == ("", "")


def test_without_a_port_the_command_listens_on_8080() -> None:
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):  # then another process has it, which is as good
            stranger.bind(("127.0.0.1", 8080))
            stranger.listen()
        _, errors = command().communicate(timeout=20)
    assert "cannot listen on 127.0.0.1:8080" in errors


def test_a_client_that_introspects_sees_the_published_schema(fluent: Caller) -> None:
    seen = build_client_schema(fluent.data(get_introspection_query()))  # type: ignore[arg-type]
    written = build_schema(SDL.read_text() + TEMPLATE_SDL.read_text())
    assert print_schema(lexicographic_sort_schema(seen)) == print_schema(lexicographic_sort_schema(written))


def test_introspection_can_be_forbidden(fluent: Caller, simulator: FluentSimulator) -> None:
    simulator.control(introspection=False)
    assert codes(fluent.ask(get_introspection_query())) == ["C0020E"]
    assert codes(fluent.ask("{ me { __typename ref } }")) == []


def test_whatever_goes_wrong_on_demand_nothing_goes_wrong_by_itself(tmp_path: Path) -> None:
    controls = '{"hangMs":50,"lateMs":20,"dripMs":1,"staleMs":50}'
    stock = json.dumps({f"S{number}": {"L": 100} for number in range(20)})
    process = start(tmp_path, "--fault-rate", "0.7", "--controls", controls, stock=stock)
    assert process.stdout is not None
    url = process.stdout.readline().strip().partition("=")[2]
    with ThreadPoolExecutor(8) as pool:
        created = sum(pool.map(lambda worker: hold_through_faults(url, worker), range(8)))
    truth = httpx.get(f"{url}/_truth", timeout=5).json()
    assert sum(figures["held"] for figures in truth.values()) == created == 160
    process.terminate()
    assert process.communicate(timeout=10) == ("", "")


def hold_through_faults(url: str, worker: int) -> int:
    """Holds a unit of each SKU, asking until the answer says so; returns how many."""
    with Caller(url) as caller:
        eventually(lambda: tried(caller.login))
        return sum(held_at_last(caller, f"H-{worker}-{number}", f"S{number}") for number in range(20))


def held_at_last(caller: Caller, ref: str, sku: str) -> bool:
    seen: list[dict[str, object]] = []

    def asked() -> bool:
        seen.append(caller.ask(CREATE, input=hold(ref, sku, 1, "L")))
        found = seen[-1]
        return "errors" not in found or codes(found) == ["C0121E"]

    eventually(lambda: tried(asked))
    return True


def tried(call: Callable[[], object]) -> bool:
    """Whether a call came to an end, and to another one than False."""
    try:
        return call() is not False
    except (httpx.HTTPError, ValueError, AssertionError):
        return False


def test_two_thousand_skus_over_several_locations_are_served(fluent: Caller) -> None:
    stock = {f"S{number}": {"L1": 5, "L2": 5} for number in range(2_000)}
    with FluentSimulator(stock) as simulator, Caller(simulator.base_url) as caller:
        caller.login()
        caller.create("H", "S1999", 3, "L2")
        assert simulator.truth("S1999")["available"] == 7
        assert len(simulator.truth()) == 2_000


def test_credentials_can_be_set_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMULATOR_ACCOUNT", "ACME")
    monkeypatch.setenv("SIMULATOR_CLIENT_SECRET", "other")
    with FluentSimulator({"A": {"L": 1}}) as simulator, Caller(simulator.base_url) as caller:
        grant = {"grant_type": "client_credentials", "client_id": "simulator", "client_secret": "other"}
        assert caller.token(grant, account="ACME").status_code == 200
        assert caller.token(grant, account="SIM").status_code == 400
        assert caller.token({**grant, "client_secret": "simulator"}, account="ACME").status_code == 401


def test_the_environment_of_a_worker_names_what_this_simulator_takes(simulator: FluentSimulator) -> None:
    environment = simulator.environment()
    with Caller(environment["FLUENT_BASE_URL"]) as caller:
        form = {
            "grant_type": "password",
            "username": environment["FLUENT_USERNAME"],
            "password": environment["FLUENT_PASSWORD"],
            "client_id": environment["FLUENT_CLIENT_ID"],
            "client_secret": environment["FLUENT_CLIENT_SECRET"],
        }
        assert json.loads(caller.token(form, environment["FLUENT_ACCOUNT"]).text)["token_type"] == "bearer"
