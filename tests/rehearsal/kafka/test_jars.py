"""Kafka's jars: only what the lock says is ever run, and a machine without network gets a clear answer."""

from __future__ import annotations

import functools
import hashlib
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from rehearsal.kafka.errors import EmbeddedKafkaError
from rehearsal.kafka.jars import Jar, cache_dir, fetch_jars, read_lock
from rehearsal.kafka.java import find_java

GOOD = b"the published jar"
JAR = Jar("org.example.shop", "till", "1.2", hashlib.sha256(GOOD).hexdigest())


class QuietHandler(SimpleHTTPRequestHandler):
    """A static file server that keeps its access log to itself."""

    def log_message(self, format: str, *args: object) -> None:
        """Write nothing."""


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder behind a Maven mirror on loopback, which the download is told to use."""
    root = tmp_path / "mirror"
    root.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(QuietHandler, directory=str(root)))
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    monkeypatch.setenv("EMBEDDED_KAFKA_REPOSITORY", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield root
    server.shutdown()
    serving.join()
    server.server_close()


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """A lock with one jar."""
    path = tmp_path / "jars.lock"
    path.write_text(f"# comment\n{JAR} sha256:{JAR.sha256}\n")
    return path


def publish(mirror: Path, content: bytes) -> None:
    path = JAR.path(mirror)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_a_missing_jar_is_downloaded_once(tmp_path: Path, mirror: Path, lock: Path) -> None:
    publish(mirror, GOOD)
    [path] = fetch_jars(lock, tmp_path / "cache")
    assert path.read_bytes() == GOOD
    JAR.path(mirror).unlink()
    assert fetch_jars(lock, tmp_path / "cache") == [path]


def test_progress_goes_to_standard_error(
    tmp_path: Path, mirror: Path, lock: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    publish(mirror, GOOD)
    fetch_jars(lock, tmp_path / "cache")
    printed = capfd.readouterr()
    assert "Downloading Apache Kafka" in printed.err
    assert printed.out == ""


def test_a_download_with_another_checksum_is_refused_and_deleted(
    tmp_path: Path, mirror: Path, lock: Path
) -> None:
    publish(mirror, b"something else")
    with pytest.raises(EmbeddedKafkaError, match=r"org\.example\.shop:till:1\.2 has another SHA-256"):
        fetch_jars(lock, tmp_path / "cache")
    assert not JAR.path(tmp_path / "cache" / "jars").exists()


def test_a_cached_jar_that_was_changed_is_fetched_again(tmp_path: Path, mirror: Path, lock: Path) -> None:
    publish(mirror, GOOD)
    [path] = fetch_jars(lock, tmp_path / "cache")
    path.write_bytes(b"changed on the disk")
    assert fetch_jars(lock, tmp_path / "cache") == [path]
    assert path.read_bytes() == GOOD


def test_a_jar_that_the_mirror_lacks_is_named(tmp_path: Path, mirror: Path, lock: Path) -> None:
    with pytest.raises(EmbeddedKafkaError, match=r"org\.example\.shop:till:1\.2 could not be downloaded"):
        fetch_jars(lock, tmp_path / "cache")


def test_no_network_is_one_sentence_and_what_to_do(
    tmp_path: Path, lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EMBEDDED_KAFKA_REPOSITORY", raising=False)
    for variable in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")  # nobody listens there
    for variable in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(EmbeddedKafkaError) as offline:
        fetch_jars(lock, tmp_path / "cache")
    assert "could not be downloaded (ProxyError)" in offline.value.problem
    assert "KAFKA_BOOTSTRAP_SERVERS" in offline.value.recommendation
    assert "\n" not in str(offline.value)


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, lock: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(EmbeddedKafkaError, match="EMBEDDED_KAFKA_CACHE"):
        fetch_jars(lock, tmp_path / "cache")


def test_the_cache_is_the_users_unless_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("EMBEDDED_KAFKA_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_dir() == tmp_path / "flash-sale-reservations"
    monkeypatch.setenv("EMBEDDED_KAFKA_CACHE", str(tmp_path / "other"))
    assert cache_dir() == tmp_path / "other"


def test_the_lock_has_one_version_of_kafka_and_a_digest_for_each_jar() -> None:
    jars = read_lock()
    assert {jar.version for jar in jars if jar.group == "org.apache.kafka"} == {"4.1.1"}
    assert len({(jar.group, jar.artifact) for jar in jars}) == len(jars)
    assert all(len(bytes.fromhex(jar.sha256)) == hashlib.sha256().digest_size for jar in jars)


def test_a_java_that_does_not_exist_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBEDDED_KAFKA_JAVA", "/no/such/java")
    with pytest.raises(EmbeddedKafkaError, match="EMBEDDED_KAFKA_JAVA is /no/such/java"):
        find_java()
