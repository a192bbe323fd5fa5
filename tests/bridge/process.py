"""`flashsale bridge` as a process of its own, and the world around it: topics and decisions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from bridge.signing import sign
from tests.support.system import wait_until

CLIENT = "shop"
SECRET = "s3cr3t-of-the-shop"
START_S = 60


class BridgeProcess:
    """One bridge on a free port, its log in a file. Use as a context manager, or `kill` it at the end."""

    def __init__(self, environment: Mapping[str, str], directory: Path, *arguments: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.log_path = directory / "bridge.log"
        own = {"BRIDGE_SECRETS": f"{CLIENT}:{SECRET}", "DATA_DIR": str(directory / "data")}
        self._log = self.log_path.open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "flashsale.cli", "bridge", "--port", "0", *arguments],
            env={**os.environ, **own, **environment},
            stdout=subprocess.DEVNULL,
            stderr=self._log,
        )
        announced = wait_until(self._announced, "the bridge listens", START_S)
        self.url = str(announced["url"])
        self.operations_url = str(announced["operations_url"] or "")

    def __enter__(self) -> BridgeProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, for a bare socket."""
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        return host, int(port)

    def events(self) -> list[dict[str, Any]]:
        """Everything it has logged."""
        lines = self.log_path.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def wait_ready(self, timeout_s: float = START_S) -> BridgeProcess:
        """Wait until `/readyz` says so."""
        wait_until(self.is_ready, "the bridge is ready", timeout_s)
        return self

    def is_ready(self) -> bool:
        """What `/readyz` says now."""
        return httpx.get(f"{self.url}/readyz", trust_env=False, timeout=10).is_success

    def terminate(self, timeout_s: float = 30) -> int:
        """SIGTERM; returns its exit status."""
        self.process.terminate()
        status = self.process.wait(timeout_s)
        self._log.close()
        return status

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait(20)
        self._log.close()

    def _announced(self) -> dict[str, Any]:
        if self.process.poll() is not None:
            raise AssertionError(f"the bridge ended:\n{self.log_path.read_text()[-3000:]}")
        return next((event for event in self.events() if event.get("event") == "bridge_listens"), {})


def signed(
    method: str,
    path: str,
    body: bytes = b"",
    *,
    client: str = CLIENT,
    secret: str = SECRET,
    at_s: float | None = None,
) -> dict[str, str]:
    """The headers of a signed request; `at_s` is the signer's clock, now by default."""
    timestamp = int(time.time() if at_s is None else at_s)
    signature = sign(secret, timestamp, method, path, body)
    return {"X-Client-Id": client, "X-Timestamp": str(timestamp), "X-Signature": signature}


class Caller:
    """A client with a secret. Paths are signed as they are given."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, trust_env=False, timeout=60)

    def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        """Send `body` (bytes as they are, anything else as JSON); `prefer=…` and the like become headers."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        every = {"Content-Type": "application/json", **signed("POST", path, content), **given}
        return self.http.post(path, content=content, headers=every)

    def get(self, path: str) -> httpx.Response:
        """Ask for a status."""
        return self.http.get(path, headers=signed("GET", path))

    def close(self) -> None:
        """Close its connections."""
        self.http.close()


def start_bridge_and_read(
    environment: Mapping[str, str], directory: Path, arguments: Sequence[str]
) -> tuple[int, str]:
    """Exit status and standard error of a bridge that is expected not to start."""
    done = subprocess.run(
        [sys.executable, "-m", "flashsale.cli", "bridge", "--port", "0", *arguments],
        env={**os.environ, "DATA_DIR": str(directory), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr


def started(promotion: str, skus: Mapping[str, int], **more: Any) -> dict[str, Any]:
    """Body of `/start-flash-sale`."""
    lines = [{"sku": sku, "quantity": quantity} for sku, quantity in skus.items()]
    return {"promotion": {"id": promotion, "skus": lines, **more}}


def placed(ref: str, promotion: str = "P", sku: str = "SKU-1", quantity: int = 1) -> dict[str, Any]:
    """Body of `/consume-reservation`."""
    items = [{"sku": sku, "quantity": quantity}]
    return {"order": {"ref": ref, "promotionId": promotion, "items": items}}
