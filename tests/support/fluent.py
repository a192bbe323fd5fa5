"""The Fluent simulator for tests: a process of its own on a free port, as a deployment would see it."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from rehearsal.fluent.switches import Controls
from streams.ledger.fluent_requests import reservation_ref

START_TIMEOUT_S = 30
STOP_TIMEOUT_S = 10
# Made once: building it is what takes longest in making a client.
NO_TLS = ssl.create_default_context()


Items = Iterable[tuple[str, int] | dict[str, Any]]
"""Lines of an order: ``("SKU-001", 2)`` or ``{"sku": "SKU-001", "quantity": 2}``."""


class FluentSimulator:
    """Use as a context manager, or call ``start`` and ``stop``.

    ``options`` are the simulator's switches in Python's spelling (``latency_ms=20``, ``fault_rate=0.05``,
    ``activation_delay_ms=0``): see ``rehearsal.fluent.switches.Controls``. Credentials are strict here.
    """

    def __init__(
        self, stock: dict[str, dict[str, int]], *, seed: int = 0, port: int = 0, **options: Any
    ) -> None:
        self._stock = stock
        self._seed = seed
        self._port = port
        self._options = {
            _camel(name): value for name, value in {"strict_credentials": True, **options}.items()
        }
        self._process: subprocess.Popen[str] | None = None
        self._http: httpx.Client | None = None
        self.base_url = ""

    def start(self) -> Self:
        """Starts the process and waits for its line; raises RuntimeError when it does not come."""
        with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False) as stock_file:
            json.dump(self._stock, stock_file)
        arguments = ["--port", str(self._port), "--stock", stock_file.name, "--seed", str(self._seed)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "rehearsal.fluent", *arguments, "--controls", json.dumps(self._options)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        line = self._first_line(self._process)
        Path(stock_file.name).unlink()
        name, _, self.base_url = line.partition("=")
        if name != "FLUENT_BASE_URL":
            self.stop()
            raise RuntimeError(f"the Fluent simulator did not start, it said {line!r}")
        self._http = httpx.Client(base_url=self.base_url, timeout=30, trust_env=False, verify=NO_TLS)
        return self

    @staticmethod
    def _first_line(process: subprocess.Popen[str]) -> str:
        """Kills a process that says nothing in time, which ends the wait for its line."""
        assert process.stdout is not None
        watchdog = threading.Timer(START_TIMEOUT_S, process.kill)
        watchdog.start()
        try:
            return process.stdout.readline().strip()
        finally:
            watchdog.cancel()

    def stop(self) -> int:
        """Ends it with SIGTERM, by force when that takes too long; returns its exit status."""
        if self._http is not None:
            self._http.close()
            self._http = None
        process, self._process = self._process, None
        if process is None:
            return 0
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
        return process.returncode

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def process(self) -> subprocess.Popen[str]:
        assert self._process is not None, "the simulator is not running"
        return self._process

    def environment(self) -> dict[str, str]:
        """What a worker needs to work with this simulator."""
        return {
            "FLUENT_BASE_URL": self.base_url,
            "FLUENT_ACCOUNT": "SIM",
            "FLUENT_CLIENT_ID": "simulator",
            "FLUENT_CLIENT_SECRET": "simulator",
            "FLUENT_USERNAME": "simulator",
            "FLUENT_PASSWORD": "simulator",
        }

    def truth(self, sku: str | None = None) -> dict[str, Any]:
        """``GET /_truth``: all SKUs by name, or the figures of one (KeyError when there is none)."""
        answer = self._get("/_truth", {} if sku is None else {"sku": sku})
        if sku is None:
            return answer
        figures: dict[str, Any] = answer[sku]
        return figures

    def journal(self, after: int = 0, sku: str | None = None) -> dict[str, Any]:
        """``GET /_journal``: ``entries`` of changes after number ``after``, and ``marks`` per SKU."""
        return self._get("/_journal", {"after": str(after)} | ({"sku": sku} if sku else {}))

    def order(self, ref: str, items: Items) -> dict[str, Any]:
        """Books an accepted order in Fluent's order flow, once per ref."""
        return self._post("/_orders", {"ref": ref, "items": _lines(items)})

    def cancel(
        self, ref: str, items: Items | None = None, cancellation_ref: str | None = None
    ) -> dict[str, Any]:
        """Gives booked units back; without items all of the order's."""
        lines = None if items is None else _lines(items)
        return self._post(
            "/_orders/cancel", {"ref": ref, "items": lines, "cancellationRef": cancellation_ref}
        )

    def control(self, **switches: Any) -> dict[str, Any]:
        """Changes switches (``failing=503``), or only reads them; returns the whole state."""
        if not switches:
            return self._get("/_control", {})
        return self._post("/_control", {_camel(name): value for name, value in switches.items()})

    def next(self, fault: str | None = None, match: str = "*", **more: Any) -> None:
        """A one-shot: the next request that matches suffers the fault. See ``NextRequest`` for ``more``."""
        shot = {"match": match, "fault": fault, **{_camel(name): value for name, value in more.items()}}
        self._post("/_control/next", {"requests": [shot]})

    def refuse(self, ref: str, code: str, *, applied: bool = False, count: int = 1) -> None:
        """The next mutations of the record with this ref fail with the code, applied or not."""
        self._post("/_control/refuse", {"ref": ref, "code": code, "applied": applied, "count": count})

    def forget_next(self) -> None:
        self._post("/_control/next", {"clear": True})

    def sell(self, sku: str, quantity: int, location: str | None = None) -> dict[str, Any]:
        """Another channel sells, whether or not there is stock."""
        return self._post("/_control/sell", {"sku": sku, "location": location, "quantity": quantity})

    def quantity(self, ref: str, **change: Any) -> dict[str, Any]:
        """Creates or changes a quantity behind everybody's back."""
        return self._post("/_control/quantity", {"ref": ref, **change})

    def stock_batch(self, stock: dict[str, dict[str, int]] | None = None) -> dict[str, Any]:
        return self._post("/_control/stock-batch", {"stock": stock})

    def revoke_tokens(self) -> None:
        self._post("/_control/revoke-tokens", {})

    def reset_marks(self) -> None:
        self._post("/_control/reset-marks", {})

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return self._answer(self._client.post(path, json=body))

    def _get(self, path: str, parameters: dict[str, str]) -> dict[str, Any]:
        return self._answer(self._client.get(path, params=parameters))

    @property
    def _client(self) -> httpx.Client:
        assert self._http is not None, "the simulator is not running"
        return self._http

    @staticmethod
    def _answer(response: httpx.Response) -> dict[str, Any]:
        """Raises httpx.HTTPStatusError with the simulator's sentence when it refused."""
        if response.is_error:
            raise httpx.HTTPStatusError(response.text, request=response.request, response=response)
        content: dict[str, Any] = response.json()
        return content


def hold_ref(promotion: str, sku: str, part: int = 1) -> str:
    """The ref in Fluent of a part of a reservation's hold."""
    return f"{reservation_ref(promotion, sku)}-{part}"


@contextmanager
def at_rest(simulator: FluentSimulator, switches: Controls) -> Iterator[None]:
    """For a simulator that tests share: its switches stand like this before a test and after it."""
    resting = switches.model_dump(mode="json")
    simulator.control(**resting)
    yield
    simulator.forget_next()
    simulator.control(**resting)


def _lines(items: Items) -> list[dict[str, Any]]:
    return [item if isinstance(item, dict) else {"sku": item[0], "quantity": item[1]} for item in items]


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)
