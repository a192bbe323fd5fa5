"""Kafka's jars: fetched once into a cache, and checked against the lock's SHA-256 before every start."""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import Progress

from rehearsal.kafka.errors import EmbeddedKafkaError

if TYPE_CHECKING:
    from jgo.maven import MavenContext

LOCK = Path(__file__).with_name("jars.lock")

KAFKA = "Apache Kafka (38 MB)"

ATTEMPTS = 3
"""Downloads of one jar before giving up: a transfer may be cut short."""

TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class Jar:
    """One line of the lock: Maven coordinates and the SHA-256 (hex) of the file."""

    group: str
    artifact: str
    version: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}"

    def path(self, repository: Path) -> Path:
        """Return where the jar is in a folder with a Maven repository's layout."""
        folder = repository.joinpath(*self.group.split("."), self.artifact, self.version)
        return folder / f"{self.artifact}-{self.version}.jar"


def cache_dir() -> Path:
    """Return the folder for what is downloaded: `EMBEDDED_KAFKA_CACHE`, else one in the user's cache."""
    if chosen := os.environ.get("EMBEDDED_KAFKA_CACHE"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "flash-sale-reservations"


def read_lock(lock: Path = LOCK) -> list[Jar]:
    """Return the jars of a lock file: lines `group:artifact:version sha256:hex`, `#` starts a comment."""
    lines = lock.read_text().splitlines()
    return [_read_line(line) for line in lines if line and not line.startswith("#")]


def _read_line(line: str) -> Jar:
    coordinates, digest = line.split()
    group, artifact, version = coordinates.split(":")
    return Jar(group, artifact, version, digest.removeprefix("sha256:"))


def fetch_jars(lock: Path = LOCK, cache: Path | None = None, what: str = KAFKA) -> list[Path]:
    """Return the paths of the locked jars, downloading what is missing; progress goes to standard error.

    Each file, downloaded or cached, is checked against the lock. Processes that share a cache take turns.
    Raises EmbeddedKafkaError when a jar cannot be downloaded or has the wrong checksum.
    """
    jars = read_lock(lock)
    repository = (cache or cache_dir()) / "jars"
    with _exclusive(repository):
        missing = [jar for jar in jars if not _is_intact(jar, repository)]
        if missing:
            _download(missing, repository, what)
    return [jar.path(repository) for jar in jars]


@contextmanager
def _exclusive(repository: Path) -> Iterator[None]:
    try:
        repository.mkdir(parents=True, exist_ok=True)
        handle = (repository / ".lock").open("w")
    except OSError as error:
        raise EmbeddedKafkaError(
            f"The embedded Kafka cannot write its cache {repository} ({error.strerror}).",
            "Set EMBEDDED_KAFKA_CACHE to a folder that you may write to.",
        ) from error
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _is_intact(jar: Jar, repository: Path) -> bool:
    path = jar.path(repository)
    return path.is_file() and _sha256(path) == jar.sha256


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(jars: Sequence[Jar], repository: Path, what: str) -> None:
    console = Console(stderr=True)
    console.print(f"Downloading {what} to {repository}, only this once", soft_wrap=True)
    context = _maven(repository)
    # jgo warns of a mismatch with the server's own checksum; the lock's decides, and the error says so.
    logging.getLogger("jgo").setLevel(logging.ERROR)
    pool = ThreadPoolExecutor(8)
    try:
        with Progress(console=console, transient=True) as progress:
            bar = progress.add_task("jars", total=len(jars))
            for _ in pool.map(lambda jar: _download_one(jar, context, repository), jars):
                progress.advance(bar)
    finally:
        pool.shutdown(cancel_futures=True)


def _maven(repository: Path) -> MavenContext:
    # requests, which jgo uses, reads REQUESTS_CA_BUNDLE only: carry over the usual variable of a TLS proxy.
    if bundle := os.environ.get("SSL_CERT_FILE"):
        os.environ.setdefault("REQUESTS_CA_BUNDLE", bundle)
    from jgo.maven import MavenContext

    mirror = os.environ.get("EMBEDDED_KAFKA_REPOSITORY")
    remotes = {"mirror": mirror.rstrip("/")} if mirror else None
    return MavenContext(repo_cache=repository, local_repos=[], remote_repos=remotes, timeout=TIMEOUT_S)


def _download_one(jar: Jar, context: MavenContext, repository: Path) -> None:
    def fetch() -> None:
        context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve()

    problem = ""
    for _ in range(ATTEMPTS):
        # jgo takes a file that is there, and never looks at it again.
        jar.path(repository).unlink(missing_ok=True)
        problem = _problem_of(fetch)
        if not problem and _is_intact(jar, repository):
            return
    jar.path(repository).unlink(missing_ok=True)
    raise _unreachable(jar, problem, repository) if problem else _tampered(jar)


def _problem_of(fetch: Callable[[], None]) -> str:
    try:
        fetch()
    except (OSError, RuntimeError) as error:  # the exceptions of requests are OSErrors
        return type(error).__name__
    return ""


def _unreachable(jar: Jar, problem: str, repository: Path) -> EmbeddedKafkaError:
    return EmbeddedKafkaError(
        f"The embedded Kafka is not in {repository} and {jar} could not be downloaded ({problem}).",
        "Connect to the network for the first start, set EMBEDDED_KAFKA_REPOSITORY to a Maven mirror that "
        "you can reach, or set KAFKA_BOOTSTRAP_SERVERS to use a broker of your own.",
    )


def _tampered(jar: Jar) -> EmbeddedKafkaError:
    return EmbeddedKafkaError(
        f"The download of {jar} has another SHA-256 than the lock ({ATTEMPTS} attempts) and was deleted.",
        "Do not use that mirror or network: it altered the file. If you changed jars.lock, correct it.",
    )
